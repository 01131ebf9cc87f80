"""A new database at the newest revision, and the same as plain SQL.

`python -m emdc.storage.ddl sqlite | postgresql | mariadb | mysql` prints the SQL that `sql/` holds.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Connection, Dialect, insert, inspect, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from emdc.storage.engines.interval_view import VIEW, interval_view
from emdc.storage.engines.views import VIEW_NAMES, engine_name, view_statements
from emdc.storage.schema import (
    HEAD,
    ONLY,
    VOLTTRON_TABLES,
    alembic_version,
    metadata,
    volttron_table_definitions,
)

VIEWS: Final = (*VIEW_NAMES, VIEW)

_USE: Final = {
    "sqlite": "sqlite3 emdc.db < sql/sqlite.sql",
    "postgresql": "psql -d emdc -f sql/postgresql.sql",
    "mariadb": "mariadb emdc < sql/mariadb.sql",
    "mysql": "mysql emdc < sql/mysql.sql",
}
_NAMES: Final = {
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
    "mysql": "MySQL",
    "mariadb": "MariaDB",
}

# A view's texts have the character set of the session that made it.
_SESSION: Final = dict.fromkeys(("mysql", "mariadb"), ("SET NAMES utf8mb4 COLLATE utf8mb4_bin;",))


def create(connection: Connection) -> None:
    """Create all tables, rows and views at HEAD in an empty database.

    One in which that was begun and killed is completed.
    """
    # First: where DDL commits by itself, it says who has begun here.
    alembic_version.create(connection, checkfirst=True)
    metadata.create_all(connection)
    for index in (index for table in metadata.sorted_tables for index in table.indexes):
        # Those of a table after which the program was killed.
        index.create(connection, checkfirst=True)
    table = volttron_table_definitions
    known = set(connection.execute(select(table.c.table_id)).scalars())
    rows = [dict(zip(table.columns.keys(), row, strict=True)) for row in VOLTTRON_TABLES]
    if new := [row for row in rows if row["table_id"] not in known]:
        connection.execute(insert(table), new)
    there = inspect(connection).get_view_names()
    engine = engine_name(connection.dialect)
    for name, statement in _views(engine).items():
        if name not in there:
            connection.exec_driver_sql(statement)
    # Last: where DDL commits by itself, only a database that is whole says that it is.
    connection.execute(insert(alembic_version).values(version_num=HEAD))


def script(engine: str) -> str:
    """The whole schema at HEAD as SQL for the database's shell; it counts as migrated."""
    lines = [
        f"-- EMDC's schema for {_NAMES[engine]}. Generated:"
        f" python -m emdc.storage.ddl {engine} > sql/{engine}.sql",
        f"-- Use: {_USE[engine]}",
        *_SESSION.get(engine, ()),
        "BEGIN;",
        *(f"{statement};" for statement in _statements(engine)),
        "COMMIT;",
    ]
    return "\n".join(lines) + "\n"


def _statements(engine: str) -> Iterator[str]:
    dialect = _dialect(engine)
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        yield "\n".join(line.rstrip() for line in text.strip().splitlines())
        for index in table.indexes:
            if index.info.get(ONLY, engine) != engine:
                continue
            yield str(CreateIndex(index).compile(dialect=dialect))
    rows = [insert(volttron_table_definitions).values(row) for row in VOLTTRON_TABLES]
    for statement in rows:
        yield _literal(statement, dialect)
    yield from _views(engine).values()
    yield _literal(insert(alembic_version).values(version_num=HEAD), dialect)


def _views(engine: str) -> Mapping[str, str]:
    return {**view_statements(engine, with_old_rows=False), VIEW: interval_view(engine)}


def _dialect(engine: str) -> Dialect:
    modules = {"sqlite": sqlite, "postgresql": postgresql, "mysql": mysql, "mariadb": mysql}
    return modules[engine].dialect()  # type: ignore[no-any-return]


def _literal(statement: object, dialect: Dialect) -> str:
    options = {"literal_binds": True}
    return str(statement.compile(dialect=dialect, compile_kwargs=options))  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.stdout.write(script(sys.argv[1]))
