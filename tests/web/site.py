"""A service with two meters, a clock that stands still, and a server on a free port."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import uvicorn
from litestar import Litestar
from litestar.testing import TestClient
from litestar.types import ASGIApp
from sqlalchemy import Engine

from emdc.collector.cycle import Collector, CycleReport
from emdc.collector.latest import Latest
from emdc.reading import MeterProfile, MeterReading, Topic, Value
from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare
from emdc.storage.past.chronicle import Chronicle, Zones
from emdc.web.app import build
from emdc.web.past import Past
from emdc.web.service import Points, Service

NOW = datetime(2031, 5, 4, 12, 0, 0, tzinfo=UTC)
NEXUS = "UW/Mercer/nexus_meter"
EATON = "UW/Elm/eaton_meter"
ZONE = "America/Los_Angeles"

TOPICS = (
    Topic("Voltage_AN", "V", digits=6, description="Phase A to neutral"),
    Topic("W", "W", digits=1, description="Total power"),
    Topic("Wh_received", "Wh", kind="counter", description="Energy received"),
    Topic("Firmware", kind="text", description="Version of the meter's program"),
)


@dataclass(frozen=True)
class Storage:
    """A state of the storage, as its own picture has it."""

    url: str = "sqlite:///emdc.sqlite"
    in_memory: bool = False
    ok: bool = True
    last_commit_at: datetime | None = NOW
    last_error: str | None = None
    queued: int = 0
    stored: int = 12
    conflicts: int = 0
    dropped: int = 0
    spooled: int = 0
    spool_bytes: int = 0
    spool_limit_bytes: int = 0
    spool_since: datetime | None = None
    spool_path: str = ""
    replayed: int = 0
    overflowed: int = 0
    refused: int = 0


@cache
def empty_database() -> Engine:
    """One in memory, without rows."""
    engine = open_engine("sqlite://")
    prepare(engine)
    return engine


class ScriptedCollector(Collector):
    """Without meters: gives `answers` or raises `failure`, and notes what was asked."""

    def __init__(self, latest: Latest) -> None:
        self.latest = latest
        self.asked: list[tuple[object, ...]] = []
        self.answers: dict[str, Value] = {}
        self.gaps: dict[str, str] = {}
        self.failure: Exception | None = None
        self.lessons: dict[str, tuple[list[str], list[str]]] = {}

    def taught(self, meter: str) -> tuple[list[str], list[str]]:
        return self.lessons.get(meter, ([], []))

    async def collect(self, iterations: int, wait_s: int) -> list[CycleReport]:
        self.asked.append((iterations, wait_s))
        if self.failure:
            raise self.failure
        return [CycleReport(NOW, 0.5, 2, (EATON,), 4, {"read_timeout": 4})] * iterations

    async def read_now(self, meter: str, metric: str) -> MeterReading:
        self.asked.append((meter, metric))
        if self.failure:
            raise self.failure
        value = self.answers.get(metric)
        gaps = {} if value is not None else {metric: self.gaps.get(metric, "read_timeout")}
        return MeterReading(meter, NOW, NOW, (metric,), (value,), gaps, scheduled=False)


@dataclass
class Site:
    """What a test turns: the latest values, the collector, the storage and the token."""

    profiles: tuple[MeterProfile, ...]
    storage: Storage = field(default_factory=Storage)
    token: str | None = None
    started: datetime = NOW - timedelta(hours=1)
    engine: Engine | None = None
    """What /history and the like read; None: an empty database."""
    lines: Mapping[str, Points] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.latest = Latest(self.profiles)
        self.collector = ScriptedCollector(self.latest)
        self.now: Callable[[], datetime] = lambda: NOW

    def read(
        self, meter: str, *, ago: float = 0.0, why: str = "read_timeout", **values: Value
    ) -> None:
        """Let the meter have been read `ago` seconds before now; None is a gap for that reason."""
        time = NOW - timedelta(seconds=ago)
        gaps = {name: why for name, value in values.items() if value is None}
        names = tuple(values)
        reading = MeterReading(meter, time, time, names, tuple(values.values()), gaps)
        self.latest.meters[meter].take(reading)

    async def sparklines(self, meter: str) -> Points:
        return self.lines.get(meter, {})

    def clock(self) -> datetime:
        return self.now()

    def service(self) -> Service:
        engine = empty_database() if self.engine is None else self.engine
        chronicle = Chronicle(engine, clock=lambda: self.clock().timestamp(), zones=Zones({}, ZONE))
        return Service(
            collector=self.collector,
            storage=lambda: self.storage,
            sparklines=self.sparklines,
            past=Past(chronicle),
            clock=self.clock,
            started=self.started,
            token=self.token,
            link_restarts=lambda: 7,
        )

    def app(self) -> Litestar:
        return build(self.service())

    def client(self) -> TestClient[Litestar]:
        return TestClient(self.app(), raise_server_exceptions=False)


def one_meter(interval_s: float | None = 10.0) -> Site:
    """A site with the Nexus only, just read."""
    return _read(Site((MeterProfile(NEXUS, TOPICS, interval_s),)))


def two_meters(interval_s: float | None = 10.0) -> Site:
    """A site with two meters of the same metrics; only the Nexus has been read."""
    names = (NEXUS, EATON)
    return _read(Site(tuple(MeterProfile(name, TOPICS, interval_s) for name in names)))


def _read(site: Site) -> Site:
    site.read(NEXUS, Voltage_AN=120.12345678, W=-42.0, Wh_received=7_000_000, Firmware="1.2 é")
    return site


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The address of a real server of `app`, which stops at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
