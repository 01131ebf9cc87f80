"""Views, history and the count of what was due give on a server what they give on SQLite."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from emdc.reading import MeterProfile, MeterReading
from emdc.storage import downtime
from emdc.storage.conservation import conservation
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import to_text
from emdc.storage.past.history import latest_readings, sparklines
from tests.storage.plain import ask
from tests.storage.plant import METER, METRICS, NOON, profile, reading, store, tick

OTHER = profile("UW/Elm/eaton_meter")
BOTH = (profile(), OTHER)
MISSED = {"Voltage_AN": "read_timeout"}
VIEWS = (
    "SELECT ts, topic_id, value_string FROM data WHERE topic_id = {topic_id} ORDER BY ts",
    "SELECT d.ts, value_string FROM data AS d JOIN topics AS t ON d.topic_id = t.topic_id"
    " WHERE topic_name = '{name}' ORDER BY d.ts",
    "SELECT topic_id, ts, value, value_string, unit, read_at, scheduled, zone FROM samples"
    " WHERE topic_name = '{name}' ORDER BY ts",
    "SELECT topic_id, ts, value, value_string, unit, read_at FROM latest"
    " WHERE topic_name = '{name}'",
    "SELECT topic_id, ts, value FROM latest WHERE topic_id = {topic_id}",
)


def mute(first: int, count: int) -> list[MeterReading]:
    gaps = dict.fromkeys(METRICS, "connect_timeout")
    return [reading(first + n, (None, None, None), gaps=gaps) for n in range(count)]


def both(
    engine: Engine,
    server: Engine,
    *written: MeterReading,
    profiles: Sequence[MeterProfile] = BOTH,
) -> None:
    """The same run of a recorder into a file and into a server's database."""
    for each in (engine, server):
        store(each, *written, profiles=profiles)


def plain(value: object) -> object:
    """A value of any engine: times as text, numbers as floats."""
    if isinstance(value, datetime):
        return to_text(value.replace(tzinfo=value.tzinfo or UTC))
    return float(value) if isinstance(value, bool | int | float) else value


def rows(engine: Engine, query: str) -> list[list[object]]:
    with connected(engine) as connection:
        return [[plain(value) for value in row] for row in connection.execute(text(query))]


@pytest.mark.parametrize("metric", ["Voltage_AN", "Serial"])
def test_views_give_the_same(engine: Engine, server_engine: Engine, metric: str) -> None:
    both(
        engine,
        server_engine,
        *(reading(at, (120.5 + at, 7 + at, f"A{at}")) for at in range(3)),
        reading(3, (None, 8, ""), gaps=MISSED),
        reading(3.5, (121.25,), metrics=("Voltage_AN",), scheduled=False),
        *(reading(at, meter=OTHER.name) for at in range(5)),
    )
    name = f"{METER}/{metric}"
    topic_id = ask(server_engine, f"SELECT topic_id FROM topics WHERE topic_name = '{name}'")[0][0]
    for view in VIEWS:
        query = view.format(topic_id=topic_id, name=name)
        expected, found = rows(engine, query), rows(server_engine, query)
        columns = query.partition(" FROM")[0].removeprefix("SELECT ").split(", ")
        if metric == "Serial" and "value" in columns:
            # A text is no number: a column of a server has one type.
            for row in expected:
                row[columns.index("value")] = None
        assert found == expected, query
        assert found


def test_counts_are_whole_numbers_in_the_view_data(engine: Engine, server_engine: Engine) -> None:
    written = [reading(at, (1.5, n, "A1")) for at, n in enumerate((0, 7, 123456789, 2**53))]
    both(engine, server_engine, *written)
    query = f"SELECT value_string FROM samples WHERE topic_name = '{METER}/Wh_delivered'"
    found = [row[0] for row in rows(server_engine, f"{query} ORDER BY ts")]
    assert [int(float(str(n))) for n in found] == [0, 7, 123456789, 2**53]


def test_large_counters_are_exact_in_every_view(server_engine: Engine) -> None:
    store(server_engine, reading(0, (1.5, 2**64 - 1, "A1")))
    for view in ("samples", "latest"):
        query = f"SELECT value_string FROM {view} WHERE topic_name = '{METER}/Wh_delivered'"
        assert ask(server_engine, query) == [("18446744073709551615",)]


def test_latest_looks_behind_readings_without_a_value(
    engine: Engine, server_engine: Engine
) -> None:
    both(engine, server_engine, reading(0), reading(1, (None, 9, "A1"), gaps=MISSED), *mute(2, 101))
    query = "SELECT topic_name, ts, value_string FROM latest ORDER BY topic_id"
    found = rows(server_engine, query)
    assert [row[1] for row in found] == [to_text(tick(at)) for at in (0, 1, 1)]
    assert [row[0] for row in found] == [f"{METER}/{metric}" for metric in METRICS]
    assert next(row[1:] for row in rows(engine, query)) == found[0][1:]


def test_latest_readings_are_the_same(engine: Engine, server_engine: Engine) -> None:
    both(
        engine,
        server_engine,
        reading(0, (120.5, 2**63, "007")),
        reading(1, (None, 2**40, "008"), gaps=MISSED),
        *(reading(at, meter=OTHER.name) for at in range(2)),
        *mute(2, 320),
    )
    expected = latest_readings(engine, BOTH)
    assert len(expected) == 4
    assert latest_readings(server_engine, BOTH) == expected


@pytest.mark.parametrize("count", [50, 700])
def test_sparklines_are_the_same(engine: Engine, server_engine: Engine, count: int) -> None:
    written = [reading(at, (120.5 + at % 7, at, "A1")) for at in range(count)]
    both(engine, server_engine, *written, reading(count, (None, 8, "A1"), gaps=MISSED))
    for since in (NOON, tick(7.5), tick(count + 1)):
        expected = sparklines(engine, METER, since)
        assert sparklines(server_engine, METER, since) == expected
    assert set(sparklines(server_engine, METER, NOON)) == {"Voltage_AN", "Wh_delivered"}


def counted(engine: Engine, until: datetime, since: datetime | None = None) -> tuple[object, ...]:
    found = conservation(engine, until=until, since=since)
    facts = (found.due, found.values, found.gaps, found.missing, found.pending, found.doubled)
    return (*facts, found.strays, found.silent, found.examples)


def test_what_was_due_is_counted_the_same(engine: Engine, server_engine: Engine) -> None:
    both(
        engine,
        server_engine,
        *(reading(at) for at in range(9)),
        reading(9, (None, 7, "A1"), gaps=MISSED),
        *(reading(at, meter=OTHER.name) for at in range(10)),
    )
    assert counted(server_engine, tick(10))[:3] == (60, 59, 1)
    for until, since in ((tick(10), None), (tick(30), None), (tick(8), tick(3.5))):
        assert counted(server_engine, until, since) == counted(engine, until, since)
    assert counted(server_engine, tick(30))[4] == 120
    # The same faults in both: one row gone, one gap too many, one row beside the grid.
    faults = (
        "DELETE FROM readings WHERE meter_id = 1 AND ts = '2026-03-01 12:00:03.000000'",
        "INSERT INTO gaps VALUES (2, '2026-03-01 12:00:04.000000', '2026-03-01 12:00:06.000000',"
        " 'overrun')",
        "UPDATE readings SET ts = '2026-03-01 12:00:05.500000'"
        " WHERE meter_id = 1 AND ts = '2026-03-01 12:00:05.000000'",
    )
    for each in (engine, server_engine):
        with connected(each, write=True) as connection:
            zone = {"postgresql": "SET LOCAL timezone = 'UTC'"}.get(each.dialect.name)
            for fault in filter(None, (zone, *faults)):
                connection.execute(text(fault))
    found = counted(server_engine, tick(10))
    assert found == counted(engine, tick(10))
    assert found[3] == 6
    assert found[5:7] == (6, 1)


def test_ticks_before_the_end_of_a_retention_are_not_due(
    engine: Engine, server_engine: Engine
) -> None:
    both(engine, server_engine, *(reading(at) for at in range(10)), profiles=BOTH[:1])
    for each in (engine, server_engine):
        with connected(each, write=True) as connection:
            connection.execute(text("DELETE FROM readings WHERE ts < :end"), {"end": at_six(each)})
            ends = (to_text(NOON - timedelta(days=1)), to_text(tick(6)))
            dialect_of(connection).insert_gaps(connection, [(1, *ends, "retention")])
    assert counted(server_engine, tick(10))[:4] == (12, 12, 0, 0)
    assert counted(server_engine, tick(10)) == counted(engine, tick(10))


def at_six(engine: Engine) -> object:
    return tick(6) if engine.dialect.name == "postgresql" else to_text(tick(6))


@pytest.mark.parametrize("clean", [False, True])
def test_time_without_the_program_becomes_one_gap(server_engine: Engine, clean: bool) -> None:
    store(server_engine, reading(0), profiles=BOTH[:1])
    if not clean:
        ask(server_engine, "DELETE FROM gaps")
    store(server_engine, reading(60), profiles=BOTH[:1], now=tick(60))
    query = "SELECT from_ts, to_ts, reason FROM gaps WHERE from_ts < to_ts"
    ((start, end, reason),) = ask(server_engine, query)
    assert [plain(start), plain(end)] == [to_text(tick(1)), to_text(tick(60))]
    assert reason == (downtime.STOPPED if clean else downtime.KILLED)
    assert conservation(server_engine, until=tick(61)).holds
