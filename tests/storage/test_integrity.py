from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.storage.database import open_engine
from emdc.storage.integrity import examine, unchecked
from emdc.storage.migrate import prepare
from tests.servers import fresh, postgresql
from tests.storage.plant import METER, execute, profile, reading, rows, store, tick
from tests.storage.reckoned import reckon


@pytest.fixture
def recorded(engine: Engine) -> Engine:
    store(engine, *(reading(at) for at in range(10)), reading(DAYS))
    reckon(engine, tick(DAYS + 3600))
    return engine


@pytest.fixture
def served(server_url: str) -> Iterator[Engine]:
    opened = open_engine(server_url)
    prepare(opened)
    store(opened, *(reading(at) for at in range(10)), reading(10, (None, 7, "A1"), gaps=MISSED))
    store(opened, reading(DAYS))
    reckon(opened, tick(DAYS + 3600))
    yield opened
    opened.dispose()


MISSED = {"Voltage_AN": "read_timeout"}
DAYS = 2 * 86_400


def found(engine: Engine) -> list[str]:
    return [finding.what for finding in examine(engine)]


def change(engine: Engine, sql: str) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(sql)


def test_sound_database_has_no_finding(recorded: Engine) -> None:
    assert found(recorded) == []


def test_sound_database_of_a_server_has_no_finding(served: Engine) -> None:
    assert found(served) == []


DAMAGES = {
    "UPDATE readings SET vals = '[1,2' WHERE ts LIKE '%:03.%'": "12:00:03.000000: values",
    "UPDATE readings SET vals = '[1,2,3,4]' WHERE ts LIKE '%:03.%'": "of at most 3",
    "UPDATE readings SET vals = '{}' WHERE ts LIKE '%:03.%'": "12:00:03.000000: values",
    "UPDATE readings SET vals = '[1,[2],3]' WHERE ts LIKE '%:03.%'": "numbers and texts",
    "UPDATE readings SET vals = '[1,true]' WHERE ts LIKE '%:03.%'": "numbers and texts",
    "UPDATE meta SET metadata = '[' WHERE topic_id = 2": "meta of topic 2",
    "UPDATE readings SET gaps = 'x' WHERE ts LIKE '%:03.%'": "gaps 'x'",
    "UPDATE readings SET gaps = '{\"overrun\":[9]}' WHERE ts LIKE '%:03.%'": "expected reasons",
    "UPDATE schedules SET slots = '[0,1,7]'": "schedule of 2026-03-01",
    "UPDATE topics SET slot = NULL WHERE topic_name LIKE '%Serial'": "do not go together",
    "UPDATE topics SET meter_id = 99 WHERE topic_name LIKE '%Serial'": "no meter 99",
    "UPDATE readings SET meter_id = 99 WHERE ts LIKE '%:03.%'": "rows of meter 99",
    "INSERT INTO gaps VALUES (1, '2026-03-02', '2026-03-01', 'overrun')": "ends before it begins",
    "UPDATE interval_days SET counts = '[1]' WHERE topic_id = 1": "Voltage_AN at 2026-03-01",
    "UPDATE interval_days SET counts = '[' WHERE topic_id = 1": "Voltage_AN at 2026-03-01",
    "UPDATE interval_days SET energies = replace(energies, 'null]', '-1]')": "of 0 and more",
    "UPDATE interval_days SET qualities = replace(qualities, 'null]', '9]')": "a quality for each",
    "UPDATE interval_days SET qualities = replace(qualities, 'null]', '1]')": "a quality for each",
    "UPDATE interval_rows SET counts = '[1,1,1,1]'": "nexus_meter at 2026-03-03 00:00:00",
    "UPDATE interval_rows SET counts = '[-1,1,1]'": "nexus_meter at 2026-03-03 00:00:00",
    "UPDATE interval_progress SET meter_id = 99": "interval_progress: rows of meter 99",
    "UPDATE interval_days SET topic_id = 99 WHERE topic_id = 1": "days: rows of topic 99",
    "INSERT INTO topics (topic_id, topic_name) VALUES (9, 'uw/mercer/NEXUS_METER/Serial')": "case",
}


@pytest.mark.parametrize("sql", DAMAGES)
def test_each_damage_is_named(recorded: Engine, path: Path, sql: str) -> None:
    execute(path, f"PRAGMA foreign_keys=OFF; {sql}")
    assert any(DAMAGES[sql] in what for what in found(recorded)), found(recorded)


def test_damaged_page_is_named(recorded: Engine, path: Path) -> None:
    execute(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    recorded.dispose()
    key = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_readings_1'"
    ((page,),) = rows(path, key)
    content = bytearray(path.read_bytes())
    for place in range((page - 1) * 4096, (page - 1) * 4096 + 96):
        content[place] ^= 0xFF
    path.write_bytes(content)
    assert any("the file is damaged" in what for what in found(recorded))


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE readings SET gaps = '{\"overrun\":[9]}' WHERE gaps IS NULL", "expected reasons"),
        ("UPDATE schedules SET slots = '[0,1,7]'", "schedule of 2026-03-01"),
        ("UPDATE topics SET slot = NULL WHERE topic_name LIKE '%%Serial'", "of at most 2"),
        ("UPDATE interval_days SET energies = '[-1]'", "Voltage_AN at 2026-03-01"),
    ],
)
def test_damage_on_a_server_is_named(served: Engine, sql: str, said: str) -> None:
    change(served, sql)
    assert any(said in what for what in found(served)), found(served)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_what_is_not_finite_is_named_on_postgresql(number: str) -> None:
    with fresh(postgresql()) as url:
        opened = open_engine(url)
        prepare(opened)
        store(opened, *(reading(at) for at in range(3)))
        change(opened, f"UPDATE readings SET vals[1] = '{number}' WHERE vals[1] IS NOT NULL")
        assert any("12:00:01.000000: values" in what for what in found(opened))
        assert "CREATE EXTENSION amcheck" in str(unchecked(opened))
        change(opened, "CREATE EXTENSION amcheck")
        assert unchecked(opened) is None
        assert not any("index" in what for what in found(opened))
        opened.dispose()


def test_twins_by_case_are_strange_and_no_damage(engine: Engine) -> None:
    store(engine, reading(0), profiles=(profile(), profile(METER.upper())), now=tick(0))
    findings = list(examine(engine))
    assert len(findings) == 3
    assert not any(finding.damage for finding in findings)
