"""Databases as the collector before this one left them, on SQLite and on MySQL."""

from functools import partial
from pathlib import Path
from typing import Any, Final

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine

from emdc.storage import schema
from emdc.storage.migrate import is_ours, upgrade
from tests.storage import plain
from tests.storage.plant import execute, rows

ZONE: Final = "America/Los_Angeles"
BY_HAND: Final = "by hand"
"""Made by the old collector's SQL scripts, without a table for revisions."""
STARTS: Final = (BY_HAND, *schema.OLD_REVISIONS)

SCRIPT_SQLITE: Final = """
CREATE TABLE topics (topic_id INTEGER PRIMARY KEY, topic_name VARCHAR(512) NOT NULL UNIQUE);
CREATE TABLE meta (topic_id INTEGER PRIMARY KEY, metadata TEXT NOT NULL);
CREATE TABLE data (ts TIMESTAMP NOT NULL, topic_id INTEGER NOT NULL, value_string TEXT NOT NULL);
CREATE UNIQUE INDEX ts ON data (ts, topic_id);
CREATE INDEX data_idx ON data (ts);
CREATE TABLE volttron_table_definitions (
  table_id VARCHAR(512) PRIMARY KEY, table_name VARCHAR(512) NOT NULL, table_prefix VARCHAR(512));
"""
_LATIN1: Final = "ENGINE=InnoDB DEFAULT CHARSET=latin1"
SCRIPT_MYSQL: Final = f"""
CREATE TABLE topics (topic_id INTEGER NOT NULL AUTO_INCREMENT, topic_name VARCHAR(512) NOT NULL,
  PRIMARY KEY (topic_id), UNIQUE (topic_name)) {_LATIN1};
CREATE TABLE meta (topic_id INTEGER NOT NULL, metadata TEXT NOT NULL, PRIMARY KEY (topic_id))
  {_LATIN1};
CREATE TABLE data (ts TIMESTAMP(6) NOT NULL, topic_id INTEGER NOT NULL, value_string TEXT NOT NULL,
  UNIQUE KEY ts (ts, topic_id), KEY data_idx (ts)) {_LATIN1};
CREATE TABLE volttron_table_definitions (table_id VARCHAR(512) NOT NULL,
  table_name VARCHAR(512) NOT NULL, table_prefix VARCHAR(512), PRIMARY KEY (table_id)) {_LATIN1};
"""
ROWS: Final = """
INSERT INTO topics (topic_id, topic_name) VALUES (7, 'UW/Mercer/nexus_meter/Voltage_AN');
INSERT INTO meta VALUES (7, '{"units":"V","tz":"PT","type":"float"}');
INSERT INTO data VALUES ('2019-11-03 01:30:00.000000', 7, '121.25');
INSERT INTO data VALUES ('2019-11-03 01:31:00.000000', 7, 'offline');
"""
MORE_ROWS: Final = """
INSERT INTO topics (topic_id, topic_name) VALUES (9, 'UW/Café/eaton_meter/Serial');
INSERT INTO data VALUES ('2019-11-03 01:31:00.000001', 7, '1.5e-3'),
  ('2019-11-03 01:32:00.000000', 7, ''), ('2020-07-01 12:00:00.500000', 7, '0120.50'),
  ('2020-07-01 12:00:00.500000', 9, 'Größe 7'), ('2020-07-01 12:00:01.000000', 9, '-7');
"""


def make(engine: Engine, start: str, more: str = "") -> None:
    """The old tables at a revision or by hand, with ROWS; nothing when `start` is empty."""
    if start == BY_HAND:
        run(engine, SCRIPT_SQLITE if engine.dialect.name == "sqlite" else SCRIPT_MYSQL)
    elif start:
        upgrade(engine, start)
    if start:
        run(engine, ROWS + more)


def run(engine: Engine, script: str) -> None:
    """Run statements by a plain connection, in the old collector's zone."""
    if engine.dialect.name == "sqlite":
        execute(Path(engine.url.database or ""), script)
    else:
        statements = (part.strip() for part in script.split(";"))
        plain.ask(engine, "SET time_zone = '-08:00'", *filter(None, statements))


def ask(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    """What a plain connection sees whose times are in the old collector's zone."""
    if engine.dialect.name == "sqlite":
        return rows(Path(engine.url.database or ""), sql)
    return plain.ask(engine, "SET time_zone = '-08:00'", sql)


def left(engine: Engine, table: str = "data") -> list[tuple[Any, ...]]:
    """The old collector's rows."""
    return ask(engine, f"SELECT ts, topic_id, value_string FROM {table} ORDER BY ts, topic_id")


def differences(engine: Engine) -> list[Any]:
    """What `alembic check` would find between the tables and this version's."""
    ours = {"include_object": partial(is_ours, engine.dialect.name)}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=ours)
        return list(compare_metadata(context, schema.metadata))
