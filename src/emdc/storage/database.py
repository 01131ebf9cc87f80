"""Engines: which kinds there are, and how one is opened and used.

A further database is one module that satisfies `dialect.Dialect`, one row in DIALECTS, and its
views in `views`.
"""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, Table, event, insert
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from emdc.errors import ConfigError, StorageError
from emdc.storage.engines import mysql, postgresql, sqlite
from emdc.storage.engines.dialect import SILENCE_S, Dialect
from emdc.storage.engines.sqlite import IMMEDIATE
from emdc.storage.urls import reason, shown

Database: TypeAlias = Engine
"""An open database, as the rest of the program passes it on."""

DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": sqlite,
    "postgresql": postgresql,
    "mysql": mysql,
    "mariadb": mysql,
}
"""By the name that SQLAlchemy has for it."""

_DRIVERS: Final = {"postgresql": "postgresql", "mysql": "mysql", "mariadb": "mysql"}
"""The extra of this distribution that brings the drivers."""
_SPARE: Final = 10
"""Connections beyond the pool's size, for a moment of many questions."""
_ROWS_AT_ONCE: Final = 200
"""Rows of names in one statement. mysql-connector makes one of all that it is given, and a server
may take no more than a megabyte: 512 characters of a name are up to 2 kB."""


def open_engine(
    url: str | URL,
    *,
    pool_size: int = 3,
    tls_ca: Path | None = None,
    silence_s: int | None = SILENCE_S,
) -> Engine:
    """An engine whose database has answered; SQLite files: WAL, each commit on disk.

    A SQLite file that does not exist yet is created empty. A server that says nothing for
    `silence_s` is given up (None: never, for statements that may take hours). Raises ConfigError
    when the URL cannot mean a database of ours, StorageError when the database is away or cannot
    be used.
    """
    engine = make_engine(url, pool_size=pool_size, tls_ca=tls_ca, silence_s=silence_s)
    try:
        probe(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def make_engine(
    url: str | URL,
    *,
    pool_size: int = 3,
    tls_ca: Path | None = None,
    silence_s: int | None = SILENCE_S,
) -> Engine:
    """The same, without asking the database anything. Raises ConfigError, StorageError."""
    target = _parsed(url)
    speaker = DIALECTS[target.get_backend_name()]
    memory = sqlite.is_memory(target)
    if target.get_backend_name() == "sqlite":
        sqlite.check(target)
    elif tls_ca is not None:
        _check_authority(tls_ca)
    try:
        engine = sqlalchemy.create_engine(
            target,
            poolclass=QueuePool,
            # One connection in all is both the memory database and the lock that its users share.
            pool_size=1 if memory else pool_size,
            max_overflow=0 if memory else _SPARE,
            connect_args=speaker.connect_args(target, tls_ca, silence_s=silence_s),
            hide_parameters=True,
        )
    except (ImportError, NoSuchModuleError) as error:
        extra = _DRIVERS.get(target.get_backend_name(), "all")
        raise ConfigError(
            f"database {shown(target)}: its driver is not installed ({error}): "
            f"pip install 'emdc[{extra}]'"
        ) from error
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", lambda connection, _record: speaker.on_connect(connection))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", sqlite.on_begin)
    return engine


def probe(engine: Engine) -> None:
    """Raise StorageError unless the database answers and can be used."""
    try:
        DIALECTS[engine.dialect.name].probe(engine)
    except SQLAlchemyError as error:
        raise StorageError(f"{shown(engine.url)}: {reason(error)}") from error


def dialect_of(connection: Connection) -> Dialect:
    """What differs on this connection's kind of database."""
    return DIALECTS[connection.dialect.name]


def insert_all(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, however many, in statements that every server takes."""
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        connection.execute(insert(table), rows[start : start + _ROWS_AT_ONCE])


def is_memory(engine: Engine) -> bool:
    """Whether the database lives in this process's memory and ends with it."""
    return sqlite.is_memory(engine.url)


@contextmanager
def connected(engine: Engine, *, write: bool = False, **options: Any) -> Iterator[Connection]:
    """A connection in one transaction, committed at the end; failures become StorageError.

    `options` are execution options of SQLAlchemy, such as `isolation_level`.
    """
    try:
        with engine.connect() as connection:
            connection.execution_options(**{IMMEDIATE: write}, **options)
            with connection.begin():
                yield connection
    except SQLAlchemyError as error:
        raise StorageError(f"{shown(engine.url)}: {reason(error)}") from error


def _parsed(url: str | URL) -> URL:
    try:
        target = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):
        # Nothing of it is shown: a URL that cannot be parsed may hold a password anywhere.
        raise ConfigError(
            "database url: not a database URL, expected for example sqlite:///emdc.db"
        ) from None
    kind = target.get_backend_name()
    if kind not in DIALECTS:
        supported = ", ".join(DIALECTS)
        raise ConfigError(
            f"database {shown(target)}: {kind} is not supported, expected {supported}"
        )
    return target


def _check_authority(file: Path) -> None:
    """Raise ConfigError unless a file has certificates: drivers say that in ways of their own."""
    try:
        ssl.create_default_context(cafile=file)
    except OSError as error:
        raise ConfigError(
            f"database tls_ca {file}: {error.strerror or error}, expected a PEM file with the"
            " certificate of the server's authority"
        ) from error


def connect(
    dialect: sqlalchemy.Dialect, _record: object, given: list[Any], named: dict[str, Any]
) -> Any:
    """A connection of the driver. Raises ConfigError when it does not know what it is given."""
    try:
        return dialect.connect(*given, **named)
    except (TypeError, AttributeError) as error:
        raise ConfigError(
            f"database url: {error}, expected only options that {dialect.driver} knows after the ?"
        ) from error
