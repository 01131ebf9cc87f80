"""The users that sql/*-roles.sql and sql/*-grants.sql make can do what they should, and no more."""

import itertools
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError

from emdc.cli.demo import simulated
from emdc.reading import MeterProfile, MeterReading
from emdc.storage import downtime
from emdc.storage.database import DIALECTS, connected, open_engine
from emdc.storage.ddl import VIEWS
from emdc.storage.instants import to_text
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.lateness import reopen
from emdc.storage.migrate import prepare
from emdc.storage.registry import register
from emdc.storage.schema import metadata, meters
from tests.conftest import need_program
from tests.program import PATIENCE_S, complaints, daemon, meter_flags, until
from tests.servers import Server, mariadb, postgresql
from tests.storage.plant import METER, NOON, profile, reading, tick

SQL = Path(__file__).parents[1] / "sql"
SECRET = "correct-horse"
NO_RIGHT = {"42501", "1044", "1142", "1143", "1227"}
"""SQLSTATE of PostgreSQL and error numbers of MySQL."""

MADE_OF_READINGS = {name for name in metadata.tables if name.startswith("interval_")} | {
    "counter_epochs"
}

DAEMONS = "SELECT ts FROM readings WHERE vals IS NOT NULL AND ts > '2026-04-01'"
"""Readings that were not made up for another test here."""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Site:
    """A server, and the names of the files made unique: users belong to the whole server."""

    server: Server
    number: int

    def named(self, script: str) -> str:
        """A text with the names of this site."""
        tail = f"roles_{os.getpid()}_{self.number}"
        return re.sub(r"\b(emdc_owner|emdc_writer|emdc)\b", rf"\1_{tail}", script)

    def account(self, user: str) -> Server:
        return replace(self.server, user=self.named(user), password=SECRET)

    def engine(self, user: str) -> Engine:
        return open_engine(self.account(user).url(self.named("emdc")))

    def run_roles(self, *, edited: bool = True) -> str:
        """Run the first file as administrator; what the database's shell says against it."""
        options = (f"--set=owner_password={SECRET}", f"--set=writer_password={SECRET}")
        return self._run("roles", self.server, edited=edited, options=options)

    def run_grants(self) -> str:
        """Run the second file as owner; what the database's shell says against it."""
        return self._run("grants", self.account("emdc_owner"), database=self.named("emdc"))

    def drop(self) -> None:
        users = [self.named("emdc_owner"), self.named("emdc_writer")]
        if self.server.kind == "postgresql":
            database = f"DROP DATABASE IF EXISTS {self.named('emdc')} WITH (FORCE)"
            self.server.execute(database, *(f"DROP ROLE IF EXISTS {user}" for user in users))
        else:
            database = f"DROP DATABASE IF EXISTS {self.named('emdc')}"
            self.server.execute(database, *(f"DROP USER IF EXISTS {user}@'%'" for user in users))

    def _run(
        self,
        what: str,
        user: Server,
        *,
        database: str = "postgres",
        edited: bool = True,
        options: Sequence[str] = (),
    ) -> str:
        place = [f"--host={user.host}", f"--port={user.port}"]
        if user.kind == "postgresql":
            program = need_program("psql", "apt-get install postgresql-client")
            command = [program, "--no-psqlrc", "--quiet", f"--username={user.user}", *place]
            command += [*options, database]
        else:
            program = need_program("mariadb", "apt-get install mariadb-client")
            command = [program, "--no-defaults", "--protocol=TCP", f"--user={user.user}", *place]
        file = SQL / f"{'postgresql' if user.kind == 'postgresql' else 'mysql'}-{what}.sql"
        script = file.read_text(encoding="utf-8")
        script = re.sub("^--.*", "", script, flags=re.MULTILINE)
        if edited:
            script = re.sub("EDIT_ME_[A-Z_]+", f"'{SECRET}'", script)
        ended = subprocess.run(
            command,
            input=self.named(script),
            env=os.environ | {"PGPASSWORD": user.password, "MYSQL_PWD": user.password},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return ended.stderr if ended.returncode else ""


@pytest.fixture(scope="module", params=[postgresql, mariadb])
def site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """A database in which both files ran, with the tables that the owner made between them."""
    made = Site(request.param(), next(_numbers))
    try:
        assert made.run_roles() == ""
        engine = made.engine("emdc_owner")
        prepare(engine)
        engine.dispose()
        assert made.run_grants() == ""
        yield made
    finally:
        made.drop()


@pytest.fixture
def owner(site: Site) -> Iterator[Engine]:
    engine = site.engine("emdc_owner")
    yield engine
    engine.dispose()


@pytest.fixture
def writer(site: Site) -> Iterator[Engine]:
    engine = site.engine("emdc_writer")
    yield engine
    engine.dispose()


def run(engine: Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))


def rows(engine: Engine, query: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def refused(engine: Engine, statement: str) -> None:
    """Pass when the database says that this user has no right to do that."""
    with pytest.raises(DBAPIError) as raised:
        run(engine, statement)
    said = raised.value.orig
    assert said is not None
    assert {str(said.args[0]), getattr(said, "sqlstate", "")} & NO_RIGHT, said


def record(engine: Engine, *readings: MeterReading, meter: MeterProfile) -> int:
    """What the daemon does from its start to its end; gives how many readings were new."""
    dialect = DIALECTS[engine.dialect.name]
    prepare(engine)
    with dialect.alone(engine), engine.begin() as connection:
        layouts = register(connection, [meter], NOON)
    layout = layouts[meter.name]
    with engine.begin() as connection:
        new = dialect.insert_readings(connection, [layout.row(one) for one in readings])
        downtime.mark_stop(connection, NOON, {layout.meter_id})
    return new


def test_the_writer_can_do_all_that_the_daemon_does(owner: Engine, writer: Engine) -> None:
    run(owner, f"INSERT INTO topics (topic_id, topic_name) VALUES (7, '{METER}/Voltage_AN')")
    first = profile()
    assert record(writer, reading(0), reading(1), meter=first) == 2
    fewer = replace(first, topics=(replace(first.topics[0], unit="kV"),), settings={"map": "new"})
    again, new = (reading(at, (120.5,), metrics=("Voltage_AN",)) for at in (1, 2))
    assert record(writer, again, new, meter=fewer) == 1
    assert rows(writer, "SELECT count(*) FROM readings") == [(3,)]
    assert rows(writer, "SELECT slot FROM topics WHERE topic_id = 7") == [(0,)]
    assert "kV" in str(rows(writer, "SELECT metadata FROM meta WHERE topic_id = 7"))
    assert "new" in str(rows(writer, "SELECT settings FROM meter_settings"))
    assert rows(writer, "SELECT slots FROM schedules") == [("[0]",)]
    assert rows(writer, "SELECT reason FROM gaps") == [("daemon_stopped",)]


def test_the_daemon_runs_as_the_writer(site: Site, owner: Engine, tmp_path: Path) -> None:
    url = site.account("emdc_writer").url(site.named("emdc"))
    given = {"EMDC_DB_URL": url.replace("postgresql+psycopg", "postgresql")}
    with simulated() as ports:
        flags = meter_flags(ports[0], "--panel_interval=1", f"--db_spool={tmp_path / 'spool.db'}")
        with daemon(*flags, folder=tmp_path, environment=given) as program:
            assert program.ask("POST", "/collect")[0] == 200
            until(lambda: len(rows(owner, DAEMONS)) >= 3)
            code, _, errors = program.end(signal.SIGTERM)
    assert (code, complaints(errors)) == (0, set())
    ends = "SELECT count(*) FROM gaps JOIN meters USING (meter_id) WHERE name LIKE '%nexus_meter'"
    assert rows(owner, f"{ends} AND reason = 'daemon_stopped'")[0][0]


@pytest.mark.parametrize("name", [*metadata.tables, *VIEWS])
def test_the_writer_reads_everything(name: str, writer: Engine) -> None:
    assert len(rows(writer, f"SELECT count(*) FROM {name}")) == 1


@pytest.mark.parametrize(
    "table", [name for name in metadata.tables if name not in MADE_OF_READINGS]
)
def test_the_writer_cannot_delete_a_row(table: str, writer: Engine) -> None:
    refused(writer, f"DELETE FROM {table}")


@pytest.mark.parametrize("table", metadata.tables)
@pytest.mark.parametrize("statement", ["TRUNCATE TABLE {}", "DROP TABLE {}"])
def test_the_writer_cannot_remove_a_table(statement: str, table: str, writer: Engine) -> None:
    refused(writer, statement.format(table))


def test_the_writer_makes_quarter_hours_and_makes_them_again(writer: Engine) -> None:
    other = profile("UW/Elm/eaton_meter")
    record(writer, *(reading(at, meter=other.name) for at in range(3)), meter=other)
    with connected(writer, write=True) as connection:
        meter_id = connection.execute(
            select(meters.c.meter_id).where(meters.c.name == other.name)
        ).scalar_one()
    counted = f"SELECT sum(n_values) FROM intervals WHERE topic_name = '{other.name}/Voltage_AN'"
    for hours in (1, 48):
        Accounts(writer).advance(meter_id, NOON + timedelta(hours=hours))
        assert rows(writer, counted) == [(3,)]
    record(writer, reading(7, meter=other.name), meter=other)
    with connected(writer, write=True) as connection:
        reopen(connection, meter_id, to_text(tick(7)))
    Accounts(writer).advance(meter_id, NOON + timedelta(hours=49))
    assert rows(writer, counted) == [(4,)]


def test_the_writer_keeps_what_users_say_of_counters(writer: Engine) -> None:
    added = "INSERT INTO counter_epochs (topic_id, from_ts, kind, source, note) VALUES"
    run(writer, f"{added} (7, '2026-03-01 12:00:00', 'swap', 'user', '')")
    run(writer, "UPDATE counter_epochs SET before_value = 12.5 WHERE topic_id = 7")
    assert rows(writer, "SELECT before_value FROM counter_epochs") == [(12.5,)]
    run(writer, "DELETE FROM counter_epochs WHERE topic_id = 7")


@pytest.mark.parametrize(
    "column",
    [
        *(f"readings.{name}" for name in ("ts", "read_at", "scheduled", "vals", "gaps")),
        *(f"gaps.{name}" for name in ("from_ts", "to_ts", "reason")),
        *("topics.topic_id", "topics.topic_name", "meters.name", "meter_settings.from_ts"),
        *("schedules.from_ts", "schedules.interval_s", "alembic_version.version_num"),
    ],
)
def test_the_writer_cannot_change_what_is_recorded(column: str, writer: Engine) -> None:
    table, _, name = column.partition(".")
    refused(writer, f"UPDATE {table} SET {name} = {name}")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine (n INTEGER)",
        "CREATE VIEW mine AS SELECT 1 AS n",
        "ALTER TABLE readings ADD COLUMN n INTEGER",
        "CREATE INDEX mine ON readings (read_at)",
        "DROP VIEW data",
        "CREATE SCHEMA emdc_roles_mine",
        "INSERT INTO alembic_version VALUES ('x')",
    ],
)
def test_the_writer_cannot_touch_the_schema(statement: str, writer: Engine) -> None:
    refused(writer, statement)


def test_the_owner_may_change_and_delete_and_the_writer_reads_what_it_adds(
    owner: Engine, writer: Engine
) -> None:
    run(owner, "ALTER TABLE meters ADD COLUMN n INTEGER", "ALTER TABLE meters DROP COLUMN n")
    run(owner, "CREATE TABLE later (n INTEGER)", "INSERT INTO later VALUES (5)")
    assert rows(writer, "SELECT n FROM later") == [(5,)]
    refused(writer, "INSERT INTO later VALUES (6)")
    run(owner, "DELETE FROM later", "DROP TABLE later", "DELETE FROM gaps", "DELETE FROM readings")


def test_both_files_can_be_run_again(site: Site, owner: Engine, writer: Engine) -> None:
    run(owner, "CREATE TABLE data_old (ts VARCHAR(32))")
    if owner.dialect.name == "postgresql":
        # As for tables that were there before the owner.
        run(owner, f"REVOKE ALL ON data_old FROM {site.named('emdc_writer')}")
    assert site.run_roles() == ""
    assert site.run_grants() == ""
    assert rows(writer, "SELECT count(*) FROM data_old") == [(0,)]
    refused(writer, "DELETE FROM data_old")
    run(owner, "DROP TABLE data_old")


@pytest.mark.parametrize("user", ["emdc_owner", "emdc_writer"])
def test_each_user_has_its_password(user: str, site: Site) -> None:
    if site.server.kind == "postgresql":
        stored = f"SELECT rolpassword FROM pg_authid WHERE rolname = '{site.named(user)}'"
        assert str(site.server.execute(stored)[0][0]).startswith("SCRAM-SHA-256$")
    else:
        assert site.account(user).fault() is None
        assert replace(site.account(user), password="").fault() is not None


def test_the_file_with_unedited_passwords_makes_nobody() -> None:
    site = Site(mariadb(), next(_numbers))
    try:
        assert "EDIT_ME_OWNER_PASSWORD" in site.run_roles(edited=False)
        made = f"SELECT 1 FROM mysql.user WHERE user = '{site.named('emdc_owner')}'"
        assert site.server.execute(made) == []
    finally:
        site.drop()
