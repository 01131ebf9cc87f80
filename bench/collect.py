"""Figure 4: `POST /collect?iterations=1000&wait_time=0` beside the method of the old collector.

One meter that answers at once, 21 metrics, every cycle durable (SQLite, WAL, synchronous=FULL) on
all sides. The old method is in `collect_old.py`: 21 single reads by pymodbus's sync client and one
ORM row for each value, with SQLite as the old program left it, and with EMDC's settings of it.
Samples a second; the sides run in turns, medians.
"""

import sqlite3
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bench import block, rig
from bench.collect_old import METRICS, write_image
from bench.rig import Result, at_least, exactly
from bench.service import Setup, daemon

ITERATIONS = 1000


def run(*, long: bool) -> list[Result]:
    """Five rounds, or fifteen."""
    rounds = 15 if long else 5
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = rig.compile_c("modbus_server.c", folder)
        image = write_image(folder / "image")
        workbook = block.write_workbook(folder / "bench.xlsx", METRICS)
        http_port, old_port, port = rig.free_ports(3)
        setup = Setup(folder, http_port, [port], workbook, (f"max_gap = {block.MAX_GAP}",))
        with rig.meters(server, [old_port, port], image=image), daemon(setup):
            sides = {
                "default": _old(folder, old_port, "default", ITERATIONS),
                "wal": _old(folder, old_port, "wal", ITERATIONS),
                "emdc": _collect(setup),
            }
            measured = rig.interleaved(sides, rounds)
        samples = _samples(setup.database)
    rates = {name: rig.median(runs, "samples_per_s") for name, runs in measured.items()}
    return [
        Result("old method", f"{rates['default']:,.0f} samples/s"),
        Result("old method, SQLite set as EMDC has it", f"{rates['wal']:,.0f} samples/s"),
        Result("POST /collect", f"{rates['emdc']:,.0f} samples/s"),
        at_least("POST /collect / old method", rates["emdc"] / rates["default"], 10),
        Result("POST /collect / old method so set", f"{rates['emdc'] / rates['wal']:.2f}x"),
        exactly("samples in the file", samples, rounds * ITERATIONS * len(METRICS)),
    ]


def _old(folder: Path, port: int, way: str, cycles: int) -> Callable[[], dict[str, float]]:
    database = folder / f"old_{way}.db"
    command = [sys.executable, "-m", "bench.collect_old", str(database), str(port)]
    return lambda: rig.run_json([*command, str(cycles), way])


def _collect(setup: Setup) -> Callable[[], dict[str, float]]:
    path = f"/collect?iterations={ITERATIONS}&wait_time=0"

    def collect() -> dict[str, float]:
        started = time.perf_counter()
        request = urllib.request.Request(setup.url(path), method="POST")
        with urllib.request.urlopen(request, timeout=300) as answer:
            if answer.status != 200:
                raise SystemExit(f"POST {path} answered {answer.status}, expected 200")
        seconds = time.perf_counter() - started
        return {"samples_per_s": ITERATIONS * len(METRICS) / seconds}

    return collect


def _samples(database: Path) -> int:
    count = "SELECT count(*) FROM readings, json_each(vals) AS each WHERE each.value IS NOT NULL"
    with closing(sqlite3.connect(database)) as reader:
        return int(reader.execute(count).fetchone()[0])
