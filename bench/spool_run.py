"""One side of figure 8 in a process of its own: `fill SPOOL TICKS` or `deliver SPOOL URL`.

Prints a JSON object: samples a second, and the peak of its memory at a quarter and at the end.
"""

import json
import resource
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import plant
from emdc.reading import MeterReading
from emdc.storage.database import make_engine
from emdc.storage.delivery import Delivery
from emdc.storage.layout import Rounding
from emdc.storage.spool.parcel import Entries
from emdc.storage.spool.spool import Spool
from emdc.storage.tally import Tally

METERS = 1000
INTERVAL_S = 1
DIFFERENT = 8
"""Ticks with values of their own; later ones repeat them."""
LIMIT_BYTES = 10**10


def fill(path: Path, ticks: int) -> dict[str, float]:
    """Round and put every tick's readings."""
    profiles = plant.profiles(METERS, INTERVAL_S)
    rounding = Rounding({p.name: {t.name: t.digits for t in p.topics} for p in profiles})
    different = list(plant.cycles(METERS, range(DIFFERENT), INTERVAL_S))
    spool = _spool(path)
    seconds, quarter = 0.0, 0.0
    for tick in range(ticks):
        readings = _at(different[tick % DIFFERENT], tick)
        started = time.perf_counter()
        spool.put(Entries(rounding.rounded(readings)))
        seconds += time.perf_counter() - started
        if 4 * (tick + 1) >= ticks and not quarter:
            quarter = _peak_mb()
    size = spool.status().bytes
    spool.close()
    return _result(ticks * METERS, seconds, quarter) | {"bytes": size}


def deliver(path: Path, url: str) -> dict[str, float]:
    """Bring all that waits into the database."""
    engine, spool = make_engine(url), _spool(path)
    readings = spool.status().readings
    tally = Tally(url, in_memory=False, clock=_now)
    delivery = Delivery(engine, spool, tally, retry_s=0.1, memory_limit=0)
    quarter, started = 0.0, time.perf_counter()
    delivery.start()
    while spool.status().events:
        time.sleep(0.005)
        if not quarter and 4 * spool.status().readings <= 3 * readings:
            quarter = _peak_mb()
        if not tally.status.ok:
            raise SystemExit(f"delivery failed: {tally.status.last_error}")
    seconds = time.perf_counter() - started
    delivery.close(10)
    spool.close()
    if (tally.status.replayed, tally.status.conflicts) != (readings, 0):
        raise SystemExit(f"{tally.status}, expected {readings} replayed and no conflict")
    return _result(readings, seconds, quarter)


def _spool(path: Path) -> Spool:
    spool = Spool(path, limit_bytes=LIMIT_BYTES, clock=_now)
    spool.open()
    return spool


def _at(readings: Sequence[MeterReading], tick: int) -> list[MeterReading]:
    at = plant.START + timedelta(seconds=INTERVAL_S * tick)
    read_at = at + timedelta(milliseconds=40)
    return [one._replace(tick=at, read_at=read_at) for one in readings]


def _result(readings: int, seconds: float, quarter_peak_mb: float) -> dict[str, float]:
    return {
        "samples_per_s": readings * plant.METRICS / seconds,
        "quarter_peak_mb": quarter_peak_mb,
        "peak_mb": _peak_mb(),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _now() -> datetime:
    return datetime.now(UTC)


def main(arguments: Sequence[str]) -> None:
    way, spool, what = arguments
    result = fill(Path(spool), int(what)) if way == "fill" else deliver(Path(spool), what)
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
