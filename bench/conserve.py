"""Figure 5: a third of the meters die and come back; every (topic, due tick) is accounted for.

Three servers hold a third of the meters each. One is killed by its process id while the daemon
reads every second, and started again on the same ports; `--long` does so several times and kills
the daemon too. `ledger` then audits the database, after it has found each kind of damage that
`damage` does to it.
"""

import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bench import block, rig
from bench.damage import DAMAGES, caught
from bench.engines import file_database
from bench.ledger import Account, Terms, audit
from bench.rig import Result, exactly
from bench.service import Setup, start_daemon

METERS = 60
METRICS = 40
GROUP = METERS // 3
METER_LINES = ("interval = 1", "timeout = 0.5", "backoff_max = 2")


@dataclass
class Meters:
    """Three servers of a third of the meters each."""

    program: Path
    ports: Sequence[int]
    epoch_ms: int
    servers: list[subprocess.Popen[str] | None]

    def start(self, group: int) -> None:
        """Start a third, on the ports that it had before."""
        first = group * GROUP
        ports = self.ports[first : first + GROUP]
        self.servers[group] = rig.start_meters(
            self.program, ports, first=first, epoch_ms=self.epoch_ms
        )

    def kill(self, group: int) -> None:
        """Kill a third, as a power cut would."""
        if server := self.servers[group]:
            server.kill()
            rig.stop(server)
            self.servers[group] = None


def run(*, long: bool) -> list[Result]:
    """About a minute, or ten with the daemon killed as well."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ports = rig.free_ports(METERS + 1)
        epoch_ms = int(time.time() * 1000) - 1000
        program = rig.compile_c("modbus_server.c", folder)
        meters = Meters(program, ports[1:], epoch_ms, [None] * 3)
        for group in range(3):
            meters.start(group)
            stack.callback(meters.kill, group)
        workbook = block.write_stamps(folder / "bench.xlsx", METRICS)
        setup = Setup(folder, ports[0], meters.ports, workbook, METER_LINES)
        until_ms = _disturb(setup, meters, rounds=10 if long else 1, kill_daemon=long)
        database, terms = file_database(setup.database), Terms(1000 * until_ms, 1000 * epoch_ms)
        found = caught(database, DAMAGES, METRICS, terms)
        with closing(database.connect()) as connection:
            account = audit(connection, terms)
    return _results(account, found)


def _disturb(setup: Setup, meters: Meters, *, rounds: int, kill_daemon: bool) -> int:
    """Run the daemon while thirds of the meters die; the time in ms until which ticks were due."""
    process = start_daemon(setup)
    try:
        for number in range(rounds):
            time.sleep(15)
            meters.kill(number % 3)
            time.sleep(15)
            if kill_daemon and number % 3 == 1:
                process.kill()
                rig.stop(process)
                time.sleep(3)
                process = start_daemon(setup)
            meters.start(number % 3)
            time.sleep(25)
    finally:
        # A tick that was due just before the end may still be on its way.
        until_ms = int(time.time()) * 1000
        time.sleep(1.5)
        rig.stop(process)
    return until_ms


def _results(account: Account, found: int) -> list[Result]:
    gaps_met = account.gaps > 0
    return [
        Result("values", f"{account.values:,}"),
        Result("gaps (the dead meters)", f"{account.gaps:,}", "more than none", gaps_met),
        exactly("(topic, tick) pairs with neither", account.missing, 0),
        exactly("(topic, tick) pairs with both or two", account.doubled, 0),
        exactly("readings that are torn", account.torn, 0),
        exactly("values of another meter, metric or tick", account.misplaced, 0),
        exactly("kinds of damage that were found", found, len(DAMAGES)),
    ]
