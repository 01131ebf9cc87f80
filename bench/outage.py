"""Figure 10: the database server dies and freezes under load; no tick is lost and none is late.

200 meters of 50 metrics every second into a server of this run's own: PostgreSQL, then MariaDB. The
server gets SIGKILL by its process id, stays away for three seconds and starts again, three times;
then SIGSTOP for 15 s. With `--long` 20 times and 60 s. Between two disturbances are calm spans.
When a poll starts is what the meters say: each value holds the microsecond in which its request
arrived; the first request of a meter in a tick counts, from the tick on. Compared with the calm
spans are those in which the server is away and those in which the spool is replayed. While a server
starts, it takes the same processor as the daemon: that span is shown, and promised nothing.
"""

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench import block, engines, rig
from bench.ledger import SECOND, Account, Terms, audit, meters, readings
from bench.rig import Result, at_most, exactly
from bench.service import Setup, database_health, has_drained, start_daemon
from tests.servers import PrivateServer

METERS = 200
METRICS = 50
METER_LINES = ("interval = 1",)
CALM_S = 8
AWAY_S = 3
MOST = 1.2
"""A start's delay while the server is away, in that of calm ticks."""
CALM, AWAY, START, REPLAY = "calm", "server away", "server starts", "replay"


@dataclass
class Run:
    """A daemon, the server under it, and what was going on when."""

    setup: Setup
    server: PrivateServer
    spans: list[tuple[int, int, str]] = field(default_factory=list)
    """(start, end, what), in microseconds since 1970."""
    most_spooled: int = 0

    def calm(self) -> None:
        """A span in which nothing happens."""
        with self._span(CALM):
            time.sleep(CALM_S)

    def die(self) -> None:
        """The server is killed, and is back with an empty spool when this returns."""
        with self._span(AWAY):
            self.server.kill()
            time.sleep(AWAY_S)
        with self._span(START):
            self.server.start()
        self._recover()

    def freeze(self, seconds: float) -> None:
        """The server lives on and answers nobody."""
        with self._span(AWAY):
            self.server.freeze()
            time.sleep(seconds)
        self.server.thaw()
        self._recover()

    @contextmanager
    def _span(self, what: str) -> Iterator[None]:
        start = _now()
        yield
        self.spans.append((start, _now(), what))

    def _recover(self) -> None:
        spooled = int(database_health(self.setup)["spool"]["readings"])
        self.most_spooled = max(self.most_spooled, spooled)
        with self._span(REPLAY):
            rig.wait_for(lambda: has_drained(self.setup), "an empty spool", timeout_s=120)


def run(*, long: bool) -> list[Result]:
    """Three kills and 15 s, or 20 and 60 s."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ports = rig.free_ports(METERS + 1, first=26000)
        epoch_ms = int(time.time() * 1000) - 1000
        program = rig.compile_c("modbus_server.c", folder)
        server = rig.start_meters(program, ports[1:], epoch_ms=epoch_ms)
        stack.callback(rig.stop, server)
        workbook = block.write_stamps(folder / "bench.xlsx", METRICS)
        setup = Setup(folder, ports[0], ports[1:], workbook, METER_LINES)
        for kind in engines.KINDS[1:]:
            results += _measure(kind, setup, 1000 * epoch_ms, (20, 60) if long else (3, 15))
    return results


def _measure(kind: str, setup: Setup, epoch: int, counts: tuple[int, int]) -> list[Result]:
    with engines.own_server(kind) as server, engines.new_on(server.server) as database:
        lines = database.toml(setup.folder / f"{kind}-spool.db")
        daemon = Run(replace(setup, database_lines=lines), server)
        process = start_daemon(daemon.setup)
        try:
            _disturb(daemon, *counts)
            until = _now()
            time.sleep(1.5)
            left = int(database_health(daemon.setup)["spool"]["readings"])
        finally:
            rig.stop(process)
        with closing(database.connect()) as connection:
            account = audit(connection, Terms(until, epoch))
            starts = _starts(connection, until, epoch)
    title = database.title
    return [
        Result(f"{title}: values", f"{account.values:,}"),
        Result(f"{title}: most readings in the spool", f"{daemon.most_spooled:,}"),
        exactly(f"{title}: readings in the spool at the end", left, 0),
        exactly(f"{title}: (topic, tick) pairs with neither value nor gap", account.missing, 0),
        exactly(f"{title}: (topic, tick) pairs with a gap", account.gaps, 0),
        exactly(f"{title}: doubled, torn or misplaced", _wrong(account), 0),
        *_compared(title, starts, daemon.spans),
    ]


def _wrong(account: Account) -> int:
    return account.doubled + account.torn + account.misplaced


def _disturb(daemon: Run, kills: int, frozen_s: int) -> None:
    time.sleep(3)
    for _ in range(kills):
        daemon.calm()
        daemon.die()
    daemon.calm()
    daemon.freeze(frozen_s)
    daemon.calm()


def _starts(connection: Any, until: int, epoch: int) -> Mapping[int, Sequence[float]]:
    """By tick, how many milliseconds after it each meter's first request arrived."""
    starts: defaultdict[int, list[float]] = defaultdict(list)
    for meter in meters(connection):
        for reading in readings(connection, meter, until, scheduled=True):
            if reading.values:
                first = min(value % (1 << 36) for value in reading.values.values())
                starts[reading.at].append((epoch + first - reading.at) / 1000)
    return starts


def _compared(
    title: str, starts: Mapping[int, Sequence[float]], spans: Sequence[tuple[int, int, str]]
) -> list[Result]:
    """Medians and 99th percentiles of all meters' starts, by what was going on."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    for begin, end, what in spans:
        for tick in range(-(-begin // SECOND) * SECOND, end, SECOND):
            found[what] += starts.get(tick, ())
    results = []
    for name, figure in (("median", statistics.median), ("99th percentile", _p99)):
        calm = figure(found[CALM])
        results.append(Result(f"{title}: start of a poll, {name}, calm", f"{calm:.2f} ms"))
        for what in (AWAY, REPLAY):
            ratio = figure(found[what]) / calm
            results.append(at_most(f"{title}: {name}, {what} / calm", ratio, MOST, "x"))
        # A start may be over before the next tick.
        if found[START]:
            ratio = figure(found[START]) / calm
            results.append(Result(f"{title}: {name}, {START} / calm", f"{ratio:.2f}x"))
    return results


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _now() -> int:
    return time.time_ns() // 1000
