"""The three kinds of database that figures run on, each database new and dropped with its block.

Servers are those of tests/servers.py: found on this machine, or started for the run. What is asked
of a database here goes through the plain drivers and shares no code with EMDC.
"""

import itertools
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql
import pytest

from tests.servers import PrivateServer, Server, fresh, mariadb, postgresql, private

KINDS = ("sqlite", "postgresql", "mariadb")
TITLES = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "mariadb": "MariaDB"}

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """One database; `name` is the file on SQLite."""

    kind: str
    url: str
    """For SQLAlchemy."""
    name: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""

    @property
    def title(self) -> str:
        """The kind as people write it."""
        return TITLES[self.kind]

    def connect(self) -> Any:
        """A connection of the plain driver, each statement committed by itself."""
        facts: dict[str, Any] = {"host": self.host, "port": self.port, "user": self.user}
        if self.kind == "sqlite":
            return sqlite3.connect(self.name, isolation_level=None)
        if self.kind == "postgresql":
            password = self.password or None
            connection = psycopg.connect(
                **facts, password=password, dbname=self.name, autocommit=True
            )
            connection.execute("SET TimeZone = 'UTC'")
            return connection
        return pymysql.connect(
            **facts,
            password=self.password,
            database=self.name,
            autocommit=True,
            charset="utf8mb4",
            init_command="SET time_zone = '+00:00'",
        )

    def rows(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of one statement on a connection of its own; `?` stands for a parameter."""
        connection = self.connect()
        try:
            cursor = connection.cursor()
            cursor.execute(self.spelled(sql), parameters)
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()

    def spelled(self, sql: str) -> str:
        """`sql` with its `?` as the driver wants them."""
        return sql if self.kind == "sqlite" else sql.replace("%", "%%").replace("?", "%s")

    def flags(self, spool: Path) -> list[str]:
        """The flags of `emdc` that name it."""
        return [f"--db_{name}={value}" for name, value in self._settings(spool).items()]

    def toml(self, spool: Path) -> list[str]:
        """The lines of the table `[database]` that name it."""
        return [f"{k} = {json.dumps(v)}" for k, v in self._settings(spool).items()]

    def _settings(self, spool: Path) -> dict[str, str | int]:
        if self.kind == "sqlite":
            return {"type": "sqlite", "host": self.name, "spool": str(spool)}
        kind = {"postgresql": "postgresql", "mariadb": "mysql+pymysql"}[self.kind]
        parts: dict[str, str | int] = {
            "type": kind,
            "host": self.host,
            "port": self.port,
            "name": self.name,
        }
        parts |= {"user": self.user, "spool": str(spool)}
        if self.password:
            parts["password"] = self.password
        return parts


def file_database(path: Path) -> Database:
    """A SQLite file."""
    return Database("sqlite", f"sqlite:///{path}", str(path))


@contextmanager
def new_database(kind: str, folder: Path) -> Iterator[Database]:
    """A new, empty database: a file in `folder`, or one of a server that is shared."""
    if kind == "sqlite":
        yield file_database(folder / f"emdc-{next(_numbers)}.db")
        return
    with new_on(_shared(kind)) as database:
        yield database


@contextmanager
def new_on(server: Server) -> Iterator[Database]:
    """A new, empty database of this server."""
    with fresh(server) as url:
        parts = urlsplit(url)
        yield Database(
            server.kind,
            url,
            unquote(parts.path.lstrip("/")),
            parts.hostname or "",
            parts.port or 0,
            unquote(parts.username or ""),
            unquote(parts.password or ""),
        )


@contextmanager
def own_server(kind: str, options: Sequence[str] = ()) -> Iterator[PrivateServer]:
    """A server of this run's own, to be killed and frozen."""
    try:
        with private("postgresql" if kind == "postgresql" else "mariadb", options=options) as own:
            yield own
    except pytest.skip.Exception as error:
        raise SystemExit(f"{kind}: {error}") from error


def _shared(kind: str) -> Server:
    try:
        return postgresql() if kind == "postgresql" else mariadb()
    except (pytest.skip.Exception, pytest.fail.Exception) as error:
        raise SystemExit(f"{kind}: {error}") from error
