"""The program as users start it: a process whose lines are read and which is always ended."""

import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

PATIENCE_S = 120.0
"""No test waits longer for anything; on a free machine each wait lasts a fraction of a second.

Only a fault ends it: other tests run beside this one, and a machine may have other work too.
"""


class Program:
    """A running `python -m emdc`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.page = ""
        self.started: dict[str, Any] = {}

    def event(self, name: str) -> dict[str, Any]:
        """The next line of its log that reports this event; other lines are passed over."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            facts: dict[str, Any] = json.loads(line)
            if facts["event"] == name:
                return facts
        raise AssertionError(f"it ended with {self.process.wait()} before the event {name!r}")

    def line(self, start: str) -> str:
        """The next line of its output that begins so, leaving spaces out of account."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip().startswith(start):
                return line.strip()
        raise AssertionError(f"it ended with {self.process.wait()} before the line {start!r}")

    def ask(self, method: str, path: str) -> tuple[int, str]:
        """Status and body of one HTTP request."""
        connection = http.client.HTTPConnection(self.page.split("/")[2], timeout=PATIENCE_S)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; the exit code and what is left of its output and its log."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, out, err


@contextmanager
def emdc(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    shell: str = "",
) -> Iterator[Program]:
    """The program with these arguments, killed at the end of the block if it still runs.

    `shell` is what a shell does before it becomes the program.
    """
    command = _command(arguments)
    process = subprocess.Popen(
        ["/bin/sh", "-c", f'{shell}\nexec "$0" "$@"', *command] if shell else command,
        cwd=folder,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # Reading a line has no time-out of its own: a program that hangs is killed and its lines end.
    watchdog = threading.Timer(PATIENCE_S, process.kill)
    watchdog.start()
    try:
        with process:
            yield Program(process)
            process.kill()
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()


@contextmanager
def daemon(
    *arguments: str,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    shell: str = "",
) -> Iterator[Program]:
    """`emdc run` on a free port, once it runs; `page` and `started` say where and how."""
    flags = ("run", "--port=0", *arguments)
    with emdc(*flags, folder=folder, environment=environment, shell=shell) as program:
        program.started = program.event("started")
        program.page = program.started["page"]
        yield program


def finished(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """What the program printed, and its exit code, when it ends by itself."""
    return subprocess.run(
        _command(arguments),
        cwd=folder,
        env=_environment(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def complaints(log: str) -> set[str]:
    """The events in a program's log, except that a busy machine made it miss ticks."""
    return {json.loads(line)["event"] for line in log.splitlines()} - {"ticks missed"}


def until(true: Callable[[], bool]) -> None:
    """Return when `true()` is; raises AssertionError when it does not become so."""
    end = monotonic() + PATIENCE_S
    while not true():
        assert monotonic() < end, "it never became so"
        sleep(0.02)


def _own_ports() -> Iterator[int]:
    """Ports for tests of this process, never of another worker of the same run.

    They are none of those that a system gives by itself, to a server or to an outgoing connection:
    such a port may be somebody else's a moment later, even a client's own end, so that the client
    talks to itself. Each run has another order: others may run at the same time.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    share = range(20_000 + worker, 30_000, workers)
    return itertools.cycle(random.SystemRandom().sample(share, len(share)))


_PORTS: Final = _own_ports()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, and which stays free while its server is down.

    Each call gives another one.
    """
    for port in itertools.islice(_PORTS, 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("100 ports between 20000 and 30000 are taken")


def meter_flags(port: int, *more: str) -> tuple[str, ...]:
    """Flags of the old collector for a Nexus 1272 on this machine."""
    return (
        f"--panel_host=127.0.0.1:{port}",
        "--panel_topic_prefix=UW/Mercer/nexus_meter",
        "--panel_metrics_workbook=nexus-1272",
        *more,
    )


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "emdc", *arguments]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """This process's environment without settings of ours, and `more`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("EMDC_", "UWSOLAR_"))}
    return kept | dict(more or {})
