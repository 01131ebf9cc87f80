"""Series: which source is taken, how steps are cut, what a page is."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete

from emdc.energy.answers import Bucket, Series
from emdc.errors import ConfigError
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage.database import connected
from emdc.storage.instants import to_text
from emdc.storage.past import series_read, unfolded
from emdc.storage.past.chronicle import Chronicle
from emdc.storage.schema import interval_details, interval_progress, interval_rows, readings
from tests.storage.past.test_chronicle import MIDNIGHT, OLD_W, SERIAL, VOLTS, at, old_database
from tests.storage.plant import METER, reading, store, tick
from tests.storage.reckoned import reckon
from tests.storage.test_old_samples import PACIFIC

METRICS = ("Voltage_AN", "Wh_delivered")


def every(seconds: float, count: int, *, first: float = 0) -> list[MeterReading]:
    """Readings from noon on; voltages go 100 to 106."""
    return [
        reading(first + seconds * n, (100.0 + n % 7, 10 * n), metrics=METRICS) for n in range(count)
    ]


def fill(engine: Engine, rows: Sequence[MeterReading], interval_s: float = 60) -> None:
    topics = (Topic("Voltage_AN", "V", digits=6), Topic("Wh_delivered", "Wh", "counter"))
    store(engine, *rows, profiles=[MeterProfile(METER, topics, interval_s)])


def volts(
    engine: Engine, start: float, end: float, step_s: float | None = None, points: int = 1000
) -> Series:
    with Chronicle(engine) as chronicle:
        return chronicle.series(VOLTS, at(start), at(end), step_s=step_s, points=points)


def counts(series: Series) -> list[tuple[float, int]]:
    """(seconds after noon, how many) of each bucket."""
    return [(bucket.start - at(0), bucket.count) for bucket in series.buckets]


@pytest.fixture
def hours(engine: Engine) -> Engine:
    """Six hours of minutes, of which the first five are stored as quarter hours."""
    fill(engine, every(60, 360))
    reckon(engine, tick(5 * 3600 + 20))
    return engine


def test_few_readings_are_given_as_they_are(hours: Engine) -> None:
    found = volts(hours, 0, 3600)
    assert (found.step_s, found.source, found.next_start) == (0, "readings", None)
    assert [bucket.last for bucket in found.buckets] == [100.0 + n % 7 for n in range(60)]
    assert (found.start, found.end, found.topic.unit) == (at(0), at(3600), "V")


def test_more_readings_than_points_are_joined_to_round_steps(hours: Engine) -> None:
    found = volts(hours, 0, 3600, points=20)
    assert (found.step_s, found.source) == (300, "readings")
    assert counts(found) == [(300 * n, 5) for n in range(12)]


def test_many_readings_come_from_quarter_hours(
    hours: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = volts(hours, 0, 21600, points=12)
    assert whole.source == "readings"
    monkeypatch.setattr(series_read, "FEW", 100)
    found = volts(hours, 0, 21600, points=12)
    assert (found.step_s, found.source) == (1800, "intervals")
    assert [b._replace(mean=0) for b in found.buckets] == [
        b._replace(mean=0) for b in whole.buckets
    ]
    assert all(
        abs(a.mean - b.mean) < 1e-8 for a, b in zip(found.buckets, whole.buckets, strict=True)
    )


def test_what_was_read_since_the_last_quarter_hour_is_there(hours: Engine) -> None:
    found = volts(hours, 4 * 3600, 6 * 3600, step_s=900)
    assert counts(found) == [(4 * 3600 + 900 * n, 15) for n in range(8)]
    with connected(hours, write=True) as connection:
        connection.execute(delete(interval_rows))
        connection.execute(delete(interval_progress))
    assert volts(hours, 4 * 3600, 6 * 3600, step_s=900).buckets == found.buckets


def test_fresh_database_has_quarter_hours_before_any_is_stored(engine: Engine) -> None:
    fill(engine, every(60, 20))
    found = volts(engine, 0, 3600, step_s=900)
    assert found.source == "intervals"
    assert found.buckets[0] == Bucket(at(0), 15, 100, 106, 102.8, 100, 100)
    assert counts(found) == [(0, 15), (900, 5)]


def test_too_much_that_is_not_stored_comes_page_by_page(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfolded, "MOST_ROWS", 40)
    fill(engine, every(60, 100))
    start: float | None = 0.0
    found: list[tuple[float, int]] = []
    while start is not None:
        page = volts(engine, start, 6000, step_s=900)
        assert page.source == "intervals"
        found += counts(page)
        start = None if page.next_start is None else page.next_start - at(0)
    assert found == [*((900 * n, 15) for n in range(6)), (5400, 10)]


def test_quarter_hours_of_old_rows_come_before_any_is_stored(path: Path) -> None:
    engine = old_database(path, "1.5", "2.5", "n/a", "3", zone=PACIFIC)
    with Chronicle(engine) as chronicle:
        found = chronicle.series(OLD_W, MIDNIGHT, MIDNIGHT + 86_400, step_s=7200)
        steps = [(bucket.start - MIDNIGHT, bucket.count, bucket.mean) for bucket in found.buckets]
    assert steps == [(0, 2, 2.0), (7200, 1, 3.0)]
    engine.dispose()


def test_many_old_rows_are_joined(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_read, "FEW", 2)
    engine = old_database(path, "1", "2", "3", "4", zone=PACIFIC)
    with Chronicle(engine) as chronicle:
        found = chronicle.series(OLD_W, MIDNIGHT, MIDNIGHT + 86_400, step_s=None, points=12)
        assert [bucket.count for bucket in found.buckets] == [2, 2]
    engine.dispose()


def test_a_line_breaks_where_nothing_was_read(engine: Engine) -> None:
    fill(engine, [*every(60, 15), *every(60, 15, first=5400)])
    reckon(engine, tick(7200))
    assert counts(volts(engine, 0, 7200, step_s=900)) == [(0, 15), (5400, 15)]


def test_steps_at_the_ends_are_whole(hours: Engine) -> None:
    assert counts(volts(hours, 1000, 1100, step_s=900)) == [(900, 15)]
    assert counts(volts(hours, 70, 130, step_s=60)) == [(60, 1), (120, 1)]
    assert counts(volts(hours, 70, 130, step_s=0)) == [(120, 1)]


def test_pages_of_a_given_step_join_without_a_seam(hours: Engine) -> None:
    for step_s in (60.0, 120.0, 900.0):
        start: float | None = 600.0
        found: list[tuple[float, int]] = []
        while start is not None:
            page = volts(hours, start, 7200, step_s=step_s, points=5)
            assert len(page.buckets) <= 5
            found += counts(page)
            start = None if page.next_start is None else page.next_start - at(0)
        first = 600 // step_s * step_s
        steps = range(int(first), 7200, int(step_s))
        assert found == [(step, step_s / 60) for step in steps]


def test_pages_of_readings_join_without_a_seam(hours: Engine) -> None:
    first = volts(hours, 0, 600, step_s=0, points=6)
    assert counts(first) == [(60 * n, 1) for n in range(6)]
    assert first.next_start == at(360)
    rest = volts(hours, 360, 600, step_s=0, points=6)
    assert counts(rest) == [(60 * n, 1) for n in range(6, 10)]
    assert rest.next_start is None


def test_page_of_readings_is_full_where_the_topic_is_rarely_read(engine: Engine) -> None:
    rare = MeterProfile(METER, (Topic("Voltage_AN", "V", interval_s=10), Topic("a")), 1.0)
    rows = [
        reading(n, (100.0, 1.0), metrics=("Voltage_AN", "a"))
        if n % 10 == 0
        else reading(n, (1.0,), metrics=("a",))
        for n in range(100)
    ]
    store(engine, *rows, profiles=[rare])
    found = volts(engine, 0, 100, step_s=0, points=4)
    assert counts(found) == [(0, 1), (10, 1), (20, 1), (30, 1)]
    assert found.next_start == at(40)


def test_deleted_readings_leave_their_quarter_hours(hours: Engine) -> None:
    with connected(hours, write=True) as connection:
        connection.execute(delete(readings).where(readings.c.ts < to_text(tick(3600))))
    # Of a day that is not closed nothing is found for a short span.
    assert counts(volts(hours, 0, 7200, step_s=900)) == [(900 * n, 15) for n in range(8)]


def test_short_span_of_deleted_readings_comes_from_closed_days(engine: Engine) -> None:
    fill(engine, every(600, 150))
    reckon(engine, tick(86_400))
    with connected(engine, write=True) as connection:
        connection.execute(delete(readings).where(readings.c.ts < to_text(tick(43_200))))
    found = volts(engine, 0, 3600)
    assert (found.source, found.step_s) == ("intervals", 900)
    assert [count for _, count in counts(found)] == [2, 1, 2, 1]


def test_span_from_before_the_first_reading_has_its_readings(engine: Engine) -> None:
    fill(engine, every(600, 150))
    reckon(engine, tick(86_400))
    found = volts(engine, -3600, 3600)
    assert (found.source, len(found.buckets)) == ("readings", 6)


@pytest.fixture
def seconds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An hour of seconds, of which half an hour is stored; more than 500 readings are many."""
    monkeypatch.setattr(series_read, "FEW", 100)
    monkeypatch.setattr(series_read, "MANY", 1000)
    fill(engine, every(1, 3600), interval_s=1)
    reckon(engine, tick(1800 + 20))
    return engine


def test_many_seconds_come_from_half_minutes_and_the_rest_from_readings(seconds: Engine) -> None:
    found = volts(seconds, 0, 2400, points=100)
    assert (found.source, found.step_s) == ("details", 30)
    assert counts(found) == [(30 * n, 30) for n in range(80)]
    raw = volts(seconds, 0, 900, step_s=30)
    assert raw.source == "readings"
    first = [bucket._replace(first=0) for bucket in found.buckets[:30]]
    assert first == [bucket._replace(first=0) for bucket in raw.buckets]


def test_a_line_of_half_minutes_breaks_where_nothing_was_read(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_read, "MANY", 100)
    fill(engine, [*every(1, 300), *every(1, 500, first=400)], interval_s=1)
    reckon(engine, tick(1000))
    found = volts(engine, 0, 900, step_s=30)
    assert found.source == "details"
    expected = [*(30 * n for n in range(10)), *(390 + 30 * n for n in range(17))]
    assert [second for second, _ in counts(found)] == expected


def test_too_many_readings_without_half_minutes_are_not_read(seconds: Engine) -> None:
    found = volts(seconds, 0, 3600, points=200)
    assert (found.source, found.step_s) == ("intervals", 900)
    assert counts(found) == [(900 * n, 900) for n in range(4)]


def test_half_minutes_are_cut_where_the_span_is(seconds: Engine) -> None:
    found = volts(seconds, 100, 1720, step_s=60)
    assert found.source == "details"
    assert counts(found) == [(60 + 60 * n, 60) for n in range(28)]


def test_seconds_without_half_minutes_grow_to_quarter_hours(seconds: Engine) -> None:
    with connected(seconds, write=True) as connection:
        connection.execute(delete(interval_details))
    found = volts(seconds, 0, 2700, points=100)
    assert (found.source, found.step_s) == ("intervals", 900)
    assert counts(found) == [(900 * n, 900) for n in range(3)]


def test_texts_are_no_series(engine: Engine) -> None:
    store(engine, reading(0))
    with Chronicle(engine) as chronicle, pytest.raises(ConfigError, match="holds texts"):
        chronicle.series(SERIAL, at(0), at(1), step_s=None)


def test_points_and_step_must_be_possible(hours: Engine) -> None:
    with pytest.raises(ConfigError, match="points 0, expected 1 to"):
        volts(hours, 0, 60, points=0)
    for step_s in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match="expected seconds, or 0"):
            volts(hours, 0, 60, step_s=step_s)
