"""Steps of a revision that can be taken again.

MySQL commits every DDL statement by itself, so a revision that was killed half-way starts anew on a
database that has some of it. Each function here looks first and does what is left. Used by the
revisions alone.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from alembic import context, op

log = logging.getLogger(__name__)

MYSQL: Final = frozenset({"mysql", "mariadb"})


def say(what: str) -> None:
    """Tell whoever waits what is done now."""
    teller = context.config.attributes.get("say") or log.info
    teller(what)


def announce(table: str, what: str) -> None:
    """Tell that a table is being changed, unless it is empty and that takes no time."""
    if op.get_bind().exec_driver_sql(f"SELECT 1 FROM {table} LIMIT 1").first():  # noqa: S608
        say(f"{table}: {what}")


def is_mysql() -> bool:
    """Whether the database is MySQL or MariaDB."""
    return op.get_bind().dialect.name in MYSQL


def has_table(name: str) -> bool:
    """Whether there is such a table; a view is none."""
    return name in sa.inspect(op.get_bind()).get_table_names()


def create_table(
    name: str, columns: Sequence[sa.Column[Any]], *others: Any, **options: Any
) -> None:
    """Create a table unless it is there."""
    if not has_table(name):
        op.create_table(name, *columns, *others, **options)


def drop_table(name: str) -> None:
    """Drop a table if it is there."""
    if has_table(name):
        op.drop_table(name)


def rename_table(old: str, new: str) -> None:
    """Rename a table unless that is done; users' own views go on to name the old one."""
    if not has_table(old):
        return
    if op.get_bind().dialect.name != "sqlite":
        op.rename_table(old, new)
        return
    # By itself SQLite makes views follow, and refuses while one of them means nothing.
    op.execute("PRAGMA legacy_alter_table=ON")
    try:
        op.rename_table(old, new)
    finally:
        op.execute("PRAGMA legacy_alter_table=OFF")


def create_index(name: str, table: str, columns: list[str], *, unique: bool = False) -> None:
    """Create an index unless it is there."""
    if name not in _indexes(table):
        op.create_index(name, table, columns, unique=unique)


def drop_index(name: str, table: str) -> None:
    """Drop an index if it is there."""
    if name in _indexes(table):
        op.drop_index(name, table)


def add_column(table: str, column: sa.Column[Any]) -> None:
    """Add a column unless it is there."""
    if column.name not in _columns(table):
        op.add_column(table, column)


def drop_column(table: str, column: str) -> None:
    """Drop a column if it is there."""
    if column in _columns(table):
        op.drop_column(table, column)


def insert_missing(table: str, rows: Sequence[Mapping[str, str]], key: str) -> None:
    """Insert the rows of a small table whose `key` is not there."""
    target = sa.table(table, *(sa.column(name) for name in rows[0]))
    known = set(op.get_bind().execute(sa.select(target.c[key])).scalars())
    new = [dict(row) for row in rows if row[key] not in known]
    if new:
        op.get_bind().execute(sa.insert(target), new)


def create_view(name: str, statement: str) -> None:
    """Create a view, in place of one of that name."""
    drop_view(name)
    op.get_bind().exec_driver_sql(statement)


def drop_view(name: str) -> None:
    """Drop a view if it is there."""
    if name in sa.inspect(op.get_bind()).get_view_names():
        op.get_bind().exec_driver_sql(f"DROP VIEW {name}")


def alter_mysql(table: str, change: str, what: str) -> None:
    """ALTER TABLE, on MySQL only. It may take minutes, so it is announced."""
    if is_mysql():
        announce(table, what)
        op.get_bind().exec_driver_sql(f"ALTER TABLE {table} {change}")


def _indexes(table: str) -> set[str | None]:
    return {index["name"] for index in sa.inspect(op.get_bind()).get_indexes(table)}


def _columns(table: str) -> set[str]:
    return {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
