from pathlib import Path

from sqlalchemy import Engine

from tests.storage.plant import METER, METRICS, plan_of, profile, reading, rows, store, tick

EARLIER = {"now": tick(0)}


def seeks(path: Path, sql: str) -> bool:
    plan = plan_of(path, sql)
    return not {"SCAN t", "SCAN r"} & set(plan)


def test_old_queries_on_data_answer(engine: Engine, path: Path) -> None:
    store(engine, reading(0, (120.25, 7, "A1")), reading(1, (121.0, 8, "A1")))
    topic_id = rows(path, "SELECT topic_id FROM topics WHERE topic_name LIKE '%Voltage_AN'")[0][0]
    sql = f"SELECT ts, value_string FROM data WHERE topic_id = {topic_id}"
    assert rows(path, sql) == [
        ("2026-03-01 12:00:00.000000", "120.25"),
        ("2026-03-01 12:00:01.000000", "121.0"),
    ]
    assert seeks(path, sql)
    assert "USE TEMP B-TREE FOR ORDER BY" not in plan_of(path, f"{sql} ORDER BY ts DESC LIMIT 1")


def test_join_by_topic_name_seeks(path: Path, engine: Engine) -> None:
    assert seeks(
        path,
        "SELECT d.ts, d.value_string FROM data AS d JOIN topics USING (topic_id)"
        " WHERE topic_name = 'x'",
    )


def test_samples_by_name_have_number_text_and_unit(engine: Engine, path: Path) -> None:
    store(engine, reading(0, (120.25, 2**60, "A1")))
    sql = "SELECT value, value_string, unit, zone FROM samples WHERE topic_name = ?"
    assert rows(path, sql, f"{METER}/Voltage_AN") == [(120.25, "120.25", "V", "UTC")]
    assert rows(path, sql, f"{METER}/Wh_delivered") == [(str(2**60), str(2**60), "Wh", "UTC")]
    assert rows(path, sql, f"{METER}/Serial") == [("A1", "A1", "", "UTC")]
    assert seeks(path, "SELECT ts, value FROM samples WHERE topic_name = 'x' AND ts > '2026'")


def test_value_string_keeps_every_digit(engine: Engine, path: Path) -> None:
    store(engine, reading(0, (0.1 + 0.2, 0.1 + 0.2, 'say "hi" \\ \n null')))
    stored = [row[0] for row in rows(path, "SELECT value_string FROM data ORDER BY topic_id")]
    assert stored == ["0.3", "0.30000000000000004", 'say "hi" \\ \n null']


def test_missing_values_are_no_rows(engine: Engine, path: Path) -> None:
    gaps = {"Voltage_AN": "read_timeout"}
    store(engine, reading(0, (None, 7, "A1"), gaps=gaps))
    assert rows(path, "SELECT value_string FROM data") == [("7",), ("A1",)]


def test_latest_is_the_newest_value_of_each_topic(engine: Engine, path: Path) -> None:
    manual = reading(1.5, (122.0,), metrics=("Voltage_AN",), scheduled=False)
    store(engine, reading(0), reading(1, (121.0, 8, "A1")), manual)
    found = rows(path, "SELECT topic_name, value FROM latest ORDER BY topic_id")
    assert [value for _, value in found] == [122.0, 8, "A1"]
    assert seeks(path, "SELECT value FROM latest WHERE topic_name = 'x'")


def test_latest_of_a_meter_that_has_been_mute_is_its_last_value(engine: Engine, path: Path) -> None:
    gaps = dict.fromkeys(METRICS, "connect_timeout")
    silence = (reading(at, (None, None, None), gaps=gaps) for at in range(1, 102))
    store(engine, reading(0), *silence)
    found = rows(path, "SELECT ts, value FROM latest ORDER BY topic_id")
    assert found == [("2026-03-01 12:00:00.000000", value) for value in (120.5, 7, "A1")]


def test_two_meters_do_not_mix(engine: Engine, path: Path) -> None:
    other = profile("UW/Elm/eaton_meter")
    store(
        engine,
        reading(0, (1.0, 1, "A1")),
        reading(0, (2.0, 2, "B2"), meter=other.name),
        profiles=(profile(), other),
    )
    sql = "SELECT value FROM samples WHERE topic_name = ?"
    assert rows(path, sql, f"{other.name}/Voltage_AN") == [(2.0,)]
    assert rows(path, sql, f"{METER}/Voltage_AN") == [(1.0,)]
