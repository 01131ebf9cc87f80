from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from emdc.storage import steps
from emdc.storage.database import connected, open_engine
from emdc.storage.migrate import SCRIPTS
from tests.servers import fresh, mariadb


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture(params=["sqlite", "mariadb"])
def connection(request: pytest.FixtureRequest, path: Path, told: list[str]) -> Iterator[Connection]:
    """One inside of a revision, with a table `t` of one row."""
    if request.param == "sqlite":
        yield from _revision(f"sqlite:///{path}", told)
    else:
        with fresh(mariadb()) as url:
            yield from _revision(url, told)


def _revision(url: str, told: list[str]) -> Iterator[Connection]:
    config = Config(attributes={"say": told.append})
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("path_separator", "os")
    engine = open_engine(url)
    with (
        EnvironmentContext(config, ScriptDirectory.from_config(config)) as environment,
        connected(engine, write=True) as connection,
    ):
        environment.configure(connection=connection)
        with Operations.context(environment.get_context()):
            steps.create_table("t", [sa.Column("n", sa.Integer()), sa.Column("m", sa.Integer())])
            connection.exec_driver_sql("INSERT INTO t VALUES (1, 2)")
            yield connection
    engine.dispose()


STEPS: dict[str, Callable[[], None]] = {
    "create_table": lambda: steps.create_table("u", [sa.Column("n", sa.Integer())]),
    "drop_table": lambda: steps.drop_table("t"),
    "rename_table": lambda: steps.rename_table("t", "u"),
    "create_index": lambda: steps.create_index("i", "t", ["n"], unique=True),
    "add_column": lambda: steps.add_column("t", sa.Column("k", sa.Integer())),
    "drop_column": lambda: steps.drop_column("t", "m"),
    "create_view": lambda: steps.create_view("v", "CREATE VIEW v AS SELECT n FROM t"),
}


def shape(connection: Connection) -> list[Any]:
    """Tables with columns and indexes, and views."""
    seen = sa.inspect(connection)
    return [
        (name, sorted(c["name"] for c in seen.get_columns(name)), seen.get_indexes(name))
        for name in seen.get_table_names()
    ] + seen.get_view_names()


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_step_that_is_taken_again_changes_nothing_more(
    connection: Connection, step: Callable[[], None]
) -> None:
    before = shape(connection)
    step()
    once = shape(connection)
    assert once != before
    step()
    assert shape(connection) == once


def test_what_is_created_can_be_dropped_twice(connection: Connection) -> None:
    before = shape(connection)
    STEPS["create_index"]()
    STEPS["create_view"]()
    for _ in range(2):
        steps.drop_view("v")
        steps.drop_index("i", "t")
    assert shape(connection) == before


def test_only_rows_that_are_missing_are_inserted(connection: Connection) -> None:
    table = [sa.Column("name", sa.String(9)), sa.Column("word", sa.String(9))]
    steps.create_table("names", table)
    steps.insert_missing("names", [{"name": "a", "word": "old"}], "name")
    steps.insert_missing(
        "names", [{"name": "a", "word": "new"}, {"name": "b", "word": "new"}], "name"
    )
    found = connection.exec_driver_sql("SELECT name, word FROM names ORDER BY name").all()
    assert found == [("a", "old"), ("b", "new")]


def test_view_of_an_older_text_is_replaced(connection: Connection) -> None:
    STEPS["create_view"]()
    steps.create_view("v", "CREATE VIEW v AS SELECT m FROM t")
    assert connection.exec_driver_sql("SELECT * FROM v").all() == [(2,)]


def test_view_goes_on_to_name_what_a_renamed_table_was_called(connection: Connection) -> None:
    STEPS["create_view"]()
    steps.rename_table("t", "u")
    # The view means nothing now, and is in nobody's way.
    steps.rename_table("u", "w")
    connection.exec_driver_sql("CREATE TABLE t (n INTEGER)")
    connection.exec_driver_sql("INSERT INTO t VALUES (5)")
    assert connection.exec_driver_sql("SELECT * FROM v").all() == [(5,)]


def test_view_is_no_table(connection: Connection) -> None:
    STEPS["create_view"]()
    assert steps.has_table("t")
    assert not steps.has_table("v")


def test_long_step_is_told_of_when_there_are_rows(connection: Connection, told: list[str]) -> None:
    steps.announce("t", "index by topic")
    assert told == ["t: index by topic"]
    connection.exec_driver_sql("DELETE FROM t")
    steps.announce("t", "index by topic")
    assert len(told) == 1


def test_change_for_mysql_is_made_there_alone(connection: Connection, told: list[str]) -> None:
    steps.alter_mysql("t", "ADD COLUMN k INTEGER", "one more")
    mysql = connection.dialect.name == "mysql"
    assert steps.is_mysql() is mysql
    assert ("k" in {c["name"] for c in sa.inspect(connection).get_columns("t")}) is mysql
    assert told == (["t: one more"] if mysql else [])
