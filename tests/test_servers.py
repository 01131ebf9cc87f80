"""The servers that other tests use: they keep what was committed, and nothing of them stays."""

import os
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
from sqlalchemy import create_engine, text

from tests import server_programs
from tests.program import PATIENCE_S
from tests.server_programs import TRAITS, Kind
from tests.servers import (
    Certificates,
    PrivateServer,
    Server,
    certificates,
    fresh,
    mariadb,
    postgresql,
    private,
)

ROOT = Path(__file__).parents[1]
KINDS: tuple[Kind, ...] = ("postgresql", "mariadb")
REFUSALS = (psycopg.OperationalError, pymysql.OperationalError)


@pytest.fixture(scope="module", params=KINDS)
def own(request: pytest.FixtureRequest, made: Certificates) -> Iterator[PrivateServer]:
    with private(request.param, tls=made.server) as server:
        yield server


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(params=[postgresql, mariadb])
def shared(request: pytest.FixtureRequest) -> Server:
    server: Server = request.param()
    return server


def databases(server: Server) -> set[str]:
    catalog = "SELECT datname FROM pg_database" if server.kind == "postgresql" else "SHOW DATABASES"
    return {name for (name,) in server.execute(catalog)}


def login(server: Server, ca: Path | None) -> None:
    """Connect as a driver does by itself; with an authority it must be TLS and is verified."""
    facts: dict[str, Any] = {"host": server.host, "port": server.port, "user": server.user}
    if server.kind == "postgresql":
        facts |= {"sslmode": "verify-full", "sslrootcert": str(ca)} if ca else {}
        psycopg.connect(**facts).close()
    else:
        facts |= {"ssl": ssl.create_default_context(cafile=ca)} if ca else {}
        pymysql.connect(**facts).close()


@pytest.mark.parametrize("end", [PrivateServer.kill, PrivateServer.stop])
def test_what_was_committed_is_there_at_the_next_start_and_the_rest_is_not(
    own: PrivateServer, end: Callable[[PrivateServer], None]
) -> None:
    with fresh(own.server) as url:
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE kept (n INTEGER)"))
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO kept VALUES (1)"))
        left_open = engine.connect()
        left_open.execute(text("INSERT INTO kept VALUES (2)"))
        before = own.pid
        end(own)
        assert own.server.fault() is not None
        left_open.invalidate()
        engine.dispose()
        own.start()
        assert own.pid != before
        with engine.connect() as connection:
            assert connection.execute(text("SELECT n FROM kept")).scalars().all() == [1]
        engine.dispose()


def test_a_frozen_server_answers_once_it_is_thawed(own: PrivateServer) -> None:
    answers: list[object] = []
    with fresh(own.server) as url:
        engine = create_engine(url)
        with engine.connect() as connection:
            asking = threading.Thread(
                target=lambda: answers.append(connection.execute(text("SELECT 7")).scalar())
            )
            own.freeze()
            try:
                asking.start()
                asking.join(0.3)
                hung = (asking.is_alive(), list(answers))
            finally:
                own.thaw()
            asking.join(PATIENCE_S)
        engine.dispose()
    assert hung == (True, [])
    assert answers == [7]


def test_a_frozen_server_can_be_killed_and_started(own: PrivateServer) -> None:
    own.freeze()
    own.kill()
    own.start()
    assert own.server.fault() is None


def test_a_private_server_syncs_its_commits(own: PrivateServer) -> None:
    if own.kind == "postgresql":
        asked = "SELECT current_setting('fsync'), current_setting('synchronous_commit')"
        assert own.server.execute(asked) == [("on", "on")]
    else:
        assert own.server.execute("SELECT @@innodb_flush_log_at_trx_commit") == [(1,)]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_a_private_server(kind: Kind) -> None:
    option = {"postgresql": ("-c", "fsync=off"), "mariadb": ("--innodb-flush-log-at-trx-commit=0",)}
    asked = {"postgresql": "SHOW fsync", "mariadb": "SELECT @@innodb_flush_log_at_trx_commit"}
    with private(kind, options=option[kind]) as server:
        pid, folder, address = server.pid, server.folder, server.server
        assert address.pid == pid
        assert address.execute(asked[kind])[0][0] in ("off", 0)
        os.kill(pid, signal.SIGSTOP)
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()
    assert address.fault() is not None


def test_a_fresh_database_is_empty_of_its_own_and_gone_afterwards(shared: Server) -> None:
    with fresh(shared) as first, fresh(shared) as second:
        names = {url.rpartition("/")[2] for url in (first, second)}
        assert len(names) == 2
        assert names <= databases(shared)
        for url in (first, second):
            engine = create_engine(url)
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE t (word VARCHAR(9))"))
                connection.execute(text("INSERT INTO t VALUES ('Zähler €😀')"))
            engine.dispose()
    assert not names & databases(shared)


def test_a_fresh_database_goes_also_when_a_transaction_is_open_in_it(shared: Server) -> None:
    with fresh(shared) as url:
        engine = create_engine(url)
        connection = engine.connect()
        connection.execute(text("CREATE TABLE t (n INTEGER)"))
        connection.commit()
        connection.execute(text("INSERT INTO t VALUES (1)"))
    assert url.rpartition("/")[2] not in databases(shared)
    connection.invalidate()
    engine.dispose()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_is_named_and_does_not_answer_fails_the_test_without_its_password(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = {"postgresql": postgresql, "mariadb": mariadb}[kind].__wrapped__
    monkeypatch.setenv(TRAITS[kind].variable, "any://me:hunter2@127.0.0.1:1/")
    with pytest.raises(pytest.fail.Exception, match=TRAITS[kind].variable) as raised:
        find()
    assert "127.0.0.1:1" in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_a_server_that_is_named_is_used_as_it_is_named(
    own: PrivateServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = {"postgresql": postgresql, "mariadb": mariadb}[own.kind].__wrapped__
    user = own.server.user
    monkeypatch.setenv(TRAITS[own.kind].variable, f"any://{user}@127.0.0.1:{own.server.port}/")
    found = find()
    assert (found.port, found.user, found.pid) == (own.server.port, user, None)


STARTED_BY_ITSELF = """
from dataclasses import replace
from tests import server_programs, servers
traits = server_programs.TRAITS["{kind}"]
server_programs.TRAITS["{kind}"] = replace(traits, port=1, variable="UNSET")
print(servers.{kind}().pid, servers.{kind}().pid)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_nobody_runs_is_started_once_and_ends_with_the_tests(kind: Kind) -> None:
    program = STARTED_BY_ITSELF.format(kind=kind)
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    first, second = ended.stdout.split()
    assert first == second
    assert not Path(f"/proc/{first}").exists()


@pytest.mark.parametrize(
    ("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)]
)
@pytest.mark.parametrize("kind", KINDS)
def test_programs_that_are_not_installed_are_a_skip_for_users_and_a_failure_in_ci(
    kind: Kind, ci: str, outcome: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(server_programs, "_PLACES", ())
    with pytest.raises(outcome, match="apt-get install"), private(kind):
        pass


def test_a_certificate_is_verified_by_its_authority_and_name(
    own: PrivateServer, made: Certificates
) -> None:
    login(own.server, made.ca)
    with pytest.raises(REFUSALS, match="certificate"):
        login(own.server, made.other_ca)


@pytest.mark.parametrize("kind", KINDS)
def test_a_certificate_with_another_name_does_not_pass(kind: Kind, made: Certificates) -> None:
    with private(kind, tls=made.misnamed) as server, pytest.raises(REFUSALS, match="certificate"):
        login(server.server, made.ca)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_without_a_certificate_has_no_tls(kind: Kind, made: Certificates) -> None:
    with private(kind) as server:
        login(server.server, None)
        with pytest.raises(REFUSALS, match="SSL"):
            login(server.server, made.ca)
