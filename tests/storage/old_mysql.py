"""Databases of the old collector on MySQL, with rows, and what must be true after an upgrade."""

from pathlib import Path
from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from emdc.storage import schema
from emdc.storage.database import connected, open_engine
from emdc.storage.migrate import is_ours, require_head
from tests.storage.plain import ask

ROOT = Path(__file__).parents[2]
ZONE = "America/Los_Angeles"
NAME = "UW/Mercer/nexus_meter/Voltage_AN"

# What the old collector's SQL scripts made on MySQL, without a table for revisions.
BY_HAND = (
    "CREATE TABLE topics (topic_id INTEGER NOT NULL AUTO_INCREMENT PRIMARY KEY,"
    " topic_name VARCHAR(512) NOT NULL UNIQUE) ENGINE=InnoDB DEFAULT CHARSET=latin1",
    "CREATE TABLE meta (topic_id INTEGER NOT NULL PRIMARY KEY, metadata TEXT NOT NULL)"
    " ENGINE=InnoDB DEFAULT CHARSET=latin1",
    "CREATE TABLE data (ts TIMESTAMP(6) NOT NULL DEFAULT '2000-01-01 00:00:00',"
    " topic_id INTEGER NOT NULL, value_string TEXT NOT NULL, UNIQUE KEY ts (ts, topic_id),"
    " KEY data_idx (ts)) ENGINE=InnoDB DEFAULT CHARSET=latin1",
    "CREATE TABLE volttron_table_definitions (table_id VARCHAR(512) PRIMARY KEY,"
    " table_name VARCHAR(512) NOT NULL, table_prefix VARCHAR(512))"
    " ENGINE=InnoDB DEFAULT CHARSET=latin1",
)
ROWS = (
    f"INSERT INTO topics (topic_id, topic_name) VALUES (7, '{NAME}'), (8, 'UW/Bär/Serial')",
    'INSERT INTO meta VALUES (7, \'{"units":"V","tz":"PT","type":"float"}\')',
    # The second hour and the first of a day on which the clock of ZONE was set back.
    "INSERT INTO data VALUES ('2019-11-03 09:30:00.000000', 7, '121.25'),"
    " ('2019-11-03 09:31:00.000000', 7, '-1.5e3'), ('2019-11-03 08:30:00.250000', 7, 'offline'),"
    " ('2019-11-03 08:30:00.250000', 8, 'Zähler 7 ½'), ('2024-02-29 23:59:59.999999', 7, ''),"
    " ('2037-12-31 00:00:00.000000', 7, '0x1F')",
)
DATA = "SELECT ts, topic_id, value_string FROM data ORDER BY topic_id, ts"
CHECKSUM = (
    "SELECT count(*), sum(crc32(concat_ws('|', UNIX_TIMESTAMP(ts), topic_id,"
    " CONVERT(value_string USING utf8mb4)))) FROM {}"
)


def rows_in(zone: str, url: str) -> list[tuple[Any, ...]]:
    """The old query, as a session in a zone has its answer."""
    return ask(url, f"SET time_zone = '{zone}'", DATA)


def differences(connection: Connection) -> list[Any]:
    """What Alembic finds between the database and the tables of `schema`."""

    def ours(*facts: Any) -> bool:
        return is_ours(connection.dialect.name, *facts)

    context = MigrationContext.configure(connection, opts={"include_object": ours})
    found: list[Any] = compare_metadata(context, schema.metadata)
    return found


def is_whole(url: str) -> bool:
    """Whether a database is at the newest revision and has its tables; fails where it has not."""
    engine = open_engine(url)
    try:
        require_head(engine)
        with connected(engine) as connection:
            assert differences(connection) == []
    finally:
        engine.dispose()
    return True
