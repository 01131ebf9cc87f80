"""Figure 9: the daemon is killed at random moments; what it acknowledged is there, once and whole.

30 meters of 40 metrics five times a second, and `POST /collect` one after the other beside them.
The whole daemon gets SIGKILL by its process id and is started again on the same database: 20 times
on SQLite, 5 times each on PostgreSQL and MariaDB; 200, 50 and 50 times with `--long`. One kill in
five comes while it starts, two in ten while somebody else has locked the table `readings`, so that
readings wait in the spool and the next start has to bring them back. The moments come from a seed
that is printed; BENCH_SEED repeats them. Before each kill another program looks which readings are
there already. At the end `ledger` audits the database, after it has found each kind of damage that
`damage` does to it.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bench import block, engines, rig
from bench.damage import DAMAGES, MANUAL_DAMAGES, caught
from bench.engines import Database
from bench.ledger import Account, Acknowledged, Terms, audit, instant
from bench.rig import Result, exactly
from bench.service import Setup, daemon, database_health, has_drained, launch, start_daemon

METERS = 30
METRICS = 40
METER_LINES = ("interval = 0.2", "timeout = 0.5", "backoff_max = 1")
KILLS = {"sqlite": (20, 200), "postgresql": (5, 50), "mariadb": (5, 50)}
ALL_DAMAGES = (*DAMAGES, *MANUAL_DAMAGES)
LOCKS = {
    "sqlite": ("BEGIN IMMEDIATE", "ROLLBACK"),
    "postgresql": ("BEGIN; LOCK TABLE readings IN EXCLUSIVE MODE", "ROLLBACK"),
    "mariadb": ("LOCK TABLES readings READ", "UNLOCK TABLES"),
}
"""What keeps others from writing readings, and what lets them again."""


def run(*, long: bool) -> list[Result]:
    """20, 5 and 5 kills, or 200, 50 and 50."""
    seed = int(os.environ.get("BENCH_SEED") or random.SystemRandom().randrange(1_000_000))
    results = [Result("seed of the moments (BENCH_SEED)", str(seed))]
    rig.print_results(results)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ports = rig.free_ports(METERS + 1, first=24000)
        epoch_ms = int(time.time() * 1000) - 1000
        program = rig.compile_c("modbus_server.c", folder)
        server = rig.start_meters(program, ports[1:], epoch_ms=epoch_ms)
        stack.callback(rig.stop, server)
        workbook = block.write_stamps(folder / "bench.xlsx", METRICS)
        for kind, counts in KILLS.items():
            with engines.new_database(kind, folder) as database:
                lines = database.toml(folder / f"{kind}-spool.db")
                setup = Setup(folder, ports[0], ports[1:], workbook, METER_LINES, lines)
                victim = Victim(setup, database, random.Random(f"{seed} {kind}"))
                until_ms = victim.kill_often(counts[long])
                results += _results(victim, 1000 * until_ms, 1000 * epoch_ms)
    return results


@dataclass
class Victim:
    """A daemon that is killed at random moments, and what was promised before each."""

    setup: Setup
    database: Database
    random: random.Random
    acknowledged: list[Acknowledged] = field(default_factory=list)
    seen: set[tuple[Any, ...]] = field(default_factory=set)
    """Keys of readings that others could read before a kill."""
    kills: int = 0
    spooled: int = 0
    """Kills while readings were in the spool."""

    def kill_often(self, times: int) -> int:
        """Kill it so often, then end it in order; the time in ms until which ticks were due."""
        with self._collecting():
            for _ in range(times):
                with ExitStack() as stack:
                    self._live_and_die(stack)
                self.kills += 1
                sys.stderr.write(".")
                sys.stderr.flush()
            return self._end()

    def _end(self) -> int:
        sys.stderr.write("\n")
        with daemon(self.setup):
            rig.wait_for(lambda: has_drained(self.setup), "an empty spool", pause_s=0.2)
            time.sleep(1)
            until_ms = int(time.time() * 1000)
            # A tick that was due just before may still be on its way.
            time.sleep(1)
        return until_ms

    def gone(self) -> int:
        """How many of the readings that others have read are not there any more."""
        return len(self.seen - set(self._keys("")))

    def _live_and_die(self, stack: ExitStack) -> None:
        """`stack` ends the daemon if this fails before the kill."""
        chance = self.random.random()
        starting = chance < 0.2
        process = launch(self.setup) if starting else start_daemon(self.setup)
        stack.callback(rig.stop, process)
        if starting:
            self._die(process, self.random.uniform(0.1, 2.0))
        elif chance < 0.8:
            time.sleep(self.random.uniform(0, 1.2))
            self._look()
            self._die(process, self.random.uniform(0, 0.3))
        else:
            self._die_locked(process, before=chance < 0.9)

    def _die_locked(self, process: subprocess.Popen[str], *, before: bool) -> None:
        """Die while the spool has readings; with `before` the table is unlocked before that."""
        with self._locked() as unlock:
            time.sleep(self.random.uniform(2.3, 3.5))
            self.spooled += database_health(self.setup)["spool"]["readings"] > 0
            if before:
                unlock()
            self._die(process, self.random.uniform(0, 0.5))

    def _die(self, process: subprocess.Popen[str], after_s: float) -> None:
        time.sleep(after_s)
        if process.poll() is not None:
            tail = self.setup.log.read_text("utf-8")[-2000:]
            raise SystemExit(f"the daemon ended with exit code {process.returncode}:\n{tail}")
        process.kill()
        process.wait()

    @contextmanager
    def _locked(self) -> Iterator[Callable[[], None]]:
        """Nobody else can write readings in the block, or until what it gives is called."""
        lock, unlock = LOCKS[self.database.kind]
        with closing(self.database.connect()) as connection:
            cursor = connection.cursor()
            cursor.execute(lock)
            yield lambda: cursor.execute(unlock)

    def _look(self) -> None:
        """Note the newest readings that are there."""
        self.seen.update(self._keys(" ORDER BY ts DESC LIMIT 300"))

    def _keys(self, which: str) -> list[tuple[Any, ...]]:
        return self.database.rows(f"SELECT ts, meter_id, read_at FROM readings{which}")

    @contextmanager
    def _collecting(self) -> Iterator[None]:
        """POST /collect one after the other in the block, whether somebody answers or not."""
        ending = threading.Event()
        thread = threading.Thread(target=self._collect, args=(ending,))
        thread.start()
        try:
            yield
        finally:
            ending.set()
            thread.join()

    def _collect(self, ending: threading.Event) -> None:
        url = self.setup.url("/collect?iterations=2&wait_time=0")
        request = urllib.request.Request(url, method="POST", headers={"Accept": "application/json"})
        while not ending.is_set():
            # Whatever comes instead of a whole answer acknowledges nothing.
            with suppress(urllib.error.URLError, HTTPException, OSError, ValueError):
                with urllib.request.urlopen(request, timeout=20) as answer:
                    cycles = json.load(answer)
                self.acknowledged += [_acknowledged(cycle) for cycle in cycles]
            ending.wait(0.03)


def _acknowledged(cycle: dict[str, Any]) -> Acknowledged:
    return Acknowledged(instant(cycle["started"]), int(cycle["values"]))


def _results(victim: Victim, until: int, epoch: int) -> list[Result]:
    terms = Terms(until, epoch, sorted(victim.acknowledged))
    with closing(victim.database.connect()) as connection:
        account = audit(connection, terms)
    found = caught(victim.database, ALL_DAMAGES, METRICS, terms)
    title = victim.database.title
    return [
        Result(f"{title}: kills", f"{victim.kills}"),
        Result(f"{title}: of them with readings in the spool", f"{victim.spooled}"),
        *(exactly(f"{title}: {what}", count, 0) for what, count in _faults(victim, account)),
        exactly(f"{title}: kinds of damage found", found, len(ALL_DAMAGES)),
    ]


def _faults(victim: Victim, account: Account) -> Sequence[tuple[str, int]]:
    return (
        (f"lost of {account.acknowledged:,} acknowledged values", account.lost),
        (f"gone of {len(victim.seen):,} readings that were there", victim.gone()),
        (f"neither of {account.values:,} values, {account.gaps:,} gaps", account.missing),
        ("(topic, tick) pairs with both or two", account.doubled),
        ("readings that are torn", account.torn),
        (f"misplaced of these and {account.manual:,} manual values", account.misplaced),
    )
