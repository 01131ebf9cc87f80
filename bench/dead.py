"""300 of 1000 meters die in three ways: what the other 700 notice, and when the 300 are back.

One daemon reads 1000 meters of 40 metrics (two requests) every second. 300 of them are killed: 100
refuse connections, 100 drop every SYN, 100 accept and are mute. Then they are started again. That
is done in turns, so that a change of the machine meets spans with and without the dead.
A cycle lasts from the tick to the meter's last answer, as the daemon stored it; the meters' own
view is the time at which the last request came, which stands in the values. Attempts to connect are
seen as SYNs on the loopback interface (dead_syns), and compared with the schedule that `Schedule`
spells out by itself.
"""

import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench import block, rig
from bench.dead_syns import Syns
from bench.ledger import SECOND, instant
from bench.rig import Result, at_most, exactly
from bench.service import Setup, daemon

METERS, DEAD, METRICS = 1000, 300, 40
HEALTHY = METERS - DEAD
IS_DEAD = "CAST(substr(name, 7) AS INTEGER) % 10 IN (2, 5, 8)"
"""The dead stand between the others, as they would in a plant."""
INTERVAL_S, TIMEOUT_S, CAP_S = 1.0, 0.5, 4.0
LINES = (
    f"interval = {INTERVAL_S}",
    f"timeout = {TIMEOUT_S}",
    f"connect_timeout = {TIMEOUT_S}",
    f"backoff_max = {CAP_S}",
)
DYING_S = 2
KINDS = ("refuses", "drops SYNs", "accepts, is mute")
MOST = 1.2
"""Of a healthy meter's cycle while others are dead, in that while none is."""


@dataclass(frozen=True)
class Schedule:
    """When a link may try again, as the documentation says it: no pause after the first failure,
    `first_s` after the second, twice as much after each further one up to `most_s`; up to half of a
    pause is left out at random.
    """

    first_s: float = 1.0
    most_s: float = CAP_S

    def pause_s(self, failures: int) -> float:
        """The longest pause after so many failures."""
        return min(self.first_s * 2 ** (failures - 2), self.most_s) if failures > 1 else 0.0

    def judge(self, attempts: Sequence[float]) -> list[bool]:
        """Whether each attempt but the first came neither too soon nor too late."""
        return [
            self.pause_s(failures) / 2 <= after - before <= self.longest_s(failures)
            for failures, (before, after) in enumerate(pairwise(attempts), 1)
        ]

    def longest_s(self, failures: int) -> float:
        """From one attempt to the next, at most: the attempt, the pause, the next tick but one."""
        # Failures from before the first attempt that was seen may count: a lost connection.
        return TIMEOUT_S + self.pause_s(failures + 2) + 2 * INTERVAL_S

    def most(self, span_s: float) -> int:
        """Attempts in a span, if each pause is the shortest."""
        attempts, passed = 1, 0.0
        while (passed := passed + self.pause_s(attempts) / 2) <= span_s:
            attempts += 1
        return attempts

    def least(self, span_s: float) -> int:
        """Attempts in a span, if each pause is the longest."""
        attempts, passed = 0, 0.0
        while (passed := passed + self.longest_s(attempts)) <= span_s:
            attempts += 1
        return attempts


@dataclass
class Spans:
    """What was going on when, in microseconds since 1970."""

    alive: list[tuple[int, int]] = field(default_factory=list)
    died: list[tuple[int, int]] = field(default_factory=list)
    """The ticks in which all of the dead are missed at once."""
    dead: list[tuple[int, int]] = field(default_factory=list)
    back_s: list[float] = field(default_factory=list)
    """After how long the last of the dead was read again, each time."""
    attempts: list[dict[int, list[float]]] = field(default_factory=list)
    """Port → when somebody tried to connect, each time; empty when nobody may look."""


@dataclass(frozen=True)
class Plant:
    """The meters: 700 that live, and 300 that die."""

    server: Path
    living: Sequence[int]
    dying: Sequence[int]
    """Their ports; each third dies in its own way."""
    epoch_ms: int

    def start(self, ports: Sequence[int]) -> subprocess.Popen[str]:
        """Meters that answer."""
        return rig.start_meters(self.server, ports, epoch_ms=self.epoch_ms)

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Those that die, as dead ones."""
        command = [sys.executable, "-m", "bench.dead_meters", *map(str, self.dying)]
        with rig.running(command, stdout=subprocess.PIPE, cwd=rig.ROOT) as process:
            rig.await_ready(process, "dead_meters")
            yield


def run(*, long: bool) -> list[Result]:
    """About two minutes, or ten."""
    rounds, alive_s, dead_s = (7, 30, 40) if long else (3, 10, 15)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        ports = rig.free_ports(METERS + 1)
        program = rig.compile_c("modbus_server.c", folder)
        dies = [number % 10 in (2, 5, 8) for number in range(METERS)]
        living = [port for port, dead in zip(ports[1:], dies, strict=True) if not dead]
        dying = [port for port, dead in zip(ports[1:], dies, strict=True) if dead]
        plant = Plant(program, living, dying, int(time.time() * 1000) - 1000)
        stack.callback(rig.stop, plant.start(living))
        workbook = block.write_stamps(folder / "bench.xlsx", METRICS)
        setup = Setup(folder, ports[0], ports[1:], workbook, LINES)
        spans = Spans()
        server = plant.start(dying)
        try:
            with daemon(setup):
                for _ in range(rounds):
                    wait_until_read(setup.database, int(time.time() * SECOND))
                    spans.alive.append(_span(alive_s))
                    rig.stop(server)
                    _die(plant, spans, dead_s)
                    server, back = plant.start(dying), int(time.time() * SECOND)
                    last = wait_until_read(setup.database, back)
                    spans.back_s.append((last - back) / SECOND)
        finally:
            rig.stop(server)
        with closing(sqlite3.connect(setup.database)) as database:
            return _cycles(database, spans, plant.epoch_ms) + _coming_back(spans, plant, dead_s)


def _span(seconds: int) -> tuple[int, int]:
    """Whole ticks from now on."""
    start = int(time.time()) + 1
    time.sleep(start + seconds - time.time())
    return start * SECOND, (start + seconds) * SECOND


def _die(plant: Plant, spans: Spans, seconds: int) -> None:
    with ExitStack() as stack:
        stack.enter_context(plant.dead())
        try:
            syns = stack.enter_context(Syns(frozenset(plant.dying)))
        except PermissionError:
            syns = None
        spans.died.append(_span(DYING_S))
        spans.dead.append(_span(seconds))
    spans.attempts.append(dict(syns.attempts) if syns else {})


def wait_until_read(database: Path, since: int) -> int:
    """When each of the meters that die had had a complete reading of a tick after `since`."""
    start = spelled(since)
    sql = (
        "SELECT count(*), max(first) FROM (SELECT min(read_at) first FROM readings JOIN meters"
        f" USING (meter_id) WHERE ts > ? AND gaps IS NULL AND {IS_DEAD} GROUP BY meter_id)"
    )

    def read() -> str | None:
        with closing(sqlite3.connect(database)) as reader:
            found, last = reader.execute(sql, (start,)).fetchone()
            return last if found == DEAD else None

    return instant(rig.wait_for(read, f"a reading of {DEAD} meters", pause_s=0.3))


def spelled(at: int) -> str:
    """A time as the file spells it."""
    seconds, micro = divmod(at, SECOND)
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds)) + f".{micro:06}"


def _cycles(database: sqlite3.Connection, spans: Spans, epoch_ms: int) -> list[Result]:
    alive = [_healthy(database, span, epoch_ms) for span in spans.alive]
    dead = [_healthy(database, span, epoch_ms) for span in spans.dead]
    views: Sequence[tuple[str, Callable[[Healthy], float]]] = (
        ("cycle, median", lambda found: statistics.median(found.cycles())),
        ("cycle, 99th percentile", lambda found: _percentile(found.cycles(), 99)),
        ("cycle, 99th percentile of a tick", Healthy.tick_ms),
        ("last request at the meter, 99th percentile", lambda of: _percentile(of.request_ms, 99)),
    )
    results = []
    for name, view in views:
        before, after = (statistics.median(map(view, side)) for side in (alive, dead))
        what = f"{name}: none and {DEAD} dead"
        results.append(Result(what, f"{before:.1f} and {after:.1f} ms"))
        if name == "cycle, 99th percentile":
            results.append(at_most(f"{DEAD} dead / none dead", after / before, MOST, "x"))
    died = [_healthy(database, span, epoch_ms) for span in spans.died]
    first = statistics.median(_percentile(found.cycles(), 99) for found in died)
    what = f"cycle, 99th percentile: in the {DYING_S} ticks after the death"
    results.append(Result(what, f"{first:.1f} ms"))
    missing = sum(found.missing for found in alive + died + dead)
    return [*results, exactly("healthy readings that are missing or have gaps", missing, 0)]


@dataclass
class Healthy:
    """The complete readings of the healthy meters in one span."""

    by_tick: defaultdict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Tick → milliseconds from it to each meter's last answer."""
    request_ms: list[float] = field(default_factory=list)
    """From the tick to the last request of each reading, by the meter's clock."""
    missing: int = 0

    def cycles(self) -> list[float]:
        """Those of all ticks."""
        return [cycle for tick in self.by_tick.values() for cycle in tick]

    def tick_ms(self) -> float:
        """The 99th percentile of each tick, and of those the median."""
        return statistics.median(_percentile(tick, 99) for tick in self.by_tick.values())


def _healthy(database: sqlite3.Connection, span: tuple[int, int], epoch_ms: int) -> Healthy:
    sql = (
        "SELECT ts, read_at, vals FROM readings JOIN meters USING (meter_id) WHERE ts >= ? AND"
        f" ts < ? AND gaps IS NULL AND NOT {IS_DEAD}"
    )
    found = Healthy()
    for ts, read_at, vals in database.execute(sql, tuple(map(spelled, span))):
        tick = instant(ts)
        found.by_tick[tick].append((instant(read_at) - tick) / 1000)
        last = max(value & (1 << 36) - 1 for value in json.loads(vals))
        found.request_ms.append((last + 1000 * epoch_ms - tick) / 1000)
    ticks = (span[1] - span[0]) // round(INTERVAL_S * SECOND)
    found.missing = ticks * HEALTHY - len(found.request_ms)
    return found


def _percentile(values: Sequence[float], part: int) -> float:
    return statistics.quantiles(values, n=100)[part - 1]


def _coming_back(spans: Spans, plant: Plant, dead_s: int) -> list[Result]:
    back = max(spans.back_s)
    results = [at_most("the last of the dead is read again after", back, 2 * CAP_S, " s")]
    if not any(spans.attempts):
        return [*results, Result("attempts to connect", "not counted: needs CAP_NET_RAW")]
    schedule = Schedule()
    span_s = dead_s + DYING_S + 1
    least, most = schedule.least(span_s), schedule.most(span_s)
    for number, kind in enumerate(KINDS):
        ports = plant.dying[number * DEAD // 3 : (number + 1) * DEAD // 3]
        seen = [of_round.get(port, []) for of_round in spans.attempts for port in ports]
        counts = [len(attempts) for attempts in seen]
        held = least <= min(counts) and max(counts) <= most
        what = f"{kind}: attempts to connect in {span_s} s"
        results.append(
            Result(what, f"{min(counts)} to {max(counts)}", f"{least} to {most}", held),
        )
        pauses = [pause for attempts in seen for pause in schedule.judge(attempts)]
        what = f"{kind}: of {len(pauses):,} pauses, too short or too long"
        results.append(exactly(what, len(pauses) - pauses.count(True), 0))
    return results
