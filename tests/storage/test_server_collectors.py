"""Several collectors, on one machine and on several, record into one server's database."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from emdc.errors import StorageError
from emdc.storage.claim import claimed, elsewhere
from emdc.storage.conservation import conservation
from emdc.storage.database import DIALECTS, connected, open_engine
from emdc.storage.registry import register
from tests.storage.plain import ask
from tests.storage.plant import METER, NOON, profile, reading, store, tick

ROOT = Path(__file__).parents[2]
OTHER = "UW/Elm/eaton_meter"
HOLDS = (
    "import sys\nfrom emdc.storage.claim import claimed\n"
    "from emdc.storage.database import make_engine\n"
    "with claimed(make_engine(sys.argv[1]), sys.argv[2:]):\n"
    "    print('claimed', flush=True)\n    sys.stdin.readline()\n"
)
REGISTERS = (
    "import sys\nfrom emdc.storage.database import DIALECTS, connected, make_engine\n"
    "from emdc.storage.registry import register\n"
    "from tests.storage.plant import NOON, profile\n"
    "engine = make_engine(sys.argv[1])\n"
    "print('ready', flush=True)\nsys.stdin.readline()\n"
    "dialect = DIALECTS[engine.dialect.name]\n"
    "with dialect.alone(engine), connected(engine, write=True) as connection:\n"
    "    register(connection, [profile(f'{sys.argv[2]}/{n}') for n in range(20)], NOON)\n"
)


def address(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


@contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A Python program that has printed its first line; it ends on a line of input."""
    command = [sys.executable, "-c", code, *arguments]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline()
            yield started
        finally:
            started.communicate("\n")


@contextmanager
def on_another_machine(monkeypatch: pytest.MonkeyPatch, name: str) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setattr(socket, "gethostname", lambda: name)
        yield


def test_settings_name_the_collectors_host(server_engine: Engine) -> None:
    store(server_engine, reading(0))
    ((settings,),) = ask(server_engine, "SELECT settings FROM meter_settings")
    assert json.loads(settings)["collector"] == socket.gethostname()


def test_meters_of_another_host_are_left_alone(
    server_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_another_machine(monkeypatch, "site-b"):
        store(server_engine, reading(0, meter=OTHER), profiles=[profile(OTHER)])
    # It runs on, and this machine's collector starts later with a meter of its own.
    store(server_engine, reading(60), now=tick(60))
    theirs = "meter_id = (SELECT meter_id FROM meters WHERE name LIKE '%%Elm%%')"
    query = f"SELECT slots FROM schedules WHERE {theirs}"
    assert ask(server_engine, query) == [("[0,1,2]",)]
    query = f"SELECT count(*) FROM gaps WHERE {theirs} AND from_ts < to_ts"
    assert ask(server_engine, query) == [(0,)]
    with on_another_machine(monkeypatch, "site-b"):
        store(server_engine, reading(120, meter=OTHER), profiles=[profile(OTHER)], now=tick(120))
    assert conservation(server_engine, until=tick(121)).pending == 180


def test_meter_that_moved_to_this_host_is_this_hosts(
    server_engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on_another_machine(monkeypatch, "site-b"):
        store(server_engine, reading(0))
    store(server_engine, reading(10), now=tick(10))
    found = conservation(server_engine, until=tick(11))
    assert (found.holds, found.values, found.gaps) == (True, 6, 27)
    with on_another_machine(monkeypatch, "site-b"):
        store(server_engine, reading(20, meter=OTHER), profiles=[profile(OTHER)], now=tick(20))
    query = "SELECT count(*) FROM schedules WHERE slots = '[]'"
    assert ask(server_engine, query) == [(0,)]


def test_meter_that_left_this_hosts_configuration_owes_nothing(server_engine: Engine) -> None:
    both = [profile(), profile(OTHER)]
    store(server_engine, reading(0), reading(0, meter=OTHER), profiles=both)
    store(server_engine, reading(5), now=tick(5))
    assert ask(server_engine, "SELECT count(*) FROM schedules WHERE slots = '[]'") == [(1,)]


@pytest.mark.skipif(sys.platform != "linux", reason="claims are Linux only")
def test_meter_is_claimed_by_one_process_of_a_machine(server_engine: Engine) -> None:
    with process(HOLDS, address(server_engine), METER) as holder:
        said = f"{METER} is recorded .*process {holder.pid}:"
        with pytest.raises(StorageError, match=said), claimed(server_engine, [METER]):
            pass
        with claimed(server_engine, [OTHER]):
            pass
        with connected(server_engine) as connection:
            assert elsewhere(connection, [METER, OTHER]) == {METER}
    with claimed(server_engine, [METER]):
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="claims are Linux only")
def test_claim_is_the_same_for_each_address_of_a_database(server_engine: Engine) -> None:
    other = make_url(server_engine.url).set(host="localhost")
    if server_engine.url.get_backend_name() == "mysql":
        drivers = {"mysql+pymysql", "mysql+mysqlconnector"}
        other = other.set(drivername=(drivers - {server_engine.url.drivername}).pop())
    with (
        process(HOLDS, other.render_as_string(hide_password=False), METER),
        pytest.raises(StorageError, match="is recorded there"),
        claimed(server_engine, [METER]),
    ):
        pass


def test_two_processes_that_start_together_share_no_topic(server_engine: Engine) -> None:
    with (
        process(REGISTERS, address(server_engine), "one") as one,
        process(REGISTERS, address(server_engine), "two") as two,
    ):
        for each in (one, two):
            assert each.stdin is not None
            each.stdin.write("\n")
            each.stdin.flush()
        assert [each.wait() for each in (one, two)] == [0, 0]
    assert ask(server_engine, "SELECT count(*) FROM meters") == [(40,)]
    query = "SELECT count(DISTINCT topic_id), count(DISTINCT topic_name) FROM topics"
    assert ask(server_engine, query) == [(120, 120)]


def test_lock_of_a_start_is_free_again_after_it(server_engine: Engine) -> None:
    dialect, second = DIALECTS[server_engine.dialect.name], open_engine(server_engine.url)
    for _ in range(2):
        for engine in (server_engine, second):
            with dialect.alone(engine), connected(engine, write=True) as connection:
                register(connection, [profile()], NOON)
    second.dispose()
