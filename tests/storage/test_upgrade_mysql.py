"""Upgrades on MariaDB: old queries answer as before, and what is asked is asked first."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from emdc.errors import ConfigError, SchemaError, StorageError
from emdc.storage import schema
from emdc.storage.database import connected, open_engine
from emdc.storage.migrate import current, require_head, upgrade
from tests.servers import fresh, mariadb
from tests.storage import plain
from tests.storage.old_collector import (
    BY_HAND,
    MORE_ROWS,
    ZONE,
    ask,
    differences,
    left,
    make,
    run,
)

ROOT = Path(__file__).parents[2]
OLD_QUERIES = (
    "SELECT * FROM data ORDER BY ts, topic_id",
    "SELECT * FROM data WHERE topic_id = 7 AND ts BETWEEN '2019-11-03' AND '2019-11-04' ORDER BY 1",
    "SELECT t.topic_name, d.ts, d.value_string FROM data AS d JOIN topics AS t"
    " ON t.topic_id = d.topic_id WHERE t.topic_name LIKE 'UW/Mercer/%' ORDER BY d.ts",
    "SELECT max(ts), count(*), avg(value_string + 0) FROM data WHERE topic_id = 7",
    "SELECT date(ts), min(value_string) FROM data GROUP BY date(ts)",
    "SELECT unix_timestamp(ts) FROM data ORDER BY ts",
    "SELECT ts FROM data WHERE ts = '2020-07-01 12:00:00.5' AND value_string = 'Größe 7'",
    "SELECT metadata FROM meta WHERE topic_id = 7",
    "SELECT * FROM mine ORDER BY ts",
)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    driver = getattr(request, "param", "mysql+pymysql")
    with fresh(mariadb()) as url:
        opened = open_engine(url.replace("mysql+pymysql", driver))
        yield opened
        opened.dispose()


each_driver = pytest.mark.parametrize(
    "engine", ["mysql+pymysql", "mysql+mysqlconnector"], indirect=True
)


@pytest.fixture
def old(engine: Engine) -> Engine:
    make(engine, BY_HAND)
    return engine


def shape(engine: Engine) -> list[tuple[Any, ...]]:
    """All tables and columns, and all rows of the old ones."""
    name = f"'{engine.url.database}'"
    columns = (
        "SELECT table_name, column_name, column_type, collation_name FROM"
        f" information_schema.columns WHERE table_schema = {name} ORDER BY 1, 2"
    )
    return [*ask(engine, columns), *left(engine)]


def alembic(engine: Engine, *arguments: str) -> subprocess.CompletedProcess[str]:
    address = f"db_url={engine.url.render_as_string(hide_password=False)}"
    command = [sys.executable, "-m", "alembic", "-x", address, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@each_driver
@pytest.mark.parametrize("start", [BY_HAND, *schema.OLD_REVISIONS[::3]])
def test_each_old_database_keeps_every_row_and_answers_old_queries_as_before(
    engine: Engine, start: str
) -> None:
    make(engine, start, MORE_ROWS)
    run(engine, "CREATE VIEW mine AS SELECT ts, value_string AS v FROM data WHERE topic_id = 7")
    rows = left(engine)
    answers = [ask(engine, query) for query in OLD_QUERIES]
    upgrade(engine, data_timezone=ZONE)
    require_head(engine)
    assert left(engine, "data_old") == rows
    assert [ask(engine, query) for query in OLD_QUERIES] == answers
    assert differences(engine) == []


def test_old_rows_are_the_same_in_every_session(old: Engine) -> None:
    run(old, MORE_ROWS)
    run(old, "CREATE VIEW mine AS SELECT count(*) AS n, max(ts) AS newest FROM data")
    zones = [f"SET time_zone = '{zone}'" for zone in ("+00:00", "-08:00", "+10:30")]
    query = "SELECT * FROM data, mine ORDER BY topic_id, ts"
    before = [plain.ask(old, zone, query) for zone in zones]
    upgrade(old, data_timezone=ZONE)
    assert [plain.ask(old, zone, query) for zone in zones] == before


def test_without_old_rows_no_table_of_theirs_stays(old: Engine) -> None:
    run(old, "DELETE FROM data")
    upgrade(old)
    assert differences(old) == []
    assert plain.ask(old, "SHOW TABLES LIKE 'data%'") == [("data",)]


@pytest.mark.parametrize("start", [BY_HAND, schema.OLD_REVISIONS[0]])
def test_old_rows_need_a_zone_before_anything_is_changed(engine: Engine, start: str) -> None:
    make(engine, start)
    before = shape(engine)
    with pytest.raises(ConfigError, match=r"2 old readings from 2019-11-03 09:30:00\+00:00"):
        upgrade(engine)
    with pytest.raises(ConfigError, match="Mars/Olympus: unknown zone"):
        upgrade(engine, data_timezone="Mars/Olympus")
    assert shape(engine) == before


def test_users_view_of_data_survives_the_way_back(old: Engine) -> None:
    run(old, "CREATE VIEW mine AS SELECT ts, value_string AS v FROM data WHERE topic_id = 7")
    rows = ask(old, "SELECT * FROM mine ORDER BY ts")
    upgrade(old, data_timezone=ZONE)
    assert alembic(old, "downgrade", schema.OLD_REVISIONS[-1]).returncode == 0
    assert ask(old, "SELECT * FROM mine ORDER BY ts") == rows


def test_first_steps_that_are_asked_for_alone_need_no_zone(old: Engine) -> None:
    upgrade(old, schema.OLD_REVISIONS[-1])
    assert current(old) == schema.OLD_REVISIONS[-1]


@each_driver
def test_zero_date_is_refused_before_anything_is_changed(old: Engine) -> None:
    run(old, "SET sql_mode = ''; INSERT INTO data VALUES ('0000-00-00', 7, '1')")
    before = shape(old)
    with pytest.raises(SchemaError, match=r"'0000-00-00.*mend that row or delete it"):
        upgrade(old)
    assert shape(old) == before


@each_driver
def test_server_that_works_for_long_is_waited_for_where_that_is_expected(engine: Engine) -> None:
    hasty = open_engine(engine.url, silence_s=1)
    patient = open_engine(engine.url, silence_s=None)
    long = "SELECT sleep(1.5)"
    with pytest.raises(StorageError), connected(hasty) as connection:
        connection.exec_driver_sql(long)
    with connected(patient) as connection:
        assert connection.exec_driver_sql(long).scalar() == 0
    hasty.dispose()
    patient.dispose()
