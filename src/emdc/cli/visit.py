"""Reading meters once, by hand: what `emdc collect` does beside or without a daemon."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from emdc.daemon import Plant, open_links, open_meters, utc_now
from emdc.errors import StorageError
from emdc.meters.meter import Meter
from emdc.reading import MeterProfile, MeterReading
from emdc.storage.database import Database
from emdc.storage.recorder import Recorder

STORING_S: Final = 20.0
"""Seconds that storing may take while other programs write to the database."""


@dataclass(frozen=True)
class Visit:
    """What one meter said when it was read by hand."""

    profile: MeterProfile
    reading: MeterReading
    held_by: str
    """What the process says of itself that has the meter's connection; empty when this one had."""
    problem: str = ""
    """Why it is not known what it holds."""
    unreached: str = ""
    """Why its connection could not be made."""

    @property
    def answered(self) -> bool:
        """Whether it gave any value."""
        return len(self.reading.gaps) < len(self.reading.metrics)


async def read(plant: Plant) -> list[Visit]:
    """Every metric of every meter, all meters at once; in the order of the settings."""
    links = open_links(f"emdc collect, process {os.getpid()}")
    try:
        opened, searching = open_meters(plant, links, mend=False)
        found, problems = await searching.once()
        meters = [found.get(meter.name, meter) for meter in opened]
        readings = await asyncio.gather(*map(_reading, meters))
        return [
            Visit(
                meter.profile,
                reading,
                meter.link.dial.held_by,
                "" if meter.profile.topics else str(problems[meter.name]),
                meter.link.dial.problem,
            )
            for meter, reading in zip(meters, readings, strict=True)
        ]
    finally:
        links.close()


async def _reading(meter: Meter) -> MeterReading:
    """All that the meter has; nothing when that is not known."""
    names = frozenset(topic.name for topic in meter.profile.topics)
    if names:
        return await meter.read(names)
    now = utc_now()
    return MeterReading(meter.name, now, now, (), (), {}, scheduled=False)


async def store(database: Database, visits: Sequence[Visit]) -> None:
    """Record what the meters gave, as read by hand: no schedule begins or ends by it.

    Meters that gave nothing leave no trace. Raises StorageError when it cannot be stored.
    """
    answered = [visit for visit in visits if visit.answered]
    if not answered:
        return
    utc_now.check()
    recorder = Recorder(database, clock=utc_now)
    await recorder.start([visit.profile for visit in answered], utc_now(), scheduled=False)
    try:
        async with asyncio.timeout(STORING_S):
            await recorder.write([visit.reading for visit in answered])
    except TimeoutError as error:
        problem = recorder.status().last_error or "the database does not answer"
        raise StorageError(f"what was read is not stored: {problem}") from error
    finally:
        await recorder.stop()
