"""Database servers for tests: found on this machine, or started here and ended with the tests.

`postgresql()` and `mariadb()` give a server that tests share, each in `fresh` databases of its own;
`private` one that a test may stop, kill or freeze; `certificates` what it needs for TLS.
"""

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

import psycopg
import pymysql
import pytest

from tests.conftest import need_program
from tests.program import free_port
from tests.server_programs import TRAITS, Kind, ServerProcess, give, install

_LOGIN_S: Final = 3

_numbers: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Server:
    """A server and its administrator; `pid` is that of a server which the tests started."""

    kind: Kind
    host: str
    port: int
    user: str
    password: str = ""
    pid: int | None = None

    def url(self, database: str) -> str:
        """The administrator's address of a database, for SQLAlchemy."""
        password = f":{quote(self.password, safe='')}" if self.password else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = quote(self.user, safe="") + password
        return f"{TRAITS[self.kind].driver}://{user}@{host}:{self.port}/{database}"

    def execute(self, *statements: str, database: str = "") -> list[tuple[Any, ...]]:
        """Run statements as administrator, each committed by itself; the rows of the last one."""
        with closing(self._login(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def fault(self) -> str | None:
        """Why it does not let its administrator in; None when it does."""
        try:
            self._login("").close()
        except (psycopg.Error, pymysql.MySQLError) as error:
            return str(error)
        return None

    def _login(self, database: str) -> Any:
        facts: dict[str, Any] = {"host": self.host, "port": self.port, "user": self.user}
        facts |= {"connect_timeout": _LOGIN_S, "autocommit": True}
        if self.kind == "postgresql":
            password = self.password or None
            return psycopg.connect(**facts, password=password, dbname=database or "postgres")
        return pymysql.connect(**facts, password=self.password, database=database or None)


@cache
def postgresql() -> Server:
    """A PostgreSQL server for `fresh` databases; without one the test is skipped or fails."""
    return _found_or_started("postgresql")


@cache
def mariadb() -> Server:
    """A MariaDB or MySQL server for `fresh` databases; without one the test is skipped or fails."""
    return _found_or_started("mariadb")


@contextmanager
def fresh(server: Server) -> Iterator[str]:
    """The SQLAlchemy URL of a new, empty database, dropped at the end of the block."""
    name = f"emdc_test_{os.getpid()}_{next(_numbers)}"
    if server.kind == "postgresql":
        server.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    else:
        server.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield server.url(name)
    finally:
        _drop(server, name)


class PrivateServer(ServerProcess):
    """A server of a test's own, to be stopped, killed or frozen."""

    def __init__(self, kind: Kind, folder: Path, *, options: Sequence[str]) -> None:
        self._address = Server(kind, "127.0.0.1", free_port(), TRAITS[kind].user)
        command = [*TRAITS[kind].run(folder, self._address.port), *options]
        super().__init__(kind, folder, command=command, answers=self._lets_in)

    @property
    def server(self) -> Server:
        """As `fresh` takes it; the address is the same after each start, `pid` is not."""
        return replace(self._address, pid=self.pid)

    def _lets_in(self) -> bool:
        return self._address.fault() is None


@contextmanager
def private(
    kind: Kind, *, tls: Path | None = None, options: Sequence[str] = ()
) -> Iterator[PrivateServer]:
    """A new server that runs, ended and removed at the end of the block; its commits are durable.

    `tls` is a PEM file with its certificate and its key, such as `Certificates.server`; without it
    the server has no TLS. `options` are further arguments of its program.
    """
    # Short: a Unix socket's path has little room, pytest's own folders need much.
    folder = Path(tempfile.mkdtemp(prefix="emdc-")).resolve()
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        install(kind, folder)
        given = [*options, *(_tls(kind, folder, tls) if tls else ())]
        server = PrivateServer(kind, folder, options=given)
        stack.callback(server.end)
        server.start()
        yield server


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files. Those of servers hold the certificate and the key."""

    ca: Path
    """The authority that signed both servers' certificates."""
    other_ca: Path
    """An authority that signed neither."""
    server: Path
    """For localhost, 127.0.0.1 and ::1."""
    misnamed: Path
    """For another machine."""


def certificates(folder: Path) -> Certificates:
    """New authorities and certificates in a folder, valid for two days."""
    ca, other = folder / "ca.pem", folder / "other-ca.pem"
    made = Certificates(ca, other, folder / "server.pem", folder / "misnamed.pem")
    for authority in (ca, other):
        _issue(authority, authority.with_suffix(".key"), "critical,CA:TRUE")
    _issue(made.server, made.server, "DNS:localhost,IP:127.0.0.1,IP:::1", signer=ca)
    _issue(made.misnamed, made.misnamed, "DNS:elsewhere.example", signer=ca)
    return made


def _found_or_started(kind: Kind) -> Server:
    traits = TRAITS[kind]
    if address := os.environ.get(traits.variable):
        return _named(kind, address)
    server = Server(kind, "127.0.0.1", traits.port, traits.user)
    if server.fault() is None:
        return server
    stack = ExitStack()
    started = stack.enter_context(private(kind))
    atexit.register(stack.close)
    return started.server


def _named(kind: Kind, address: str) -> Server:
    parts, traits = urlsplit(address), TRAITS[kind]
    server = Server(
        kind,
        parts.hostname or "127.0.0.1",
        parts.port or traits.port,
        unquote(parts.username or traits.user),
        unquote(parts.password or ""),
    )
    if (fault := server.fault()) is not None:
        pytest.fail(f"{traits.variable}: {server.host}:{server.port} lets nobody in: {fault}")
    return server


def _drop(server: Server, database: str) -> None:
    if server.kind == "postgresql":
        server.execute(f"DROP DATABASE {database} WITH (FORCE)")
        return
    # MariaDB waits for every transaction that has used a table, also of a client that hangs.
    users = f"SELECT id FROM information_schema.processlist WHERE db = '{database}'"
    for (number,) in server.execute(users):
        with suppress(pymysql.MySQLError):
            server.execute(f"KILL {number}")
    server.execute(f"DROP DATABASE {database}")


def _tls(kind: Kind, folder: Path, certificate: Path) -> Sequence[str]:
    # A server refuses a key that others can read, and cannot enter pytest's folders.
    copy = folder / "server.pem"
    copy.touch(0o600)
    copy.write_bytes(certificate.read_bytes())
    give(copy, kind)
    return [argument.format(copy) for argument in TRAITS[kind].tls]


def _issue(file: Path, key: Path, extent: str, *, signer: Path | None = None) -> None:
    """Write a certificate and its key; `extent` is an authority's constraint or a server's names.

    The fields are those that a strict reading of RFC 5280 asks for.
    """
    program = need_program("openssl", "apt-get install openssl")
    settings = file.with_suffix(".cnf")
    extensions = {
        "subjectKeyIdentifier": "hash",
        "authorityKeyIdentifier": "keyid:always",
        "basicConstraints": "critical,CA:FALSE" if signer else extent,
        "keyUsage": "critical," + ("digitalSignature" if signer else "keyCertSign"),
    }
    if signer:
        extensions["subjectAltName"] = extent
    lines = [f"{name} = {value}" for name, value in extensions.items()]
    head = ["[req]", "distinguished_name = name", "x509_extensions = extensions", "[name]"]
    settings.write_text("\n".join([*head, "[extensions]", *lines, ""]))
    command: list[str | Path] = [program, "req", "-x509", "-config", settings]
    command += ["-subj", f"/CN=EMDC test {file.stem}"]
    command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-keyout", key, "-out", "-"]
    if signer:
        command += ["-CA", signer, "-CAkey", signer.with_suffix(".key")]
    made = subprocess.run(command, capture_output=True, check=True)
    with file.open("ab") as out:
        out.write(made.stdout)
