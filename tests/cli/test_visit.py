import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emdc.cli import visit
from emdc.cli.visit import Visit
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage.database import Database, connected
from emdc.storage.recorder import Recorder
from emdc.stores import open_database
from tests.settings import settings_for

NOW = datetime(2031, 5, 4, 12, 0, 0, tzinfo=UTC)
METER = MeterProfile("UW/Mercer/nexus_meter", (Topic("W", "W"),), interval_s=10.0)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A file in which a daemon that ended well has left a schedule."""
    engine = open_database(settings_for(tmp_path / "emdc.db"))

    async def once() -> None:
        recorder = Recorder(engine, clock=lambda: NOW)
        await recorder.start([METER], NOW)
        await recorder.stop()

    asyncio.run(once())
    yield engine
    engine.dispose()


def given(value: float | None) -> Visit:
    gaps = {} if value is not None else {"W": "read_timeout"}
    reading = MeterReading(METER.name, NOW, NOW, ("W",), (value,), gaps, scheduled=False)
    return Visit(METER, reading, "")


def rows(database: Database, table: str) -> list[tuple[object, ...]]:
    with connected(database) as connection:
        return [tuple(row) for row in connection.exec_driver_sql(f"SELECT * FROM {table}")]


def test_storing_by_hand_leaves_schedules_and_marks_as_they_are(database: Database) -> None:
    before = {table: rows(database, table) for table in ("schedules", "gaps", "meters", "topics")}
    assert before["schedules"]
    asyncio.run(visit.store(database, [given(42.0)]))
    assert {table: rows(database, table) for table in before} == before
    assert len(rows(database, "readings")) == 1


def test_a_reading_by_hand_never_takes_the_place_of_a_tick(database: Database) -> None:
    asyncio.run(visit.store(database, [given(42.0)]))
    with connected(database) as connection:
        row = connection.exec_driver_sql("SELECT ts, scheduled FROM readings").one()
    assert row.scheduled == 0
    assert row.ts.endswith(":00.000001")


def test_a_meter_that_gave_nothing_leaves_no_trace(database: Database) -> None:
    asyncio.run(visit.store(database, [given(None)]))
    assert rows(database, "readings") == []
