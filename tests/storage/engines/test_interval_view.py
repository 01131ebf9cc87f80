"""The view `intervals` gives the same on every engine, and finds a topic by its key."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, insert, select, text

from emdc.storage.database import connected
from emdc.storage.places import Place, place
from emdc.storage.schema import interval_days, interval_rows, meters

DAY = "2026-03-01 00:00:00.000000"
ARRAYS = (
    *("counts", "minima", "maxima", "means", "firsts", "lasts"),
    *("energies", "dues", "qualities"),
)
COLUMNS = (
    "ts, n_values, minimum, maximum, mean, first_value, last_value, consumption, completeness,"
    " quality, unit"
)
ENERGY, POWER, LATER = names = tuple(f"UW/Elm/eaton_meter/{name}" for name in ("Wh", "W", "VA"))


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    return emptied_engine


def placed(engine: Engine) -> dict[str, Place]:
    with connected(engine, write=True) as connection:
        return place(connection, names, units={ENERGY: "Wh", POWER: "W"})


def cells(width: int, known: dict[int, Sequence[Any]]) -> dict[str, str]:
    """Arrays in the order of ARRAYS that hold these at their places, else null."""
    nothing = (None,) * len(ARRAYS)
    columns = zip(*(known.get(number, nothing) for number in range(width)), strict=True)
    return {name: json.dumps(column) for name, column in zip(ARRAYS, columns, strict=True)}


def put_day(engine: Engine, topic_id: int, known: dict[int, Sequence[Any]]) -> None:
    row = {"topic_id": topic_id, "day": DAY, "state": None, **cells(96, known)}
    with connected(engine, write=True) as connection:
        connection.execute(insert(interval_days), row)


def put_row(engine: Engine, ts: str, known: dict[int, Sequence[Any]]) -> None:
    row = {"ts": f"{ts}:00.000000", "states": "{}", **cells(max(known) + 1, known)}
    with connected(engine, write=True) as connection:
        meter_id = connection.execute(select(meters.c.meter_id)).scalar_one()
        connection.execute(insert(interval_rows), {"meter_id": meter_id, **row})


def plain(value: object) -> object:
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC) if value.tzinfo else value:%m-%d %H:%M}"
    return value[5:16] if isinstance(value, str) and value.startswith("2026-") else value


def seen(engine: Engine, where: str) -> list[tuple[object, ...]]:
    query = f"SELECT {COLUMNS} FROM intervals WHERE {where} ORDER BY ts"
    with connected(engine) as connection:
        return [tuple(map(plain, row)) for row in connection.execute(text(query))]


FULL = (15, 1.5, 2.5, 2, 1.5, 2.5, 300.25, 15, 0)


def test_quarter_hours_of_closed_days_and_of_others_are_rows(engine: Engine) -> None:
    topic = placed(engine)[ENERGY]
    put_day(engine, topic.topic_id, {0: FULL, 95: (7, 1, 1, 1, 1, 1, 2, 15, 2)})
    put_row(engine, "2026-03-02 00:15", {topic.slot: (16, -1, 1e6, 0.1, 0, 3, 0, 15, 1)})
    assert seen(engine, f"topic_name = '{ENERGY}'") == [
        ("03-01 00:00", 15, 1.5, 2.5, 2, 1.5, 2.5, 300.25, 100, "measured", "Wh"),
        ("03-01 23:45", 7, 1, 1, 1, 1, 1, 2, 100 * 7 / 15, "suspect", "Wh"),
        ("03-02 00:15", 16, -1, 1e6, 0.1, 0, 3, 0, 100, "recovered", "Wh"),
    ]


def test_quarter_hour_in_both_tables_is_that_of_the_row(engine: Engine) -> None:
    topic = placed(engine)[ENERGY]
    put_day(engine, topic.topic_id, {0: FULL, 1: FULL, 2: FULL})
    put_row(engine, "2026-03-01 00:15", {topic.slot: (1, 9, 9, 9, 9, 9, 9, 15, 3)})
    put_row(engine, "2026-03-01 00:30", {topic.slot + 1: FULL})
    assert [row[:3] for row in seen(engine, f"topic_id = {topic.topic_id}")] == [
        ("03-01 00:00", 15, 1.5),
        ("03-01 00:15", 1, 9),
    ]


def test_quarter_hour_without_a_value_shows_what_was_due_or_counted(engine: Engine) -> None:
    places = placed(engine)
    nothing = (None,) * 5
    due, counted = (0, *nothing, None, 15, None), (0, *nothing, 2.5, None, 1)
    put_day(engine, places[ENERGY].topic_id, {1: due, 2: counted})
    put_row(engine, "2026-03-02 00:00", {places[ENERGY].slot: due, places[POWER].slot: counted})
    expected: list[tuple[object, ...]] = [
        ("03-01 00:15", 0, *nothing, None, 0, None, "Wh"),
        ("03-01 00:30", 0, *nothing, 2.5, None, "recovered", "Wh"),
        ("03-02 00:00", 0, *nothing, None, 0, None, "Wh"),
    ]
    assert seen(engine, f"topic_name = '{ENERGY}'") == expected
    assert seen(engine, f"topic_name = '{POWER}'") == [
        ("03-02 00:00", 0, *nothing, 2.5, None, "recovered", "W")
    ]


def test_topic_that_came_later_than_a_row_is_not_in_it(engine: Engine) -> None:
    places = placed(engine)
    put_row(engine, "2026-03-02 00:00", {places[ENERGY].slot: FULL})
    assert seen(engine, f"topic_name = '{LATER}'") == []


def test_energy_of_a_day_is_the_sum_of_its_quarter_hours(engine: Engine) -> None:
    topic = placed(engine)[ENERGY]
    put_day(engine, topic.topic_id, dict.fromkeys(range(96), FULL))
    put_row(engine, "2026-03-02 00:00", {topic.slot: FULL})
    query = (
        "SELECT sum(i.consumption), count(*) FROM intervals AS i JOIN topics AS t"
        f" ON t.topic_id = i.topic_id WHERE t.topic_name = '{ENERGY}'"
        " AND i.ts >= '2026-03-01 12:00:00' AND i.ts < '2026-03-02 00:15:00'"
    )
    with connected(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL timezone = 'UTC'"))
        assert [tuple(row) for row in connection.execute(text(query))] == [(49 * 300.25, 49)]


DAYS, TOPICS, SOUGHT = 60, 60, "UW/meter 1/33"
QUESTIONS = (
    "SELECT * FROM intervals WHERE topic_name = '{name}'",
    "SELECT ts, mean FROM intervals WHERE topic_id = {topic_id} AND ts >= '2026-03-01' ORDER BY ts",
    "SELECT sum(consumption) FROM intervals WHERE topic_name = '{name}' GROUP BY topic_id",
    "SELECT i.ts, i.mean FROM intervals AS i JOIN topics AS t ON t.topic_id = i.topic_id"
    " WHERE t.topic_name = '{name}'",
)


def fill(engine: Engine) -> Place:
    """Two meters with many topics, days and quarter hours; gives one of the topics."""
    topics = [f"UW/meter {number % 2}/{number}" for number in range(TOPICS)]
    arrays = cells(3, dict.fromkeys(range(3), FULL))
    with connected(engine, write=True) as connection:
        found = place(connection, topics)
        places = found.values()
        days = [f"2026-{1 + number // 28:02}-{1 + number % 28:02}" for number in range(DAYS)]
        rows = [
            {"topic_id": each.topic_id, "day": f"{day} 00:00:00.000000", "state": None, **arrays}
            for each in places
            for day in days
        ]
        connection.execute(insert(interval_days), rows)
        quarters = [
            {"meter_id": meter_id, "ts": f"2026-05-01 {hour:02}:15:00.000000", "states": "{}"}
            for hour in range(24)
            for meter_id in {each.meter_id for each in places}
        ]
        connection.execute(insert(interval_rows), [{**row, **arrays} for row in quarters])
    return found[SOUGHT]


def test_topic_is_looked_for_by_its_key(engine: Engine) -> None:
    topic = fill(engine)
    for question in QUESTIONS:
        plan = explained(engine, question.format(name=SOUGHT, topic_id=topic.topic_id))
        if engine.dialect.name == "mysql":
            found = {row[2]: row[3] for row in plan}
            assert {found["d"], found["r"]} <= {"ref", "eq_ref"}, plan
            continue
        steps = " ".join(str(row[-1]) for row in plan)
        assert any(key in steps for key in ("SEARCH d USING INDEX", "interval_days_pkey")), steps
        assert not any(whole in steps for whole in ("SCAN d", "Seq Scan on interval_d")), steps


def explained(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    """How the engine would go about it."""
    look = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with connected(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("ANALYZE"))
        return [tuple(row) for row in connection.execute(text(f"{look} {query}"))]
