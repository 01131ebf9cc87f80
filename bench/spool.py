"""Figure 8: samples a second into the spool and back out of it, and the memory that it takes.

1000 meters of 100 metrics, a tick a group: 4 million samples, or 20 million with `--long`. One
process rounds and puts the groups as the recorder does while the database is away; another one
finds the full spool and delivers it into each kind of database, which knows the meters. Memory is
the peak of the process, after a quarter of the work and at its end.
"""

import sys
import tempfile
from pathlib import Path

from bench import engines, plant, rig
from bench.engines import Database
from bench.rig import Result, at_least_rate, at_most, exactly
from bench.spool_run import INTERVAL_S, METERS

FASTEST = {"sqlite": 1e6, "postgresql": 1e6, "mariadb": 5e5}
MOST_GROWTH = 1.1


def run(*, long: bool) -> list[Result]:
    """4 million samples, or 20 million."""
    ticks = 200 if long else 40
    results: list[Result] = []
    for kind in engines.KINDS:
        with (
            tempfile.TemporaryDirectory() as name,
            engines.new_database(kind, Path(name)) as place,
        ):
            spool = Path(name) / "spool.db"
            taken = _child("fill", str(spool), str(ticks))
            if not results:
                results += _rows("into the spool", taken, 1e6)
                size = taken["bytes"] / (ticks * METERS * plant.METRICS)
                results.append(Result("bytes a sample in the spool", f"{size:.1f}"))
            with plant.registered(place.url, METERS, INTERVAL_S):
                # It was there before it went away.
                pass
            given = _child("deliver", str(spool), place.url)
            results += _rows(f"out of it into {place.title}", given, FASTEST[kind])
            results.append(exactly(f"readings in {place.title}", _count(place), ticks * METERS))
    return results


def _child(*arguments: str) -> dict[str, float]:
    return rig.run_json([sys.executable, "-m", "bench.spool_run", *arguments], timeout_s=900)


def _rows(what: str, measured: dict[str, float], fastest: float) -> list[Result]:
    growth = measured["peak_mb"] / measured["quarter_peak_mb"]
    return [
        at_least_rate(what, measured["samples_per_s"], fastest, "samples/s"),
        Result(f"{what}: peak of memory", f"{measured['peak_mb']:.0f} MB"),
        at_most(f"{what}: peak / peak at a quarter", growth, MOST_GROWTH, "x"),
    ]


def _count(place: Database) -> int:
    return int(place.rows("SELECT count(*) FROM readings")[0][0])
