"""A meter's story with all that befalls meters, told to a database in different ways.

What is made of it must not depend on how it was told: `tables` gives it all, to be compared.
"""

import random
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Engine, Table, select

from emdc.reading import MeterProfile, Topic
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import to_text
from emdc.storage.intervals.accounts import Accounts, Advanced
from emdc.storage.lateness import reopen
from emdc.storage.layout import ReadingRow
from emdc.storage.registry import register
from emdc.storage.schema import (
    counter_epochs,
    interval_days,
    interval_details,
    interval_progress,
    interval_rows,
    meters,
)
from tests.storage.plant import NOON, tick

TABLES: Final = (
    interval_rows,
    interval_days,
    interval_details,
    interval_progress,
    counter_epochs,
)
METER: Final = "site/meter"
TOPICS: Final = (
    Topic("W", "W"),
    Topic("Wh", "Wh", "counter", modulus=1_000_000),
    Topic("kVARh", "kVARh", "counter"),
    Topic("Serial", "", "text"),
    Topic("Hours", "h", "counter", interval_s=900.0),
)
_MODULUS: Final = 1_000_000.0


def metering(*, interval_s: float, ct_ratio: float = 1.0) -> MeterProfile:
    """The meter; it can measure 10 MW."""
    settings = {"ct_ratio": ct_ratio, "max_power": 10_000.0}
    return MeterProfile(METER, TOPICS, interval_s, settings)


def begin(engine: Engine, *, interval_s: float) -> None:
    """Register the meter at noon, and with another ratio a day later."""
    for day, ratio in ((0, 1.0), (1, 2.0)):
        with connected(engine, write=True) as connection:
            profile = metering(interval_s=interval_s, ct_ratio=ratio)
            register(connection, [profile], NOON + timedelta(days=day, seconds=day * 7))


def story(seed: int, *, ticks: int, interval_s: float) -> dict[float, list[Any]]:
    """Values by slot, by seconds after noon: glitches, silences, resets and a rollover."""
    rng = random.Random(seed)
    silent = [_spans(rng, ticks) for _ in TOPICS]
    down = _spans(rng, ticks)
    wh, kvarh, hours = 999_000.0 - rng.randrange(2000), rng.randrange(10**6) / 8, 17.5
    told: dict[float, list[Any]] = {}
    for number in range(ticks):
        at = number * interval_s
        watts = rng.choice((0.0, 1500.25, 70_000.5)) + number
        wh = (wh + round(watts * interval_s / 3600)) % _MODULUS
        kvarh += rng.choice((0.0, 0.125, 0.25))
        hours += interval_s / 3600
        if rng.random() < 0.002:
            kvarh = rng.choice((0.0, kvarh / 2))
        row = [watts, wh, kvarh, "A1", hours if at % 900 == 0 else None]
        for slot, spans in enumerate(silent):
            if any(start <= number < end for start, end in spans):
                row[slot] = None
        if rng.random() < 0.01:
            slot = rng.randrange(3)
            row[slot] = rng.choice((0.0, 4e9, 123_456.0, None))
        if not any(start <= number < end for start, end in down) and rng.random() > 0.01:
            told[at] = row
    return told


def tell(engine: Engine, told: Mapping[float, Sequence[Any]], *, late: bool = False) -> None:
    """Store readings, by seconds after noon; `late` ones as whoever comes late must."""
    with connected(engine, write=True) as connection:
        meter_id = meter(connection)
        rows = [
            ReadingRow(meter_id, ts, ts, True, msgspec.json.encode(values).decode(), None)
            for at, values in told.items()
            for ts in [to_text(tick(at))]
        ]
        dialect_of(connection).insert_readings(connection, rows)
        if late and rows:
            reopen(connection, meter_id, min(row.ts for row in rows))


def meter(connection: Connection) -> int:
    """The meter's number."""
    query = select(meters.c.meter_id).where(meters.c.name == METER)
    return int(connection.execute(query).scalar_one())


def tables(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All that is stored of quarter hours."""
    return {table.name: _rows(engine, table) for table in TABLES}


def clear(engine: Engine) -> None:
    """Forget it."""
    with connected(engine, write=True) as connection:
        for table in TABLES:
            connection.execute(table.delete())


def number(engine: Engine) -> int:
    """The meter's number in a database."""
    with connected(engine) as connection:
        return meter(connection)


def advance(engine: Engine, now: datetime, **options: Any) -> Advanced:
    """Make its quarter hours."""
    return Accounts(engine).advance(number(engine), now, **options)


def made_at_once(engine: Engine, now: datetime) -> dict[str, list[tuple[Any, ...]]]:
    """What comes of the readings that are there, all from the beginning."""
    clear(engine)
    advance(engine, now)
    return tables(engine)


def after(seconds: float) -> datetime:
    """So long after noon, and a little more than what is stored late."""
    return tick(seconds + 15)


def _spans(rng: random.Random, ticks: int) -> list[tuple[int, int]]:
    """Two times in which there is nothing, one of them perhaps long."""
    starts = [rng.randrange(ticks) for _ in range(2)]
    return [(start, start + rng.choice((1, 3, 20, 90, ticks // 2))) for start in starts]


def _rows(engine: Engine, table: Table) -> list[tuple[Any, ...]]:
    # Numbers of meters differ where a server has seen other tests.
    columns = [column for column in table.c if column.name != "meter_id"]
    query = select(*columns).order_by(*table.primary_key.columns)
    with connected(engine) as connection:
        return [tuple(row) for row in connection.execute(query)]
