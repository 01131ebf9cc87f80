from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.reading import MeterProfile, Topic
from emdc.storage.conservation import conservation
from tests.storage.plant import METER, execute, profile, reading, store, tick

TICKS = 10
MISSED = {"Voltage_AN": "read_timeout"}


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    """Ten ticks of two meters with three metrics; one value is a gap."""
    other = profile("UW/Elm/eaton_meter")
    store(
        engine,
        *(reading(at) for at in range(TICKS - 1)),
        reading(TICKS - 1, (None, 7, "A1"), gaps=MISSED),
        *(reading(at, meter=other.name) for at in range(TICKS)),
        profiles=(profile(), other),
    )
    return engine


def test_complete_run_is_conserved(recorded: Engine) -> None:
    found = conservation(recorded, until=tick(TICKS))
    assert (found.due, found.values, found.gaps) == (60, 59, 1)
    assert (found.missing, found.doubled, found.strays, found.holds) == (0, 0, 0, True)


def test_ticks_after_the_end_are_not_due(recorded: Engine) -> None:
    assert conservation(recorded, until=tick(4)).due == 24
    assert conservation(recorded, until=tick(4.5)).due == 30
    assert conservation(recorded, until=tick(-5)).due == 0


def test_dropped_row_is_found(recorded: Engine, path: Path) -> None:
    execute(path, "DELETE FROM readings WHERE meter_id = 1 AND ts LIKE '%12:00:03%'")
    found = conservation(recorded, until=tick(TICKS))
    assert (found.missing, found.values, found.holds) == (3, 56, False)
    assert found.examples == [f"missing: {METER} at 2026-03-01 12:00:03.000000, slots 0, 1, 2"]


def test_last_row_dropped_is_found(recorded: Engine, path: Path) -> None:
    execute(path, "DELETE FROM readings WHERE meter_id = 2 AND ts LIKE '%12:00:09%'")
    assert conservation(recorded, until=tick(TICKS)).missing == 3


def test_value_and_gap_together_are_found(recorded: Engine, path: Path) -> None:
    execute(
        path,
        "UPDATE readings SET gaps = '{\"overrun\":[1]}' WHERE meter_id = 1 AND ts LIKE '%:05.%';"
        "INSERT INTO gaps VALUES (2, '2026-03-01 12:00:07.000000', '2026-03-01 12:00:08.000000',"
        " 'overrun')",
    )
    found = conservation(recorded, until=tick(TICKS))
    assert (found.doubled, found.missing, found.holds) == (4, 0, False)


def test_gap_without_a_reason_is_found(recorded: Engine, path: Path) -> None:
    execute(path, "UPDATE readings SET gaps = NULL WHERE gaps IS NOT NULL")
    assert conservation(recorded, until=tick(TICKS)).missing == 1


def test_row_at_another_instant_is_found(recorded: Engine, path: Path) -> None:
    execute(
        path,
        "UPDATE readings SET ts = '2026-03-01 12:00:03.500000'"
        " WHERE meter_id = 1 AND ts LIKE '%12:00:03%'",
    )
    found = conservation(recorded, until=tick(TICKS))
    assert (found.missing, found.strays) == (3, 1)


def test_two_gaps_for_one_tick_are_found(recorded: Engine, path: Path) -> None:
    execute(path, "DELETE FROM readings WHERE meter_id = 1 AND ts LIKE '%12:00:03%'")
    ends = "'2026-03-01 12:00:03.000000', '2026-03-01 12:00:04.000000'"
    one = f"INSERT INTO gaps VALUES (1, {ends}, 'overrun')"
    execute(path, one)
    assert conservation(recorded, until=tick(TICKS)).holds
    execute(path, one.replace("overrun", "queue_full"))
    assert conservation(recorded, until=tick(TICKS)).doubled == 3


def test_values_of_another_plan_do_not_count_for_this_one(engine: Engine, path: Path) -> None:
    topics = (Topic("a"), Topic("b", interval_s=5), Topic("c"))
    every = {0: ("a", "b", "c"), 1: ("a", "c"), 2: ("a", "c")}
    readings = [reading(at, (1.0,) * len(names), metrics=names) for at, names in every.items()]
    store(engine, *readings, profiles=[MeterProfile(METER, topics, 1.0)])
    found = conservation(engine, until=tick(3))
    assert (found.due, found.values, found.holds) == (7, 7, True)
    execute(path, "UPDATE readings SET vals = '[1.0,1.0]' WHERE ts LIKE '%:01.%'")
    assert conservation(engine, until=tick(3)).missing == 1


def test_manual_readings_owe_nothing(recorded: Engine) -> None:
    store(recorded, reading(9.5, scheduled=False), now=tick(9.6))
    assert conservation(recorded, until=tick(TICKS)).due == 30 + 27 + 3
