"""10,000 polls over every fault that a meter can have; no stored value may be a wrong one.

A daemon as users start it reads meters that misbehave (truth_meters): each fault of `faults` in a
meter of its own, at about a third of its requests, and meters that do any of it. Each answer says
which request it is for. Afterwards truth_oracle, which shares no code with EMDC, reads the meters'
log and the database and judges each stored value; it must also find each sabotage of
truth_sabotage. `--long` polls ten times as much.
"""

import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import block, rig
from bench.rig import Result, exactly
from bench.service import Setup, daemon
from bench.truth_meters import MODES, Mode, place_of
from bench.truth_oracle import Account, Log, audit, read_log
from bench.truth_sabotage import SABOTAGES, uncaught

POLLS = 10_000
TIMEOUT_S = 0.15
LINES = (
    "interval = 0.4",
    f"timeout = {TIMEOUT_S}",
    "connect_timeout = 0.3",
    "retries = 1",
    "retry_wait = 0.02",
    "backoff_max = 0.2",
)
SPANS = ((3, 0, 16), (3, 100, 16), (4, 0, 16))
"""Function code, address and quantity of the three requests of a poll."""


@dataclass(frozen=True)
class Plant(Setup):
    """A meter for each unit of each mode, called `bench/NUMBER`."""

    modes: Sequence[Mode] = MODES

    def write_config(self) -> Path:
        """The configuration file."""
        lines = ["[database]", 'type = "sqlite"', f'host = "{self.database}"']
        lines += ["[http]", f"port = {self.http_port}"]
        number = 0
        for mode, port in zip(self.modes, self.ports, strict=True):
            for unit in range(1, mode.units + 1):
                lines += ["[[meters]]", f'name = "bench/{number}"', f'host = "{rig.HOST}"']
                lines += [f"port = {port}", f"unit = {unit}", f'map = "{self.workbook}"']
                lines += [*LINES, *mode.lines]
                number += 1
        path = self.folder / "emdc.toml"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path


def run(*, long: bool) -> list[Result]:
    """About a minute, or ten."""
    wanted, seed = (10 * POLLS if long else POLLS), random.SystemRandom().randrange(2**32)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ports = rig.free_ports(len(MODES) + 1)
        plant = Plant(folder, ports[0], ports[1:], _write_workbook(folder / "truth.xlsx"))
        log = folder / "meters.log"
        with _meters(log, seed, plant.ports), daemon(plant):
            started = time.monotonic()
            _poll(plant.database, wanted)
            took = time.monotonic() - started
        read = read_log(log)
        with closing(sqlite3.connect(plant.database)) as database:
            account, missed = audit(database, read), uncaught(database, read)
    caught = len(SABOTAGES) - len(missed)
    names = [mode.name for mode in MODES for _ in range(mode.units)]
    for (meter, problem), count in account.wrong.items():
        missed.append(f"meter {meter} ({names[meter]}): {count} values {problem}")
    for line in missed:
        print(f"  {line} (seed {seed})", file=sys.stderr)
    return _results(account, read, caught, wanted / took)


def _write_workbook(path: Path) -> Path:
    """Metrics k00, k01 and so on, four registers each; all ones is no value."""
    rows: list[Sequence[object]] = []
    for function, address, quantity in SPANS:
        for at in range(address, address + quantity, 4):
            name = f"k{place_of(function, at):02}"
            rows.append((name, "", at, 4, 1, "UINT64", function, str(2**64 - 1)))
    return block.write_workbook(path, rows, ("Function Code", "Invalid"))


@contextmanager
def _meters(log: Path, seed: int, ports: Sequence[int]) -> Iterator[None]:
    """The meters; their log is complete when the block has ended."""
    command = [sys.executable, "-m", "bench.truth_meters", str(log), str(seed), str(TIMEOUT_S)]
    with rig.running([*command, *map(str, ports)], stdout=subprocess.PIPE, cwd=rig.ROOT) as process:
        rig.await_ready(process, "truth_meters")
        yield


def _poll(database: Path, wanted: int) -> None:
    """Wait for so many readings of meters that were asked, or tried to be."""
    asked = "SELECT count(*) FROM readings WHERE gaps IS NULL OR gaps NOT LIKE ?"
    end = time.monotonic() + wanted / 20
    with closing(sqlite3.connect(database)) as reader:
        while reader.execute(asked, ('{"backoff_skipped":%]}',)).fetchone()[0] < wanted:
            if time.monotonic() > end:
                raise SystemExit(f"{wanted} polls took longer than {wanted / 20:.0f} s")
            time.sleep(0.5)


def _results(account: Account, log: Log, caught: int, rate: float) -> list[Result]:
    shown, alive = log.faults(), account.by_meter
    gaps = ", ".join(f"{reason} {count:,}" for reason, count in account.gaps.most_common(4))
    names = {mode.name.replace(" ", "_") for mode in MODES if mode.answer}
    readable = sum(mode.units - mode.dead for mode in MODES)
    return [
        Result("polls", f"{account.polls:,}", f"at least {POLLS:,}", account.polls >= POLLS),
        Result("polls a second", f"{rate:.0f}"),
        Result("requests that the meters had", f"{len(log.requests):,}"),
        Result("of them with a fault in the answer", f"{shown.total():,}"),
        exactly("kinds of faulty answers shown", len(shown.keys() & names), len(names)),
        exactly("meters that were read in between", len(alive), readable),
        Result("missing values by reason, the most", gaps),
        Result("right values", f"{account.right:,}", "more than none", account.right > 0),
        exactly("wrong values", account.wrong.total(), 0),
        exactly("sabotages found by the oracle", caught, len(SABOTAGES)),
    ]
