"""Ticks without a value as ranges."""

from collections.abc import Iterable, Mapping

import pytest
from sqlalchemy import Engine

from emdc.energy.answers import GapRange
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage.database import connected
from emdc.storage.engines.dialect import GapRow
from emdc.storage.instants import to_text
from emdc.storage.past import gap_ranges
from emdc.storage.past.chronicle import Chronicle
from emdc.storage.past.topics import UnknownTopicError
from emdc.storage.schema import gaps
from tests.storage.past.test_chronicle import at
from tests.storage.plant import METER, reading, store, tick

AB = ("a", "b")
PROFILE = MeterProfile(METER, (Topic("a"), Topic("b")), 1.0)
MIXED = MeterProfile(METER, (Topic("a"), Topic("b", interval_s=10)), 1.0)

Range = tuple[str | None, float, float, int | None, str]


def row(second: float, missing: Mapping[str, str], due: tuple[str, ...] = AB) -> MeterReading:
    values = tuple(None if name in missing else 1.0 for name in due)
    return reading(second, values, metrics=due, gaps=dict(missing))


def rows(seconds: Iterable[int], **missing: str) -> list[MeterReading]:
    return [row(second, missing) for second in seconds]


def ranges(
    engine: Engine,
    span: tuple[float, float] = (0, 10_000),
    *,
    limit: int = 100,
    newest_first: bool = False,
    name: str = METER,
) -> list[Range]:
    """(metric, start, end, ticks, reason), in seconds after noon."""
    with Chronicle(engine) as chronicle:
        start, end = map(at, span)
        found = chronicle.gaps(name, start, end, limit, newest_first=newest_first)
        assert {one.meter for one in found} <= {METER}
        return [(g.metric, g.start - at(0), g.end - at(0), g.ticks, g.reason) for g in found]


def without_rows(engine: Engine, *found: tuple[float, float, str]) -> None:
    values: list[GapRow] = [
        (1, to_text(tick(start)), to_text(tick(end)), reason) for start, end, reason in found
    ]
    with connected(engine, write=True) as connection:
        for meter_id, from_ts, to_ts, reason in values:
            one = {"meter_id": meter_id, "from_ts": from_ts, "to_ts": to_ts, "reason": reason}
            connection.execute(gaps.insert().values(one))


DEAD = dict.fromkeys(AB, "read_timeout")


def test_ticks_one_after_the_other_are_one_range_of_the_meter(engine: Engine) -> None:
    store(engine, *rows(range(5)), *rows(range(5, 8), **DEAD), *rows(range(8, 10)),
          *rows([10], **DEAD), profiles=[PROFILE])  # fmt: skip
    assert ranges(engine) == [
        (None, 5, 8, 3, "read_timeout"),
        (None, 10, 11, 1, "read_timeout"),
    ]


def test_metric_that_alone_is_missing_has_ranges_of_its_own(engine: Engine) -> None:
    store(engine, *rows(range(3), b="exception:2"), *rows([3], a="exception:2", b="decode_error"),
          profiles=[PROFILE])  # fmt: skip
    assert ranges(engine) == [
        ("b", 0, 3, 3, "exception:2"),
        ("a", 3, 4, 1, "exception:2"),
        ("b", 3, 4, 1, "decode_error"),
    ]
    assert ranges(engine, name=f"{METER}/a") == [("a", 3, 4, 1, "exception:2")]


def test_a_topic_has_the_gaps_of_its_meter_too(engine: Engine) -> None:
    store(engine, *rows(range(2), **DEAD), *rows([2], a="read_timeout"), profiles=[PROFILE])
    without_rows(engine, (10, 20, "daemon_killed"))
    assert ranges(engine, name=f"{METER}/a") == [
        ("a", 0, 3, 3, "read_timeout"),
        (None, 10, 20, 10, "daemon_killed"),
    ]


def test_two_reasons_one_after_the_other_are_two_ranges(engine: Engine) -> None:
    refused = dict.fromkeys(AB, "connect_refused")
    store(engine, *rows(range(2), **DEAD), *rows(range(2, 4), **refused), profiles=[PROFILE])
    assert ranges(engine) == [
        (None, 0, 2, 2, "read_timeout"),
        (None, 2, 4, 2, "connect_refused"),
    ]


def test_intervals_of_their_own_have_ticks_of_their_own(engine: Engine) -> None:
    """b is due every ten seconds: at 10 and 20 it follows on, though a has values in between."""
    found = [
        row(
            second,
            {"b": "decode_error"} if second in {10, 20} else {},
            AB if second % 10 == 0 else ("a",),
        )
        for second in range(5, 25)
    ]
    dead = [
        row(
            second,
            DEAD if second % 10 == 0 else {"a": "read_timeout"},
            AB if second % 10 == 0 else ("a",),
        )
        for second in range(28, 33)
    ]
    store(engine, *found, *dead, profiles=[MIXED])
    assert ranges(engine) == [
        ("b", 10, 30, 2, "decode_error"),
        (None, 28, 33, 5, "read_timeout"),
    ]
    assert ranges(engine, name=f"{METER}/b") == [
        ("b", 10, 30, 2, "decode_error"),
        ("b", 30, 40, 1, "read_timeout"),
    ]


def test_one_text_means_the_meter_or_a_metric_by_what_was_due(engine: Engine) -> None:
    found = [
        row(second, {"a": "read_timeout"}, AB if second % 10 == 0 else ("a",))
        for second in range(8, 13)
    ]
    store(engine, *found, profiles=[MIXED])
    assert ranges(engine) == [
        (None, 8, 10, 2, "read_timeout"),
        ("a", 10, 11, 1, "read_timeout"),
        (None, 11, 13, 2, "read_timeout"),
    ]


def test_readings_by_hand_owe_nothing(engine: Engine) -> None:
    asked = reading(0.5, (None, 1.0), metrics=AB, gaps={"a": "read_timeout"}, scheduled=False)
    store(engine, *rows([0]), asked, profiles=[PROFILE])
    assert ranges(engine) == []


def test_ranges_without_readings_are_cut_to_the_span(engine: Engine) -> None:
    store(engine, *rows([0]), profiles=[PROFILE])
    without_rows(
        engine, (10, 20, "daemon_stopped"), (20, 20, "daemon_stopped"), (30, 40, "retention")
    )
    assert ranges(engine, (15, 35)) == [
        (None, 15, 20, 5, "daemon_stopped"),
        (None, 30, 35, 5, "retention"),
    ]


def test_refused_rows_one_after_the_other_are_one_range(engine: Engine) -> None:
    store(engine, *rows([0]), profiles=[PROFILE])
    without_rows(engine, *((n, n + 1e-6, "poison_row") for n in range(3, 6)))
    assert ranges(engine) == [(None, 3, 6, 3, "poison_row")]


def test_newest_and_oldest_come_first(engine: Engine) -> None:
    store(engine, *rows(range(0, 20, 2), **DEAD), *rows(range(1, 20, 2)), profiles=[PROFILE])
    assert [start for _, start, *_ in ranges(engine, limit=3)] == [0, 2, 4]
    newest = ranges(engine, limit=3, newest_first=True)
    assert [start for _, start, *_ in newest] == [18, 16, 14]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_pages_join_without_a_seam(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, page: int, *, newest_first: bool
) -> None:
    store(engine, *rows(range(0, 9), **DEAD), *rows(range(9, 30), b="decode_error"),
          profiles=[PROFILE])  # fmt: skip
    monkeypatch.setattr(gap_ranges, "_ROWS_AT_ONCE", page)
    found = ranges(engine, newest_first=newest_first)
    expected: list[Range] = [(None, 0, 9, 9, "read_timeout"), ("b", 9, 30, 21, "decode_error")]
    assert found == (expected[::-1] if newest_first else expected)


def test_a_limit_never_cuts_a_range(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gap_ranges, "_ROWS_AT_ONCE", 5)
    found = [
        row(n, {"b": "exception:2"} | ({"a": "read_timeout"} if n % 2 else {})) for n in range(50)
    ]
    store(engine, *found, profiles=[PROFILE])
    assert ranges(engine, limit=2) == [
        ("b", 0, 50, 50, "exception:2"),
        ("a", 1, 2, 1, "read_timeout"),
    ]
    assert ranges(engine, limit=2, newest_first=True) == [
        ("a", 49, 50, 1, "read_timeout"),
        ("a", 47, 48, 1, "read_timeout"),
    ]


def test_a_change_of_the_interval_ends_no_range(engine: Engine) -> None:
    store(engine, *rows(range(3), **DEAD), profiles=[PROFILE])
    slower = MeterProfile(METER, PROFILE.topics, 2.0)
    store(engine, *rows([4, 6], **DEAD), *rows([8]), profiles=[slower], now=tick(3))
    assert ranges(engine) == [(None, 0, 8, 5, "read_timeout")]


def test_unknown_names_are_refused(engine: Engine) -> None:
    store(engine, *rows([0]), profiles=[PROFILE])
    with pytest.raises(UnknownTopicError, match="no topic is called 'nobody'"):
        ranges(engine, name="nobody")


def test_ranges_say_meter_and_metric(engine: Engine) -> None:
    store(engine, *rows([0], a="read_timeout"), profiles=[PROFILE])
    with Chronicle(engine) as chronicle:
        assert chronicle.gaps(METER, at(0), at(9), 9) == [
            GapRange(METER, "a", at(0), at(1), 1, "read_timeout")
        ]
