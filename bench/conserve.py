"""Figure 5: a third of the meters die and come back; every (topic, due tick) is accounted for.

Three servers hold a third of the meters each. One is killed by its process id while the daemon
reads every second, and started again on the same ports; `--long` does so several times and kills
the daemon too. `ledger` then audits the database, after it has found each of five kinds of damage
that were done to copies of it.
"""

import json
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from bench import block, rig
from bench.ledger import Account, audit
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
        setup = Setup(folder, ports[0], meters.ports, _workbook(folder), METER_LINES)
        until_ms = _disturb(setup, meters, rounds=10 if long else 1, kill_daemon=long)
        caught = _prove(setup.database, folder, until_ms, epoch_ms)
        account = audit(setup.database, until_ms=until_ms, epoch_ms=epoch_ms)
    return _results(account, caught)


def _workbook(folder: Path) -> Path:
    rows = [(f"k{k:02}", "", 4 * k, 4, 1, "UINT64") for k in range(METRICS)]
    return block.write_workbook(folder / "bench.xlsx", rows)


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


def _prove(database: Path, folder: Path, until_ms: int, epoch_ms: int) -> int:
    """How many of the damages to a copy of the database the audit finds as what they are."""
    found = 0
    before = audit(database, until_ms=until_ms, epoch_ms=epoch_ms)
    for damage, column, count in DAMAGES:
        copy = folder / "damaged.db"
        copy.unlink(missing_ok=True)
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            damage(target, *_complete_readings(target))
            target.commit()
        after = audit(copy, until_ms=until_ms, epoch_ms=epoch_ms)
        found += getattr(after, column) - getattr(before, column) >= count
    return found


def _complete_readings(database: sqlite3.Connection) -> tuple[int, int, int]:
    """Row ids of two meters' readings in one tick, and of the first meter's next one."""
    row = database.execute(
        "SELECT a.rowid, b.rowid, c.rowid FROM readings a"
        " JOIN readings b ON b.ts = a.ts AND b.meter_id > a.meter_id"
        " JOIN readings c ON c.meter_id = a.meter_id AND c.ts > a.ts"
        " WHERE a.gaps IS NULL AND b.gaps IS NULL AND c.gaps IS NULL"
        " ORDER BY a.rowid, c.ts LIMIT 1"
    ).fetchone()
    if row is None:
        raise SystemExit("no two meters have complete readings in one tick")
    return row


def _drop(database: sqlite3.Connection, row: int, _other: int, _next: int) -> None:
    database.execute("DELETE FROM readings WHERE rowid = ?", (row,))


def _double(database: sqlite3.Connection, row: int, _other: int, _next: int) -> None:
    end = "strftime('%Y-%m-%d %H:%M:%S.000000', ts, '+1 second')"
    database.execute(
        f"INSERT INTO gaps (meter_id, from_ts, to_ts, reason)"
        f" SELECT meter_id, ts, {end}, 'overrun' FROM readings WHERE rowid = ?",
        (row,),
    )


def _swap_meters(database: sqlite3.Connection, row: int, other: int, _next: int) -> None:
    _swap(database, row, other)


def _swap_ticks(database: sqlite3.Connection, row: int, _other: int, following: int) -> None:
    _swap(database, row, following)


def _swap(database: sqlite3.Connection, one: int, two: int) -> None:
    read = "SELECT vals FROM readings WHERE rowid = ?"
    values = [database.execute(read, (row,)).fetchone()[0] for row in (one, two)]
    write = "UPDATE readings SET vals = ? WHERE rowid = ?"
    database.executemany(write, zip(values, (two, one), strict=True))


def _swap_metrics(database: sqlite3.Connection, row: int, _other: int, _next: int) -> None:
    text = database.execute("SELECT vals FROM readings WHERE rowid = ?", (row,)).fetchone()[0]
    first, second, *rest = json.loads(text)
    swapped = json.dumps([second, first, *rest])
    database.execute("UPDATE readings SET vals = ? WHERE rowid = ?", (swapped, row))


DAMAGES: Sequence[tuple[Callable[[sqlite3.Connection, int, int, int], None], str, int]] = (
    # what is done to a copy, the column of the account that must show it, and by at least how much
    (_drop, "missing", METRICS),
    (_double, "doubled", METRICS),
    (_swap_meters, "misplaced", 2 * METRICS),
    (_swap_ticks, "misplaced", METRICS),
    (_swap_metrics, "misplaced", 2),
)


def _results(account: Account, caught: int) -> list[Result]:
    gaps_met = account.gaps > 0
    return [
        Result("values", f"{account.values:,}"),
        Result("gaps (the dead meters)", f"{account.gaps:,}", "more than none", gaps_met),
        exactly("(topic, tick) pairs with neither", account.missing, 0),
        exactly("(topic, tick) pairs with both or two", account.doubled, 0),
        exactly("values of another meter, metric or tick", account.misplaced, 0),
        exactly("kinds of damage to a copy that were found", caught, len(DAMAGES)),
    ]
