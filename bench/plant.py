"""The plant whose readings the storage figures store: meters of 100 metrics, values like real ones.

A value follows from its meter, its metric and the number of its tick, so whoever reads it back can
tell whether it is the right one. Values are unrounded, as a meter's registers give them.
"""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from emdc.digits import Digits
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage import database, migrate, registry
from emdc.storage.layout import MeterLayout

METRICS = 100
START = datetime(2026, 3, 1, tzinfo=UTC)

_STEP = 2.0**-16
_KINDS: Sequence[tuple[str, int, Digits]] = (
    # name, how many, digits
    ("volts", 20, 6),  # INT32 in steps of 2^-16: 277.304108
    ("watts", 30, 6),  # the same: -23104.117432
    ("amps", 20, "float32"),  # 83.37193
    ("angle", 15, 2),  # INT16 in hundredths: -117.85
    ("wh", 15, None),  # UINT32, a counter
)
TOPICS = tuple(
    Topic(f"{kind}_{n:02}", "", "counter" if kind == "wh" else "gauge", digits)
    for kind, count, digits in _KINDS
    for n in range(count)
)
NAMES = tuple(topic.name for topic in TOPICS)
assert len(NAMES) == METRICS


def name_of(meter: int) -> str:
    """The topic prefix of meter number `meter`."""
    return f"plant/building_{meter // 10:03}/meter_{meter % 10}"


def profiles(meters: int, interval_s: float) -> list[MeterProfile]:
    """The first so many meters, read every `interval_s` seconds."""
    return [MeterProfile(name_of(meter), TOPICS, interval_s) for meter in range(meters)]


def values(meter: int, tick: int) -> tuple[float | int, ...]:
    """What the registers hold in tick number `tick`, scaled, in the order of NAMES."""
    seed = (meter * 104_729 + tick * 7_919) * 2_654_435_761
    noise = [(seed + k * 40_503_001) >> 8 & 0xFFFF for k in range(METRICS)]
    amps = array("f", [40 + n * 0.0007 for n in noise[50:70]])
    return (
        *[(18_000_000 + 11 * n) * _STEP for n in noise[:20]],
        *[(20_011 * n - 500_000_000) * _STEP for n in noise[20:50]],
        *amps,
        *[(n % 36_000 - 18_000) * 0.01 for n in noise[70:85]],
        *[1_000_000 * (meter + 1) + 3_607 * tick + n % 3_600 for n in noise[85:]],
    )


def reading(meter: int, tick: int, interval_s: float) -> MeterReading:
    """What the meter said in this tick, 40 ms late."""
    at = START + timedelta(seconds=interval_s * tick)
    read_at = at + timedelta(microseconds=40_000 + 13 * meter)
    return MeterReading(name_of(meter), at, read_at, NAMES, values(meter, tick), {})


def cycle(meters: int, tick: int, interval_s: float) -> list[MeterReading]:
    """One reading of each meter."""
    return [reading(meter, tick, interval_s) for meter in range(meters)]


def cycles(meters: int, ticks: range, interval_s: float) -> Iterator[list[MeterReading]]:
    """The readings of these ticks, tick by tick."""
    return (cycle(meters, tick, interval_s) for tick in ticks)


@contextmanager
def registered(
    url: str, meters: int, interval_s: float
) -> Iterator[tuple[Engine, dict[str, MeterLayout]]]:
    """A new database with the plant's meters in it, and where the values of each go."""
    engine = database.open_engine(url)
    try:
        migrate.prepare(engine)
        with database.connected(engine, write=True) as connection:
            layouts = registry.register(connection, profiles(meters, interval_s), START)
        yield engine, layouts
    finally:
        engine.dispose()
