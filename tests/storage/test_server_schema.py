"""The tables that a server's database gets are the same however they were made."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, make_url

from emdc.storage import ddl, schema
from emdc.storage.database import open_engine
from emdc.storage.migrate import current, prepare, require_head, upgrade
from tests.conftest import need_program
from tests.program import PATIENCE_S
from tests.servers import fresh, mariadb, postgresql
from tests.storage.plain import ask
from tests.storage.plant import reading, store

ROOT = Path(__file__).parents[2]
COLUMNS = {
    "postgresql": "table_name, column_name, ordinal_position, column_default, is_nullable,"
    " udt_name, character_maximum_length, datetime_precision",
    "mysql": "table_name, column_name, ordinal_position, column_default, is_nullable,"
    " column_type, character_set_name, collation_name, column_key, extra",
}
FURTHER = {
    "postgresql": (
        "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace",
    ),
    "mysql": (
        "SELECT table_name, engine, row_format, table_collation FROM information_schema.tables"
        " WHERE table_schema = DATABASE()",
        "SELECT table_name, index_name, seq_in_index, column_name, non_unique"
        " FROM information_schema.statistics WHERE table_schema = DATABASE()",
        "SELECT table_name, REPLACE(view_definition, CONCAT('`', DATABASE(), '`.'), '')"
        " FROM information_schema.views WHERE table_schema = DATABASE()",
        "SELECT table_name, constraint_name, column_name, referenced_table_name,"
        " referenced_column_name FROM information_schema.key_column_usage"
        " WHERE table_schema = DATABASE()",
    ),
}
HERE = {"postgresql": "'public'", "mysql": "DATABASE()"}


def kind_of(url: str) -> str:
    return make_url(url).get_backend_name()


def shape(url: str) -> list[list[tuple[Any, ...]]]:
    """What the server knows of the tables and views of a database."""
    kind = kind_of(url)
    columns = (
        f"SELECT {COLUMNS[kind]} FROM information_schema.columns WHERE table_schema = {HERE[kind]}"
    )
    return [sorted(ask(url, query), key=repr) for query in (columns, *FURTHER[kind])]


def check_is_clean(url: str) -> None:
    """Pass when Alembic finds no difference to the tables of `schema`."""
    target = make_url(url)
    facts = {"db_type": target.drivername, "db_user": target.username, "db_host": target.host}
    facts |= {"db_port": str(target.port), "db_name": target.database}
    given = itertools.chain.from_iterable(("-x", f"{key}={value}") for key, value in facts.items())
    command = [sys.executable, "-m", "alembic", *given, "check"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def load(url: str, file: Path) -> None:
    """Run a file by the database's own shell."""
    target = make_url(url)
    place = [f"--host={target.host}", f"--port={target.port}"]
    if kind_of(url) == "postgresql":
        program = need_program("psql", "apt-get install postgresql-client")
        stop = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--username={target.username}"]
        command = [program, *stop, *place, str(target.database)]
    else:
        program = need_program("mariadb", "apt-get install mariadb-client")
        plain = ["--no-defaults", "--protocol=TCP", f"--user={target.username}"]
        command = [program, *plain, *place, str(target.database)]
    secrets = {"PGPASSWORD": str(target.password or ""), "MYSQL_PWD": str(target.password or "")}
    ended = subprocess.run(
        command,
        input=file.read_text(),
        env=os.environ | secrets,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr


def test_new_upgraded_and_scripted_databases_are_the_same(server_url: str) -> None:
    server = postgresql() if kind_of(server_url) == "postgresql" else mariadb()
    driver = make_url(server_url).drivername
    # MariaDB and MySQL have a script each; the shell's server here is MariaDB.
    script = ROOT / "sql" / f"{server.kind}.sql"
    with fresh(server) as upgraded, fresh(server) as scripted:
        for url, made in ((server_url, prepare), (upgraded, upgrade)):
            engine = open_engine(make_url(url).set(drivername=driver))
            made(engine)
            require_head(engine)
            engine.dispose()
        load(scripted, script)
        engine = open_engine(scripted)
        prepare(engine)
        engine.dispose()
        expected = shape(server_url)
        for other in (upgraded, scripted):
            for mine, its in zip(expected, shape(other), strict=True):
                assert its == mine
        for url in (server_url, upgraded):
            check_is_clean(make_url(url).set(drivername=driver).render_as_string())


@pytest.mark.parametrize("server_url", ["mysql+pymysql", "mysql+mysqlconnector"], indirect=True)
def test_collation_of_the_database_is_not_that_of_the_tables(server_url: str) -> None:
    name = make_url(server_url).database
    ask(server_url, f"ALTER DATABASE {name} CHARACTER SET latin1 COLLATE latin1_swedish_ci")
    engine = open_engine(server_url)
    prepare(engine)
    engine.dispose()
    found = {row[5:8] for row in shape(server_url)[0] if row[0] not in ddl.VIEWS}
    assert {collation for _, _, collation in found} == {None, "utf8mb4_bin"}


class KilledError(Exception):
    """The program ends at this statement."""


def stop_before(engine: Engine, number: int) -> None:
    """Let the engine's next statements of that number be the last ones."""
    left = itertools.count(number, -1)

    def before(*facts: Any) -> None:
        if re.match(r"\s*(CREATE|INSERT)", facts[2]) and next(left) <= 0:
            raise KilledError

    event.listen(engine, "before_cursor_execute", before)


def test_creation_that_was_killed_half_way_is_completed(server_url: str) -> None:
    whole: list[list[tuple[Any, ...]]] = []
    # PostgreSQL does all or nothing, and the drivers of MySQL send the same: there a few will do.
    every = 1 if server_url.startswith("mysql+pymysql") else 5
    for number in range(0, len(schema.metadata.tables) + len(ddl.VIEWS) + 5, every):
        engine = open_engine(server_url)
        stop_before(engine, number)
        try:
            prepare(engine)
        except KilledError:
            pass
        else:
            break
        finally:
            engine.dispose()
        again = open_engine(server_url)
        prepare(again)
        assert current(again) == schema.HEAD
        store(again, reading(0))
        assert ask(server_url, "SELECT count(*) FROM data") == [(3,)]
        assert sorted(ask(server_url, "SELECT * FROM volttron_table_definitions")) == sorted(
            schema.VOLTTRON_TABLES
        )
        again.dispose()
        made = shape(server_url)
        whole = whole or made
        for expected, found in zip(whole, made, strict=True):
            assert found == expected
        empty(server_url)
    assert whole


def empty(url: str) -> None:
    """Drop all that is in a database."""
    if kind_of(url) == "postgresql":
        ask(url, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        return
    views = [f"DROP VIEW {name}" for name in ddl.VIEWS]
    tables = [f"DROP TABLE {table.name}" for table in reversed(schema.metadata.sorted_tables)]
    ask(url, *views, *tables)


def test_script_is_known_for_each_kind() -> None:
    for kind in ("sqlite", "postgresql", "mariadb", "mysql"):
        assert f"VALUES ('{schema.HEAD}');\nCOMMIT;\n" in ddl.script(kind)
