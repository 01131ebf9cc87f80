"""Meters, a collector and a sink for the tests of the collector."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from unittest.mock import patch

from emdc.collector.cycle import Collector
from emdc.collector.latest import Latest
from emdc.collector.schedule import from_us
from emdc.collector.ticker import intervals_us
from emdc.errors import StorageError
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.modbus import LinkSettings
from emdc.reading import Gap, MeterReading
from tests import misbehaving
from tests.modbus.asking import links
from tests.virtual_time import WallClock

MAP = RegisterMap(
    "plant",
    (
        Metric("W", 10, 2, DataType.UINT32),
        Metric("freq", 12, 1, DataType.UINT16),
        Metric("Wh", 40, 2, DataType.UINT32, interval_s=60),
    ),
)
NAMES = frozenset(metric.name for metric in MAP.metrics)


class Store:
    """A sink that keeps everything, and fails when it is told to."""

    def __init__(self) -> None:
        self.readings: list[MeterReading] = []
        self.batches: list[int] = []
        self.gaps: list[Gap] = []
        self.failure: Exception | None = None
        self.arrived = asyncio.Event()
        self.open = asyncio.Event()
        """Cleared: writing waits, as for a slow database."""
        self.open.set()

    async def write(self, readings: Sequence[MeterReading]) -> None:
        """Keep them when the store is open."""
        self.arrived.set()
        await self.open.wait()
        if self.failure:
            raise self.failure
        self.readings += readings
        self.batches.append(len(readings))

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Keep them."""
        if self.failure:
            raise self.failure
        self.gaps += gaps

    def ticks(self, meter: str) -> list[float]:
        """Scheduled ticks that have a reading, in seconds since 1970."""
        return sorted(r.tick.timestamp() for r in self.readings if r.meter == meter and r.scheduled)

    def account(self, meter: str, metric: str) -> list[tuple[datetime, datetime]]:
        """From and to of everything that answers for a metric: its readings and its gaps."""
        return sorted(
            [
                (r.tick, r.tick)
                for r in self.readings
                if r.meter == meter and metric in r.metrics and r.scheduled
            ]
            + [(g.from_ts, g.to_ts) for g in self.gaps if g.meter == meter]
        )


DOWN = StorageError("the database is away")


@dataclass
class Plant:
    """One process with its meters."""

    peers: list[misbehaving.Meter]
    meters: list[Meter]
    store: Store
    clock: WallClock
    collector: Collector = field(init=False)

    def __post_init__(self) -> None:
        latest = Latest(meter.profile for meter in self.meters)
        self.collector = Collector(self.meters, self.store, latest, clock=self.clock)

    def owed(self, meter: str, metric: str, begin: datetime, end: datetime) -> None:
        """Assert that every slot of a metric has exactly one reading or one gap."""
        profile = next(m.profile for m in self.meters if m.name == meter)
        (interval,) = [i for i, names in intervals_us(profile).items() if metric in names]
        account = self.store.account(meter, metric)
        slot = -(-int(begin.timestamp() * 1e6) // interval) * interval
        while slot < int(end.timestamp() * 1e6):
            moment = from_us(slot)
            answers = [a for a in account if a[0] == a[1] == moment or a[0] <= moment < a[1]]
            assert len(answers) == 1, (meter, metric, moment, answers)
            slot += interval


@asynccontextmanager
async def plant(
    *scripts: misbehaving.Script,
    settings: MeterSettings | None = None,
    register_map: RegisterMap = MAP,
) -> AsyncIterator[Plant]:
    """A meter for each script, named `site/0` and so on, and a collector over them."""
    settings = settings or MeterSettings(interval_s=10, timeout_s=3, retries=0)
    async with AsyncExitStack() as stack:
        # Hours of virtual time: a sweep every 20 ms would be most of the work.
        stack.enter_context(patch("emdc.modbus.links.SWEEP_S", 0.25))
        opened = stack.enter_context(links())
        peers = [await stack.enter_async_context(misbehaving.meter(s)) for s in scripts]
        clock = WallClock()
        limits = LinkSettings(backoff_max_s=5)
        meters = [
            Meter(
                f"site/{index}",
                register_map,
                opened.link(p.host, p.port, limits),
                settings,
                clock=clock,
            )
            for index, p in enumerate(peers)
        ]
        yield Plant(peers, meters, Store(), clock)
