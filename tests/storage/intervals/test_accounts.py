"""What is made of a meter's readings, and when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, delete, insert, select

from emdc.storage.database import connected, dialect_of, open_engine
from emdc.storage.instants import to_text
from emdc.storage.intervals import accounts
from emdc.storage.intervals.accounts import Accounts, Advanced
from emdc.storage.intervals.commit import Work
from emdc.storage.migrate import prepare, upgrade
from emdc.storage.registry import register
from emdc.storage.schema import counter_epochs, readings, topics
from tests.storage.filled import fill
from tests.storage.metering import (
    METER,
    advance,
    after,
    begin,
    made_at_once,
    meter,
    metering,
    number,
    story,
    tables,
    tell,
)
from tests.storage.old_collector import BY_HAND, ZONE, make
from tests.storage.plant import NOON, execute, tick

INTERVAL_S = 300.0
TICKS = 576
LATER = after(TICKS * INTERVAL_S + 7200)


@pytest.fixture
def metered(engine: Engine) -> Engine:
    """A database with the meter of the stories."""
    begin(engine, interval_s=INTERVAL_S)
    return engine


def test_quarter_hour_waits_until_its_readings_can_be_there(metered: Engine) -> None:
    tell(metered, {0.0: [1.0], 900.0: [1.0]})
    assert advance(metered, tick(914)).cells == 0
    assert advance(metered, tick(915)).cells == 1


def test_where_nothing_is_new_nothing_is_written(metered: Engine) -> None:
    tell(metered, {0.0: [1.0, 2.0], 300.0: [1.0, 3.0]})
    written: list[Work] = []

    def write(work: Work) -> None:
        written.append(work)
        with connected(metered, write=True) as connection:
            work(connection)

    kept = Accounts(metered, write=write)
    now = after(1800)
    assert kept.advance(number(metered), now).cells == 2
    count = len(written)
    assert kept.advance(number(metered), now + timedelta(minutes=5)).cells == 0
    assert len(written) == count


def test_nothing_is_written_when_that_is_asked_for(metered: Engine) -> None:
    tell(metered, story(5, ticks=100, interval_s=INTERVAL_S))
    assert advance(metered, LATER, store=False).cells > 100
    assert not any(tables(metered).values())


def test_meter_without_a_reading_has_none(metered: Engine) -> None:
    assert advance(metered, LATER) == Advanced()
    assert not any(tables(metered).values())


def test_meter_without_a_schedule_ends_with_its_last_reading(engine: Engine) -> None:
    fill(engine, {f"{METER}/W": {0.0: 1.0, 2000.0: 2.0}})
    assert advance(engine, LATER).cells == 3
    assert len(tables(engine)["interval_rows"]) == 3


def test_what_was_made_of_readings_that_were_deleted_stays(metered: Engine) -> None:
    tell(metered, story(6, ticks=TICKS, interval_s=INTERVAL_S))
    advance(metered, LATER)
    before = tables(metered)
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    with connected(metered, write=True) as connection:
        connection.execute(delete(readings).where(readings.c.ts < to_text(midnight)))
        row = (meter(connection), to_text(NOON), to_text(midnight), "retention")
        dialect_of(connection).insert_gaps(connection, [row])
    advance(metered, LATER, since=NOON)
    assert tables(metered) == before


def test_change_of_a_ratio_begins_energies_anew_and_not_hours(metered: Engine) -> None:
    told = {float(at): [1.0, at, at / 2, None, at / 3600] for at in range(0, 172_800, 300)}
    tell(metered, told)
    advance(metered, LATER)
    with connected(metered) as connection:
        query = select(topics.c.topic_name, counter_epochs.c.kind).join(
            topics, topics.c.topic_id == counter_epochs.c.topic_id
        )
        found = sorted(tuple(row) for row in connection.execute(query))
    assert found == [(f"{METER}/Wh", "ratio"), (f"{METER}/kVARh", "ratio")]


def test_what_a_user_says_is_not_found_once_more(metered: Engine) -> None:
    told = {float(at): [None, None, 500_000.0 + at / 10] for at in range(0, 3600, 300)}
    told |= {float(at): [None, None, at / 10] for at in range(3600, 7200, 300)}
    tell(metered, told)
    advance(metered, after(7200))
    assert [row[2] for row in tables(metered)["counter_epochs"]] == ["reset"]
    with connected(metered, write=True) as connection:
        key = {"topic_id": 3, "from_ts": to_text(tick(3400)), "source": "user"}
        said = {**key, "kind": "swap", "before_value": 500_340.0, "after_value": 350.0}
        connection.execute(insert(counter_epochs).values(note="new meter", **said))
    advance(metered, after(7200), since=NOON)
    found = tables(metered)["counter_epochs"]
    assert [(row[2], row[5]) for row in found] == [("swap", "user")]


def test_days_are_stored_as_such_an_hour_after_their_end(metered: Engine) -> None:
    tell(metered, {float(at): [1.0, at] for at in range(0, 60_000, 300)})
    midnight = NOON + timedelta(hours=12)
    advance(metered, midnight + timedelta(minutes=59))
    assert not tables(metered)["interval_days"]
    advance(metered, midnight + timedelta(minutes=61))
    found = tables(metered)
    assert [row[:2] for row in found["interval_days"]] == [
        (topic_id, to_text(NOON.replace(hour=0))) for topic_id in (1, 2, 3, 5)
    ]
    assert min(row[0] for row in found["interval_rows"]) == to_text(midnight)


def test_database_in_memory_keeps_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(accounts._IN_MEMORY, "interval_days", 3)
    engine = open_engine("sqlite://")
    prepare(engine)
    fill(engine, {f"{METER}/W": {day * 86_400.0: 1.0 for day in range(10)}})
    advance(engine, tick(11 * 86_400))
    assert len(tables(engine)["interval_days"]) == 3
    engine.dispose()


def old_rows(path: Path, engine: Engine) -> None:
    """A database of the old collector, upgraded: three values of a topic, noon in UTC."""
    make(engine, BY_HAND)
    moments = ("2020-07-01 04:50:00.5", "2020-07-01 05:00:00.5", "2020-07-01 05:20:00")
    for index, ts in enumerate(moments):
        execute(path, f"INSERT INTO data VALUES ('{ts}', 7, '{120.5 + index}')")
    execute(path, "DELETE FROM data WHERE ts < '2020-01-01'")
    upgrade(engine, data_timezone=ZONE)


def test_rows_of_the_old_collector_count_where_their_zone_is_known(path: Path) -> None:
    engine = open_engine(f"sqlite:///{path}")
    old_rows(path, engine)
    kept = Accounts(engine)
    assert kept.adopt() == 1
    assert kept.adopt() == 0
    (meter_id,) = kept.meters().values()
    assert kept.advance(meter_id, NOON).cells == 3
    found = tables(engine)["interval_rows"]
    assert [(row[0][11:16], row[1], row[4]) for row in found] == [
        ("11:45", "[1]", "[120.5]"),
        ("12:00", "[1]", "[121.5]"),
        ("12:15", "[1]", "[122.5]"),
    ]
    engine.dispose()


def test_reading_counts_instead_of_an_old_row_of_its_instant(path: Path) -> None:
    engine = open_engine(f"sqlite:///{path}")
    old_rows(path, engine)
    kept = Accounts(engine)
    kept.adopt()
    at = (datetime(2020, 7, 1, 12, 0, 0, 500_000, UTC) - NOON).total_seconds()
    fill(engine, {"UW/Mercer/nexus_meter/Voltage_AN": {at: 7.5}})
    kept.advance(1, NOON)
    assert [row[4] for row in tables(engine)["interval_rows"]] == ["[120.5]", "[7.5]", "[122.5]"]
    engine.dispose()


def test_long_false_zeros_are_mended_in_turns_that_each_end_early(engine: Engine) -> None:
    """Each turn begins where the one before ended, and must know that the register comes back."""
    with connected(engine, write=True) as connection:
        register(connection, [metering(interval_s=INTERVAL_S)], NOON)
    told = {INTERVAL_S * n: [1.0, 0.0 if 100 <= n < 1400 else 1000.0 + n] for n in range(1500)}
    first = {at: values for at, values in told.items() if at < 1390 * INTERVAL_S}
    now = after(1500 * INTERVAL_S)
    tell(engine, first)
    advance(engine, after(1390 * INTERVAL_S))
    tell(engine, {at: values for at, values in told.items() if at not in first})
    ends: list[float] = []
    while len(ends) < 2 or ends[-1] != ends[-2]:
        kept = Accounts(engine, tell=lambda _cells: False)
        ends.append(kept.advance(number(engine), now).next_at or 0.0)
        assert len(ends) < 15
    assert ends[:-1] == sorted(set(ends))  # it went back once, at first
    assert len(ends) > 4
    assert advance(engine, now).cells < 96  # the days that are over are stored as such
    found = tables(engine)
    assert [row[2] for row in found["counter_epochs"]] == ["return"]
    assert found == made_at_once(engine, now)
