import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from emdc.errors import ConfigError, SchemaError, StorageError
from emdc.storage import schema
from emdc.storage.database import open_engine
from emdc.storage.migrate import current, prepare, preview, require_head, upgrade, url_of
from tests.storage.old_collector import ROWS, SCRIPT_SQLITE, ZONE
from tests.storage.plant import execute, plan_of, reading, rows, store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{path}")
    yield opened
    opened.dispose()


def alembic(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("revision", schema.REVISIONS[:-1])
def test_each_old_revision_without_rows_becomes_head(engine: Engine, revision: str) -> None:
    upgrade(engine, revision)
    assert current(engine) == revision
    upgrade(engine)
    require_head(engine)


@pytest.mark.parametrize("revision", schema.OLD_REVISIONS)
def test_each_old_revision_keeps_its_rows(engine: Engine, path: Path, revision: str) -> None:
    upgrade(engine, revision)
    execute(path, ROWS)
    upgrade(engine, data_timezone=ZONE)
    store(engine, reading(0, (119.0, 1, "A1")))
    query = "SELECT ts, value_string FROM data WHERE topic_id = 7 ORDER BY ts"
    assert rows(path, query) == [
        ("2019-11-03 01:30:00.000000", "121.25"),
        ("2019-11-03 01:31:00.000000", "offline"),
        ("2026-03-01 12:00:00.000000", "119.0"),
    ]
    assert rows(path, "SELECT zone FROM data_old_zone") == [(ZONE,)]
    samples = "SELECT value, zone FROM samples WHERE topic_name LIKE '%Voltage_AN' ORDER BY ts"
    assert rows(path, samples) == [(121.25, ZONE), ("offline", ZONE), (119.0, "UTC")]


def test_views_over_old_rows_still_seek(engine: Engine, path: Path) -> None:
    upgrade(engine, schema.OLD_REVISIONS[-1])
    execute(path, ROWS)
    upgrade(engine, data_timezone="keep")
    for view, where in (("data", "topic_id = 7"), ("samples", "topic_name = 'x'")):
        plan = plan_of(path, f"SELECT ts, value_string FROM {view} WHERE {where}")
        assert not {"SCAN t", "SCAN r", "SCAN o", "SCAN data_old"} & set(plan)
        assert any(step.startswith("SEARCH r") and "(meter_id=?)" in step for step in plan)


@pytest.mark.parametrize("with_index", [False, True])
def test_database_made_by_hand_is_recognised(engine: Engine, path: Path, with_index: bool) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    if with_index:
        execute(path, "CREATE INDEX topic_id_idx ON data (topic_id)")
    upgrade(engine, data_timezone=ZONE)
    require_head(engine)
    assert len(rows(path, "SELECT * FROM data WHERE topic_id = 7")) == 2


def test_old_rows_need_a_zone_and_nothing_happens_without(engine: Engine, path: Path) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    with pytest.raises(ConfigError, match=r"2 old readings from 2019-11-03 .*--data_timezone=ZONE"):
        upgrade(engine)
    assert current(engine) is None
    assert rows(path, "SELECT type FROM sqlite_master WHERE name = 'data'") == [("table",)]


def test_unknown_zone_is_refused(engine: Engine, path: Path) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    with pytest.raises(ConfigError, match="Mars/Olympus: unknown zone"):
        upgrade(engine, data_timezone="Mars/Olympus")


def test_users_view_of_data_sees_the_new_view(engine: Engine, path: Path) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    execute(path, "CREATE VIEW mine AS SELECT value_string FROM data WHERE topic_id = 7")
    upgrade(engine, data_timezone="keep")
    sql = rows(path, "SELECT sql FROM sqlite_master WHERE name = 'mine'")[0][0]
    assert "data_old" not in sql
    assert len(rows(path, "SELECT * FROM mine")) == 2


def test_foreign_tables_are_not_touched(engine: Engine, path: Path) -> None:
    execute(path, "CREATE TABLE data (day, mood)")
    with pytest.raises(SchemaError, match="neither empty nor a database of this program"):
        upgrade(engine)
    assert rows(path, "SELECT name FROM sqlite_master") == [("data",)]


def test_new_database_is_created_and_an_old_one_is_not_touched(engine: Engine, path: Path) -> None:
    prepare(engine)
    prepare(engine)
    assert current(engine) == schema.HEAD


def test_check_names_the_command(engine: Engine, path: Path) -> None:
    execute(path, SCRIPT_SQLITE)
    with pytest.raises(SchemaError, match=f"run emdc migrate --db_host={path}$"):
        prepare(engine)
    execute(path, ROWS)
    with pytest.raises(SchemaError, match=f"--db_host={path} --data_timezone=ZONE$"):
        require_head(engine)


def test_newer_database_is_refused_by_check_and_upgrade(engine: Engine, path: Path) -> None:
    prepare(engine)
    execute(path, "UPDATE alembic_version SET version_num = 'ffffffffffff'")
    for refused in (require_head, upgrade, prepare):
        with pytest.raises(SchemaError, match="made by a newer one"):
            refused(engine)


def test_unknown_revision_names_the_known_ones(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="head, b80fb9e8acd7"):
        upgrade(engine, "deadbeef")


def test_upgrade_waits_for_no_half_way_state(engine: Engine, path: Path) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    # The last statements of the upgrade fail: a table of that name is in their way.
    execute(path, "CREATE TABLE latest (x)")
    with pytest.raises(StorageError, match="latest already exists"):
        upgrade(engine, data_timezone="keep")
    assert current(engine) is None
    assert len(rows(path, "SELECT * FROM data")) == 2


def test_downgrade_refuses_while_there_are_readings(engine: Engine, path: Path) -> None:
    upgrade(engine, schema.OLD_REVISIONS[-1])
    execute(path, ROWS)
    upgrade(engine, data_timezone="keep")
    store(engine, reading(0))
    engine.dispose()
    back = ("downgrade", schema.OLD_REVISIONS[-1])
    refused = alembic("-x", f"db_host={path}", *back)
    assert refused.returncode != 0
    assert "would drop 1 readings" in refused.stdout + refused.stderr
    assert alembic("-x", f"db_host={path}", "-x", "discard=yes", *back).returncode == 0
    assert len(rows(path, "SELECT * FROM data WHERE topic_id = 7")) == 2


def test_users_view_of_data_survives_the_way_back(engine: Engine, path: Path) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    execute(path, "CREATE VIEW mine AS SELECT value_string FROM data WHERE topic_id = 7")
    upgrade(engine, data_timezone="keep")
    engine.dispose()
    assert alembic("-x", f"db_host={path}", "downgrade", schema.OLD_REVISIONS[-1]).returncode == 0
    assert len(rows(path, "SELECT * FROM mine")) == 2


def test_dry_run_says_what_an_upgrade_would_do_and_changes_nothing(
    engine: Engine, path: Path
) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    engine.dispose()
    before = path.read_bytes()
    lines = preview(engine, data_timezone=ZONE)
    assert lines[0] == f"from revision {schema.OLD_REVISIONS[-2]} to {schema.HEAD}"
    assert [line.split()[0] for line in lines[1:4]] == list(schema.REVISIONS[-3:])
    assert "  first  2019-11-03 01:30:00 there  2019-11-03 08:30:00 UTC" in lines
    engine.dispose()
    assert path.read_bytes() == before


def test_dry_run_without_a_zone_says_that_one_is_needed(engine: Engine, path: Path) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    assert "--data_timezone=ZONE is needed" in preview(engine)[-1]
    assert not any("zone" in line for line in preview(engine, schema.OLD_REVISIONS[-1]))


@pytest.mark.parametrize("at", [*schema.REVISIONS, ""])
def test_dry_run_lists_the_revisions_up_to_the_one_that_is_asked_for(
    engine: Engine, at: str
) -> None:
    if at:
        upgrade(engine, at)
    target = schema.OLD_REVISIONS[2]
    left = schema.REVISIONS[schema.REVISIONS.index(at) + 1 if at else 0 : 3]
    lines = preview(engine, target)
    if left:
        assert [line.split()[0] for line in lines[1:]] == list(left)
    else:
        assert lines == [f"is at revision {at} already: nothing to do"]


def test_dry_run_refuses_what_an_upgrade_refuses(engine: Engine, path: Path) -> None:
    with pytest.raises(ConfigError, match="expected one of head, b80fb9e8acd7"):
        preview(engine, "deadbeef")
    execute(path, "CREATE TABLE data (day, mood)")
    with pytest.raises(SchemaError, match="neither empty nor a database of this program"):
        preview(engine)


def test_plain_alembic_recognises_and_upgrades(path: Path) -> None:
    execute(path, SCRIPT_SQLITE + ROWS)
    bare = alembic("-x", f"db_host={path}", "upgrade", "head")
    assert "--data_timezone=ZONE" in bare.stdout + bare.stderr
    zone = ("-x", "data_timezone=keep")
    assert alembic("-x", f"db_host={path}", *zone, "upgrade", "head").returncode == 0
    shown = alembic("-x", f"db_host={path}", "current")
    assert schema.HEAD in shown.stdout


def test_plain_alembic_finds_no_difference_to_the_tables(path: Path) -> None:
    assert alembic("-x", f"db_host={path}", "upgrade", "head").returncode == 0
    assert alembic("-x", f"db_host={path}", "check").returncode == 0


def test_settings_name_a_database_as_the_flags_do() -> None:
    assert url_of({"db_host": "a.db"}) == URL.create("sqlite", database="a.db")
    url = url_of({"db_type": "mysql+mysqlconnector", "db_host": "db", "db_port": "3307"})
    assert url.render_as_string() == "mysql+mysqlconnector://uwsolar@db:3307/uwsolar"
    with pytest.raises(ConfigError, match="db_host is missing"):
        url_of({})
