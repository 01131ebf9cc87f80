"""What the figures share: compiled helpers, ports, processes, medians, and the table of results.

Everything listens on 127.0.0.1 and ends with its parent, or by its process id.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
HOST = "127.0.0.1"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Result:
    """One line of the table; `met` is None where nothing was promised."""

    what: str
    measured: str
    target: str = ""
    met: bool | None = None


def print_results(results: Sequence[Result]) -> None:
    width = max(len(result.what) for result in results)
    for result in results:
        verdict = {None: "", True: "met", False: "MISSED"}[result.met]
        line = f"  {result.what:<{width}}  {result.measured:>20}  {result.target:<18} {verdict}"
        print(line.rstrip())
    print(flush=True)


def at_least(what: str, ratio: float, floor: float) -> Result:
    return Result(what, f"{ratio:.2f}x", f"at least {floor:g}x", ratio >= floor)


def at_least_rate(what: str, rate: float, floor: float, unit: str) -> Result:
    return Result(what, f"{rate:,.0f} {unit}", f"at least {floor:,.0f}", rate >= floor)


def at_most(what: str, measured: float, ceiling: float, unit: str) -> Result:
    return Result(what, f"{measured:.2f}{unit}", f"at most {ceiling:g}{unit}", measured <= ceiling)


def exactly(what: str, measured: int, wanted: int) -> Result:
    return Result(what, f"{measured:,}", f"exactly {wanted:,}", measured == wanted)


def raise_descriptor_limit() -> None:
    """Allow this process and its children as many descriptors as the system lets them have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def end_with_parent() -> None:
    """Have the kernel end this process when the one that started it ends. Source: prctl(2)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def compile_c(source: str, folder: Path, *libraries: str) -> Path:
    """The program made of bench/`source`, in `folder`; `libraries` are names for pkg-config."""
    program = folder / Path(source).stem
    flags: list[str] = []
    if libraries:
        flags = _output(["pkg-config", "--cflags", "--libs", *libraries]).split()
    _output(["gcc", "-O2", "-Wall", "-Wextra", "-o", str(program), str(HERE / source), *flags])
    return program


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def free_ports(count: int, first: int = 20000) -> list[int]:
    """Ports of 127.0.0.1 that nobody listens on.

    They lie below those that the kernel gives to outgoing connections: a client that knocks at a
    closed port of that range can be connected to itself.
    """
    limit = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text("ascii").split()[0])
    ports: list[int] = []
    for port in range(first, limit):
        if len(ports) == count:
            return ports
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            ports.append(port)
    raise SystemExit(f"{count} free ports wanted from {first} to {limit}, found {len(ports)}")


def bound(port: int) -> socket.socket:
    """A port of 127.0.0.1 that another process has just left; it refuses until it listens."""
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind((HOST, port))
    return found


def refusing(port: int) -> socket.socket:
    """The same, so that nobody else gets the port meanwhile."""
    found = bound(port)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return found


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A program that is ended by its process id when the block ends."""
    process = subprocess.Popen(command, text=True, **options)
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[str], patience_s: float = 15.0) -> int:
    """Ask the process to end, then make it; its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
    if process.stdout:
        process.stdout.close()
    return process.wait()


def start_meters(
    program: Path,
    ports: Sequence[int],
    *,
    image: Path | None = None,
    first: int = 0,
    epoch_ms: int = 0,
) -> subprocess.Popen[str]:
    """A server of meters, one a port, once it listens on all of them (see modbus_server.c)."""
    source = str(image) if image else "-"
    command = [str(program), source, str(first), str(epoch_ms), *map(str, ports)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    await_ready(process, program.name)
    return process


def await_ready(process: subprocess.Popen[str], name: str) -> None:
    """Wait until a program that we read from says that it is ready."""
    if process.stdout is None or process.stdout.readline() != "ready\n":
        raise SystemExit(f"{name} did not start: exit code {stop(process)}")


@contextmanager
def meters(
    program: Path, ports: Sequence[int], *, image: Path | None = None
) -> Iterator[subprocess.Popen[str]]:
    """The same, ended with the block."""
    process = start_meters(program, ports, image=image)
    try:
        yield process
    finally:
        stop(process)


def run_json(command: Sequence[str], timeout_s: float = 300.0) -> dict[str, float]:
    """The JSON object that a program prints as its last line."""
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT, timeout=timeout_s
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def interleaved(
    sides: Mapping[str, Callable[[], dict[str, float]]], rounds: int
) -> dict[str, list[dict[str, float]]]:
    """Every side's results, measured in turns so that a change of the machine meets all of them."""
    names = list(sides)
    results: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            results[name].append(sides[name]())
            sys.stderr.write(".")
            sys.stderr.flush()
    sys.stderr.write("\n")
    return results


def median(results: Sequence[Mapping[str, float]], key: str) -> float:
    return statistics.median(result[key] for result in results)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads, in seconds. Source: proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def wait_for(
    probe: Callable[[], Any], what: str, timeout_s: float = 60.0, pause_s: float = 0.05
) -> Any:
    """The first answer of `probe` that is true; SystemExit with `what` when none comes in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if answer := probe():
            return answer
        time.sleep(pause_s)
    raise SystemExit(f"{what} did not happen within {timeout_s:g} s")
