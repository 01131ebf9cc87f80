import json
import math
import random
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import composite

from emdc.synthetic.entries import Entry, parse
from emdc.synthetic.generator import Window, samples, windows

SECOND = 1_000_000
START = 1772323200 * SECOND  # 2026-03-01 00:00:00 UTC
ALL = Window(0, 2**60)


def entry(**fields: object) -> Entry:
    """100 s with a sample a second and no noise, unless told otherwise."""
    plain = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T00:01:40Z", "topic_name": "a/b"}
    raw = plain | {"sample_rate": 1, "spread": 0} | fields
    return parse(json.dumps([raw]), "file", replaced={})[0]


def middle() -> float:
    """Of 0 and 1: noise that is none."""
    return 0.5


@composite
def entries(draw: st.DrawFn) -> Entry:
    first = draw(st.integers(0, 50))
    amplitude = st.floats(-1000, 1000, allow_subnormal=False)
    return entry(
        start=f"2026-03-01T00:00:{first:02d}Z",
        end=f"2026-03-01T00:{draw(st.integers(1, 5)):02d}:00Z",
        sample_rate=draw(st.sampled_from([0.01, 0.3, 1, 2, 7])),
        period=draw(st.floats(0.5, 1e6)),
        amplitude_cos=draw(amplitude),
        amplitude_sin=draw(amplitude),
        amplitude_offset=draw(amplitude),
    )


def test_samples_stand_at_start_and_at_each_step_before_the_end() -> None:
    found = samples([entry(sample_rate=0.3, amplitude_offset=1)], ALL, middle)
    assert len(found) == 30
    assert [at - START for at in found][:4] == [0, 3_333_333, 6_666_667, 10_000_000]
    assert max(found) < START + 100 * SECOND


def test_value_is_offset_cosine_and_sine_of_the_time_since_the_start() -> None:
    wave = entry(period=40, amplitude_cos=2, amplitude_sin=3, amplitude_offset=10)
    found = samples([wave], ALL, middle)
    assert [found[START + s * SECOND] for s in (0, 10, 20, 30, 40)] == [12, 13, 8, 7, 12]


def test_noise_reaches_spread_on_both_sides_and_no_further() -> None:
    wave = entry(amplitude_offset=5, spread=0.25, sample_rate=1000)
    values = samples([wave], ALL, random.Random(1).random).values()
    assert 4.75 <= min(values) < 4.7501
    assert 5.2499 < max(values) <= 5.25
    assert sum(values) / len(values) == pytest.approx(5, abs=0.002)


def test_each_entry_adds_its_own_noise() -> None:
    waves = [entry(spread=0.1), entry(spread=0.2)]
    assert set(samples(waves, ALL, lambda: 1.0).values()) == {0.3}


def test_the_same_seed_gives_the_same_samples() -> None:
    first, second, other = (
        samples([entry(spread=1)], ALL, random.Random(seed).random) for seed in (1, 1, 2)
    )
    assert first == second
    assert first != other


@given(st.lists(entries(), min_size=1, max_size=5))
def test_entries_of_one_topic_add_up_where_they_share_an_instant(waves: list[Entry]) -> None:
    expected: dict[int, float] = {}
    for wave in waves:
        for at, value in samples([wave], ALL, middle).items():
            expected[at] = expected.get(at, 0.0) + value
    assert samples(waves, ALL, middle) == pytest.approx(expected, abs=1e-3)


@given(st.lists(entries(), min_size=1, max_size=4), st.integers(1, 200))
def test_windows_have_every_sample_once_and_about_as_many_as_they_may(
    waves: list[Entry], limit: int
) -> None:
    found: dict[int, float] = {}
    for window in windows(waves, limit):
        part = samples(waves, window, middle)
        assert all(window.start <= at < window.end for at in part)
        assert len(part) <= limit + len(waves)
        assert not part.keys() & found.keys()
        found |= part
    assert found == samples(waves, ALL, middle)


def test_no_window_lies_where_no_entry_is() -> None:
    waves = [
        entry(start="1970-01-01T00:00:00Z", end="1970-01-01T00:00:01Z", sample_rate=1000),
        entry(start="2190-01-01T00:00:00Z", end="2190-01-01T00:00:01Z", sample_rate=1000),
    ]
    assert [window.end - window.start for window in windows(waves, 1000)] == [SECOND, SECOND]


@pytest.mark.parametrize(
    ("amplitude", "shown"), [(123456.7890123, 123456.789), (1.23456789012e-4, 0.000123456789)]
)
def test_nine_digits_of_the_largest_value_are_kept(amplitude: float, shown: float) -> None:
    assert samples([entry(amplitude_offset=amplitude)], ALL, middle)[START] == shown


@pytest.mark.parametrize("offset", [0, 1e15, -1e15, 1e-300])
def test_the_largest_and_the_smallest_values_are_finite(offset: float) -> None:
    value = samples([entry(amplitude_offset=offset)], ALL, middle)[START]
    assert value == pytest.approx(offset, abs=1e-14)


def shipped(name: str) -> list[float]:
    """Its values over the first day, at 0:30, 1:30 … 23:30, without noise."""
    file = resources.files("emdc.synthetic") / "samples" / name
    waves = parse(file.read_text(encoding="utf-8"), name, replaced={"sample_rate": 1 / 1800})
    found = list(samples(waves, ALL, middle).values())
    return found[1:48:2]


def test_the_shipped_cosine_is_one() -> None:
    expected = [30000 + 12000 * math.cos(math.tau * (hour + 0.5) / 24) for hour in range(24)]
    assert shipped("sample-cos.json") == pytest.approx(expected, abs=0.01)


def test_the_shipped_square_wave_is_high_for_half_a_day_and_then_low() -> None:
    expected = [20] * 12 + [4] * 12
    assert shipped("sample-square.json") == pytest.approx(expected, abs=2)


def test_the_shipped_sawtooth_climbs_and_falls_back_at_noon() -> None:
    expected = [277 + (hour + 0.5) / 2 - (12 if hour >= 12 else 0) for hour in range(24)]
    inner = [hour for hour in range(24) if hour not in {11, 12}]
    found = shipped("sample-sawtooth.json")
    assert [found[h] for h in inner] == pytest.approx([expected[h] for h in inner], abs=1.2)
    assert found[10] - found[13] > 8
