"""A database with two days of a meter, as the recorder and the accounts leave it."""

import asyncio
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from emdc.reading import MeterProfile, MeterReading, Value
from emdc.storage.database import open_engine
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.migrate import prepare
from emdc.storage.recorder import Recorder
from tests.web.site import EATON, NEXUS, NOW, TOPICS, Site

MINUTES = 2880
BEGIN = NOW - timedelta(minutes=MINUTES)
"""2031-05-02T12:00:00Z, 05:00 in Los Angeles."""
SILENT = range(1000, 1010)
"""Minutes in which the Nexus gave nothing."""
EATON_SILENT = (MINUTES - 200, MINUTES - 100)
FIRMWARE = "=1+1"

NEXUS_PROFILE = MeterProfile(NEXUS, TOPICS, 60.0)
EATON_PROFILE = MeterProfile(EATON, TOPICS, 60.0)
METRICS = tuple(topic.name for topic in TOPICS)

VOLTS, POWER, ENERGY, TEXT = (f"{NEXUS}/{name}" for name in METRICS)


def minute(number: int) -> datetime:
    """So many minutes after the begin."""
    return BEGIN + timedelta(minutes=number)


def volts(number: int) -> float:
    """The voltage of a minute: up and down within each hour."""
    return 230.0 + abs(number % 60 - 30) / 8


def nexus_reading(number: int) -> MeterReading:
    """600 W all the time, which its counter counts."""
    values = (volts(number), 600.0, 7_000_000 + 10 * number, FIRMWARE)
    return reading(NEXUS, number, values, silent=number in SILENT)


def eaton_reading(number: int) -> MeterReading:
    """Its counter began again from 0 after 2820 minutes."""
    count = 500_000 + number if number < MINUTES - 60 else number - (MINUTES - 60)
    return reading(EATON, number, (230.0, 60.0, count, "2"), silent=number in EATON_SILENT)


def reading(meter: str, number: int, values: tuple[Value, ...], *, silent: bool) -> MeterReading:
    """What a meter gave in a minute: these values, or nothing."""
    at = minute(number)
    if not silent:
        return MeterReading(meter, at, at, METRICS, values, {})
    gaps = dict.fromkeys(METRICS, "read_timeout")
    return MeterReading(meter, at, at, METRICS, (None,) * len(METRICS), gaps)


def opened(path: Path) -> Engine:
    """A new database in a file."""
    engine = open_engine(f"sqlite:///{path}")
    prepare(engine)
    return engine


def filled(path: Path) -> Engine:
    """The same, filled."""
    engine = opened(path)
    fill(engine)
    return engine


def fill(engine: Engine) -> None:
    """A reading of the Nexus each minute up to now, of the other one for the last 5 hours."""
    readings = [nexus_reading(number) for number in range(MINUTES)]
    readings += [eaton_reading(number) for number in range(MINUTES - 300, MINUTES)]
    asyncio.run(_record(engine, readings))
    accounts = Accounts(engine)
    for meter_id in accounts.meters().values():
        accounts.advance(meter_id, NOW)


async def _record(engine: Engine, readings: list[MeterReading]) -> None:
    recorder = Recorder(engine, clock=lambda: NOW)
    await recorder.start((NEXUS_PROFILE, EATON_PROFILE), BEGIN)
    await recorder.write(readings)
    await recorder.stop()


def stored_site(engine: Engine) -> Site:
    """A program that has the Nexus configured, over that database; the Eaton is of the past."""
    return Site((NEXUS_PROFILE,), engine=engine)


def spoil(engine: Engine, statement: str) -> None:
    """Change it behind the back of the program."""
    with closing(sqlite3.connect(str(engine.url.database))) as connection, connection:
        connection.execute(statement)
