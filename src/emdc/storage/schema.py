"""The tables as they are at the newest revision, and the same as plain SQL.

`python -m emdc.storage.schema` prints the SQL that `sql/sqlite.sql` holds. The migrations are the
schema's history; this module is its present, and a test holds the two together. `meter_id` leads
every key of what meters produce, so that the data can be split by meter without a new schema.
"""

import sys
from collections.abc import Iterator
from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from emdc.storage.instants import INSTANT_CHARS
from emdc.storage.views import view_statements

OLD_REVISIONS: Final = ("b80fb9e8acd7", "b6eaa6deed84", "2534585a9391", "54207f6995cd")
"""Revisions of the collector that this one replaces, oldest first."""
REVISIONS: Final = (*OLD_REVISIONS, "7c1d5e90a2f4")
HEAD: Final = REVISIONS[-1]

VOLTTRON_TABLES: Final = (
    ("data_table", "data", ""),
    ("meta_table", "meta", ""),
    ("topics_table", "topics", ""),
)

metadata = MetaData()

meters = Table(
    "meters",
    metadata,
    Column("meter_id", Integer, primary_key=True),
    Column("name", String(512), nullable=False, unique=True),
)

meter_settings = Table(
    "meter_settings",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), primary_key=True),
    Column("from_ts", String(INSTANT_CHARS), primary_key=True),
    Column("settings", Text, nullable=False),
)
"""What a meter's values depend on (ratios, the map's hash) from `from_ts` on, as a JSON object."""

# No foreign key on meter_id: SQLite could not drop the column again in a downgrade.
topics = Table(
    "topics",
    metadata,
    Column("topic_id", Integer, primary_key=True),
    Column("topic_name", String(512), nullable=False, unique=True),
    Column("meter_id", Integer),
    Column("slot", Integer),
    Index("topics_meter_slot", "meter_id", "slot", unique=True),
)
"""A topic's values are at index `slot` of its meter's readings; a slot is never given twice."""

meta = Table(
    "meta",
    metadata,
    Column("topic_id", Integer, primary_key=True, autoincrement=False),
    Column("metadata", Text, nullable=False),
)
"""JSON such as `{"units":"V","tz":"UTC","type":"float","kind":"gauge"}`."""

readings = Table(
    "readings",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), nullable=False),
    Column("ts", String(INSTANT_CHARS), nullable=False),
    Column("read_at", String(INSTANT_CHARS), nullable=False),
    Column("scheduled", Boolean, nullable=False),
    Column("vals", Text, nullable=False),
    Column("gaps", Text),
    UniqueConstraint("meter_id", "ts"),
)
"""One row per meter and tick. `vals`: JSON array by slot, null where nothing was read.
`gaps`: JSON object, reason → slots; NULL when complete. Null without a gap: not due."""

gaps = Table(
    "gaps",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), nullable=False),
    Column("from_ts", String(INSTANT_CHARS), nullable=False),
    Column("to_ts", String(INSTANT_CHARS), nullable=False),
    Column("reason", String(64), nullable=False),
    UniqueConstraint("meter_id", "from_ts", "to_ts", "reason"),
)
"""Ticks from_ts ≤ tick < to_ts without a row in `readings`. A row of length zero with the reason
`daemon_stopped` marks a clean stop and covers no tick. Rows are only ever added."""

schedules = Table(
    "schedules",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), primary_key=True),
    Column("from_ts", String(INSTANT_CHARS), primary_key=True),
    Column("interval_s", Float, primary_key=True),
    Column("slots", Text, nullable=False),
)
"""From `from_ts` until the next row with the same meter and interval, each multiple of `interval_s`
since 1970 UTC owes a value or a gap for each of `slots` (JSON array; `[]` ends it)."""

volttron_table_definitions = Table(
    "volttron_table_definitions",
    metadata,
    Column("table_id", String(512), primary_key=True),
    Column("table_name", String(512), nullable=False),
    Column("table_prefix", String(512)),
)

# Alembic's own table: created here too, so that a new database needs no replay of history.
alembic_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False, primary_key=True),
)


def create(connection: Connection) -> None:
    """Create all tables, rows and views at HEAD in an empty SQLite database."""
    metadata.create_all(connection)
    connection.execute(insert(alembic_version).values(version_num=HEAD))
    names = volttron_table_definitions.columns.keys()
    rows = [dict(zip(names, row, strict=True)) for row in VOLTTRON_TABLES]
    connection.execute(insert(volttron_table_definitions), rows)
    for statement in view_statements(with_old_rows=False).values():
        connection.exec_driver_sql(statement)


def script() -> str:
    """The whole schema at HEAD as SQL for the `sqlite3` shell; the database counts as migrated."""
    lines = [
        "-- EMDC's schema for SQLite. Generated: python -m emdc.storage.schema > sql/sqlite.sql",
        "-- Use: sqlite3 emdc.db < sql/sqlite.sql",
        "BEGIN;",
        *(f"{statement};" for statement in _statements()),
        "COMMIT;",
    ]
    return "\n".join(lines) + "\n"


def _statements() -> Iterator[str]:
    dialect = sqlite.dialect()
    for table in metadata.sorted_tables:
        text = str(CreateTable(table).compile(dialect=dialect))
        yield "\n".join(line.rstrip() for line in text.strip().splitlines())
        for index in table.indexes:
            yield str(CreateIndex(index).compile(dialect=dialect))
    rows = [insert(volttron_table_definitions).values(row) for row in VOLTTRON_TABLES]
    for statement in (*rows, insert(alembic_version).values(version_num=HEAD)):
        yield str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
    yield from view_statements(with_old_rows=False).values()


if __name__ == "__main__":
    sys.stdout.write(script())
