"""Figure 3: the whole daemon, 1000 meters of 100 metrics every second into one SQLite file.

The daemon is a process of its own, started as users start it; nothing in it is measured from
inside. A reader of the same file, in this process, sees each tick's rows appear and notes when the
last one did: an upper bound of the commit, by the 2 ms between two looks. CPU is the daemon's user
and system time with all its threads, from the first complete tick to the last. The long form has
the end of a quarter hour in its middle: the ticks after it, in which the daemon makes quarter hours
too, are set beside those before it.
"""

import json
import math
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import block, rig
from bench.rig import Result, at_most, exactly
from bench.service import Setup, daemon

METERS = 1000
BLOCKS = 4
METRICS = BLOCKS * len(block.FIELDS)
LOOK_S = 0.002
PATIENCE_S = 10
TICKS = 60
LONG_TICKS = 1200
CELL_S = 900
LEAD_S = 620
"""So long before the end of a quarter hour the long form begins; its first tick is some later."""
GRACE_S = 15
"""After the end of a quarter hour, until the daemon begins with it."""
INSTANT = "%Y-%m-%d %H:%M:%S.%f"


def run(*, long: bool) -> list[Result]:
    """60 ticks, or 1200 around the end of a quarter hour."""
    if long:
        time.sleep((-time.time() - LEAD_S) % CELL_S)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = rig.compile_c("modbus_server.c", folder)
        image = block.write_image(folder / "image", BLOCKS)
        workbook = block.write_workbook(folder / "bench.xlsx", block.rows(BLOCKS))
        ports = rig.free_ports(METERS + 1)
        lines = ("interval = 1", f"max_gap = {block.MAX_GAP}")
        setup = Setup(folder, ports[0], ports[1:], workbook, lines)
        with rig.meters(server, setup.ports, image=image), daemon(setup) as process:
            watch = Watch(process.pid, due(setup.database, LONG_TICKS if long else TICKS))
            watch.watch(setup.database)
        return watch.results() + stored(setup.database, watch.due)


def due(database: Path, ticks: int) -> list[str]:
    """The first ticks that every meter owes, as the file spells them."""

    def first() -> str | None:
        with closing(sqlite3.connect(database)) as reader:
            found, start = reader.execute("SELECT count(*), max(from_ts) FROM schedules").fetchone()
            return start if found == METERS else None

    begin = instant(rig.wait_for(first, "a schedule of every meter"))
    return [(begin + timedelta(seconds=n)).strftime(INSTANT) for n in range(ticks)]


@dataclass
class Watch:
    """What a reader of the file sees of the ticks that are due."""

    pid: int
    due: list[str]
    rows: dict[str, int] = field(default_factory=dict)
    complete: dict[str, float] = field(default_factory=dict)
    """Unix seconds at which a tick's last row was seen."""
    cpu: list[tuple[float, float, float]] = field(default_factory=list)
    """(Unix seconds, seconds of the clock, seconds of CPU) as each tick was complete."""

    def watch(self, database: Path) -> None:
        """Look until the last tick is complete, or its time is long over."""
        end = instant(self.due[-1]).timestamp() + PATIENCE_S
        seen = version = -1
        with closing(sqlite3.connect(database)) as reader:
            while time.time() < end and self.due[-1] not in self.complete:
                time.sleep(LOOK_S)
                before, version = version, reader.execute("PRAGMA data_version").fetchone()[0]
                if version != before:
                    seen = self._take(reader, seen)

    def _take(self, reader: sqlite3.Connection, seen: int) -> int:
        """Count the rows after rowid `seen`; the newest rowid."""
        # One writer appends, so rowids grow in the order of the commits.
        new = "SELECT ts, count(*), max(rowid) FROM readings WHERE rowid > ? GROUP BY ts"
        rows = reader.execute(new, (seen,)).fetchall()
        now = time.time()
        for tick, count, newest in rows:
            seen = max(seen, newest)
            self.rows[tick] = self.rows.get(tick, 0) + count
            if self.rows[tick] == METERS:
                self.complete[tick] = now
                self.cpu.append((now, time.perf_counter(), rig.cpu_seconds(self.pid)))
        return seen

    def results(self) -> list[Result]:
        """How late the ticks were complete, and what they cost."""
        done = [tick for tick in self.due if tick in self.complete]
        late = [1000 * (self.complete[tick] - instant(tick).timestamp()) for tick in done]
        if len(late) < 2:
            raise SystemExit(f"{len(late)} ticks were complete, expected {len(self.due)}")
        missed = [place for place, tick in enumerate(self.due) if tick not in self.complete]
        return [
            exactly("ticks missed", len(missed), 0),
            *[Result("a missed tick, counted from 0", str(place)) for place in missed[:5]],
            at_most("last commit of a tick after it, median", statistics.median(late), 500, " ms"),
            Result("the same, slowest tick", f"{max(late):.2f} ms"),
            at_most("CPU of the daemon, of one core", _share(self.cpu), 30, " %"),
            *self._beside(),
        ]

    def _beside(self) -> list[Result]:
        """CPU before the last end of a quarter hour, and from when its quarter hours are made."""
        end = self.cpu[-1][0] // CELL_S * CELL_S
        before = [looked for looked in self.cpu if looked[0] < end]
        after = [looked for looked in self.cpu if looked[0] >= end + GRACE_S]
        if min(len(before), len(after)) < TICKS / 2:
            return []
        return [
            Result("before the end of a quarter hour", f"{_share(before):.2f} %"),
            Result("while quarter hours are made", f"{_share(after):.2f} %"),
        ]


def _share(looks: list[tuple[float, float, float]]) -> float:
    """Per cent of a core from the first look to the last."""
    (_, start, cpu_start), (_, end, cpu_end) = looks[0], looks[-1]
    return 100 * (cpu_end - cpu_start) / (end - start)


def instant(text: str) -> datetime:
    """A time as the file spells it."""
    return datetime.strptime(text, INSTANT).replace(tzinfo=UTC)


def stored(database: Path, ticks: list[str]) -> list[Result]:
    """Whether every sample of the due ticks is in the file with its right value."""
    span = (ticks[0], ticks[-1])
    with closing(sqlite3.connect(database)) as reader:
        wanted = _expected_by_slot(reader)
        different = reader.execute(
            "SELECT vals, count(*) FROM readings WHERE ts BETWEEN ? AND ? GROUP BY vals", span
        ).fetchall()
        owed = "SELECT count(*) FROM gaps WHERE to_ts > from_ts AND from_ts <= ? AND to_ts > ?"
        gaps = reader.execute(owed, span[::-1]).fetchone()[0]
        made = reader.execute("SELECT count(*) FROM interval_rows").fetchone()[0]
    right = sum(rows * _right(json.loads(vals), wanted) for vals, rows in different)
    return [
        exactly("samples in the file with their right value", right, len(ticks) * METERS * METRICS),
        exactly("recorded gaps", gaps, 0),
        *([Result("quarter hours made", f"{made:,}")] if made else []),
        Result("bytes a sample", f"{database.stat().st_size / max(right, 1):.1f}"),
    ]


def _expected_by_slot(reader: sqlite3.Connection) -> list[float | int]:
    """A meter's values in slot order; all meters have the same map."""
    by_name = dict(zip((row[0] for row in block.rows(BLOCKS)), block.expected(BLOCKS), strict=True))
    topics = reader.execute(
        "SELECT topic_name, slot FROM topics WHERE meter_id = (SELECT min(meter_id) FROM meters)"
    ).fetchall()
    slots = {slot: by_name[name.rpartition("/")[2]] for name, slot in topics}
    return [slots[slot] for slot in range(len(slots))]


def _right(values: list[float | int | None], wanted: list[float | int]) -> int:
    """Values that are what the meter holds, to the digits that its register resolves."""
    return sum(
        value is not None and math.isclose(value, right, rel_tol=1e-7, abs_tol=1e-6)
        for value, right in zip(values, wanted, strict=True)
    )
