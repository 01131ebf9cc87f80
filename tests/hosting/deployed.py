"""EMDC under another server, in front of a simulated meter that counts who reads it."""

import asyncio
import http.client
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from emdc.meters import library
from emdc.modbus.server import Server, serve
from emdc.synthetic.simulator import Simulator
from tests.program import PATIENCE_S, until

PREFIX = "UW/Mercer/nexus_meter"
ROOT = Path(__file__).parents[2]


class Deployment:
    """A running server: `process` is its first process, `folder` its working directory."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int, folder: Path) -> None:
        self.process = process
        self._port = port
        self.folder = folder
        self.runtime = folder / "run"

    def ask(self, method: str, path: str, **headers: str) -> tuple[int, str]:
        """Status and body of one request, once the server listens."""
        until(self._listens)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        with closing(connection):
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def holder(self) -> int:
        """The process that has put its id into the lock file; 0 when none has."""
        for lock in self.runtime.glob("emdc/*.lock"):
            return int(lock.read_text() or 0)
        return 0

    def ticks(self) -> int:
        """Rows in the database, which the schedule makes."""
        try:
            with closing(sqlite3.connect(self.folder / "emdc.db")) as database:
                return int(database.execute("SELECT count(*) FROM readings").fetchone()[0])
        except sqlite3.Error:
            return 0

    def collects_again(self, *, without: int) -> None:
        """Return when another process than `without` has the lock and has stored a reading."""
        until(lambda: self.holder() not in (0, without))
        before = self.ticks()
        until(lambda: self.ticks() > before)

    def stop(self, number: signal.Signals) -> None:
        """End the server, with SIGINT as a terminal does: that is for all of its processes."""
        send = os.killpg if number is signal.SIGINT else os.kill
        send(self.process.pid, number)
        self.process.wait(timeout=PATIENCE_S)

    def members(self) -> set[int]:
        """All keepers of this deployment and their children."""
        return {pid for pid in _processes() if str(self.runtime).encode() in _command_of(pid)}

    def _listens(self) -> bool:
        assert self.process.poll() is None, "the server ended"
        with suppress(OSError), closing(http.client.HTTPConnection("127.0.0.1", self._port)) as one:
            one.connect()
            return True
        return False


@contextmanager
def deployed(command: Sequence[str], port: int, meter: "Meter") -> Iterator[Deployment]:
    """A program of the virtual environment with the old collector's environment and a schedule."""
    # Short: a Unix socket's path has little room, pytest's own folders need much.
    folder = Path(tempfile.mkdtemp(prefix="emdc-"))
    (folder / "run").mkdir(mode=0o700)
    process = subprocess.Popen(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=folder,
        env=environment(folder, meter.port),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deployment = Deployment(process, port, folder)
    try:
        yield deployment
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        until(lambda: not deployment.members())
        shutil.rmtree(folder)


def environment(folder: Path, meter_port: int) -> dict[str, str]:
    """What a deployment of the old collector sets, and a reading a second."""
    mine = ("EMDC_", "UWSOLAR_", "RUNTIME_DIRECTORY")
    kept = {name: text for name, text in os.environ.items() if not name.startswith(mine)}
    return kept | {
        "UWSOLAR_DB_HOST": str(folder / "emdc.db"),
        "UWSOLAR_PANEL_HOST": f"127.0.0.1:{meter_port}",
        "UWSOLAR_PANEL_TOPIC_PREFIX": PREFIX,
        "UWSOLAR_PANEL_METRICS_WORKBOOK": "nexus-1272",
        "EMDC_PANEL_INTERVAL": "1",
        "XDG_RUNTIME_DIR": str(folder / "run"),
    }


class Meter:
    """A simulated Nexus 1272; `most_clients` is how many ever were connected at a time."""

    def __init__(self) -> None:
        register_map = library.find("nexus-1272", maps_dir=ROOT, worksheet="Metrics")
        self._simulator = Simulator(register_map)
        self._server: Server
        self.most_clients = 0

    @property
    def port(self) -> int:
        """The TCP port."""
        return self._server.port

    def answer(self, unit: int, function_code: int, address: int, count: int) -> bytes | int:
        """Answer, and count the clients."""
        self.most_clients = max(self.most_clients, len(self._server.connections))
        return self._simulator.answer(unit, function_code, address, count)

    async def run(self, started: threading.Event, ended: asyncio.Event) -> None:
        """Serve until told to end."""
        self._server = await serve(self.answer, "127.0.0.1", 0)
        started.set()
        await ended.wait()
        self._server.close()
        await self._server.nobody.wait()


@contextmanager
def running_meter() -> Iterator[Meter]:
    """A meter that answers in a thread of its own."""
    meter, started, ended = Meter(), threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(meter.run(started, ended),))
    thread.start()
    started.wait()
    try:
        yield meter
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()


def parent_of(pid: int) -> int:
    """The parent of a process, proc_pid_stat(5); 0 when it is gone."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def kill(pid: int) -> None:
    """End one process as the system does that has no memory left."""
    os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[int]:
    return (int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal())


def _command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
