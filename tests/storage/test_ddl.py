import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from emdc.errors import StorageError
from emdc.storage import ddl
from emdc.storage.database import connected, open_engine
from emdc.storage.migrate import current, require_head
from emdc.storage.schema import HEAD, VOLTTRON_TABLES, metadata
from tests.storage.plant import execute, rows

ENGINES = ("sqlite", "postgresql", "mariadb", "mysql")


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    """An empty database."""
    opened = open_engine(f"sqlite:///{path}")
    yield opened
    opened.dispose()


def create(engine: Engine) -> None:
    with connected(engine, write=True) as connection:
        ddl.create(connection)


def made(path: Path) -> list[tuple[str, ...]]:
    """What is in a file, leaving spaces out of account."""
    objects = rows(path, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")
    return [(kind, name, "".join(str(sql).split())) for kind, name, sql in objects]


def test_new_database_has_every_table_and_view_and_says_so(engine: Engine) -> None:
    create(engine)
    assert set(inspect(engine).get_table_names()) == set(metadata.tables)
    assert set(inspect(engine).get_view_names()) == set(ddl.VIEWS)
    require_head(engine)


@pytest.mark.parametrize(
    "begun",
    [
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
        " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))",
        "DROP TABLE readings; DROP VIEW data; DELETE FROM alembic_version",
        "DROP VIEW latest; DELETE FROM alembic_version",
        "DROP VIEW intervals; DROP TABLE interval_progress; DELETE FROM alembic_version",
        "DELETE FROM volttron_table_definitions; DELETE FROM alembic_version",
        "DELETE FROM volttron_table_definitions WHERE table_id = 'data_table';"
        " DELETE FROM alembic_version",
        "DELETE FROM alembic_version",
    ],
)
def test_creation_that_was_ended_on_its_way_is_completed(
    engine: Engine, path: Path, tmp_path: Path, begun: str
) -> None:
    whole = open_engine(f"sqlite:///{tmp_path}/whole.db")
    create(whole)
    whole.dispose()
    if not begun.startswith("CREATE"):
        create(engine)
    execute(path, begun)
    create(engine)
    assert made(path) == made(tmp_path / "whole.db")
    assert sorted(rows(path, "SELECT * FROM volttron_table_definitions")) == sorted(VOLTTRON_TABLES)
    assert current(engine) == HEAD


def test_revision_is_recorded_only_when_all_is_there(engine: Engine, path: Path) -> None:
    execute(path, "CREATE TABLE latest (x)")
    with pytest.raises(StorageError, match="latest already exists"):
        create(engine)
    assert rows(path, "SELECT name FROM sqlite_master") == [("latest",)]


@pytest.mark.parametrize("kind", ENGINES)
def test_script_records_the_revision_last(kind: str) -> None:
    lines = ddl.script(kind).splitlines()
    assert lines[-2:] == [
        f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}');",
        "COMMIT;",
    ]


@pytest.mark.parametrize("kind", ENGINES)
def test_script_has_what_its_engine_needs(kind: str) -> None:
    script = ddl.script(kind)
    of_postgresql = ("texts JSONB", "TIMESTAMP WITH TIME ZONE", "CREATE INDEX readings_ts")
    of_mysql = ("DATETIME(6)", "utf8mb4_bin", "ENGINE=InnoDB", "MEDIUMTEXT")
    assert [word in script for word in of_postgresql] == [kind == "postgresql"] * 3
    assert [word in script for word in of_mysql] == [kind in {"mariadb", "mysql"}] * 4


@pytest.mark.parametrize("kind", ENGINES)
def test_script_says_what_it_is_for(kind: str) -> None:
    first, second = ddl.script(kind).splitlines()[:2]
    assert first.endswith(f"python -m emdc.storage.ddl {kind} > sql/{kind}.sql")
    assert f"< sql/{kind}.sql" in second or f"-f sql/{kind}.sql" in second


def test_module_prints_the_script() -> None:
    command = [sys.executable, "-m", "emdc.storage.ddl", "mariadb"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert printed == ddl.script("mariadb")
