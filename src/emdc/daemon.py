"""The daemon: the only place where parts are joined and tasks are started.

    settings → maps → links and meters → collector → FanOut(Latest, Recorder) → database
                                              ↑
                                    HTTP (uvicorn, one event loop with the rest)

Called by the commands and by the entry points of other servers. Order of starting: whatever can
fail for a wrong setting is tried before the first meter is asked.
"""

import asyncio
import gc
import logging
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, TypeAlias

from emdc import discoveries, lessons
from emdc.collector.changes import Changes
from emdc.collector.clock import Clock
from emdc.collector.cycle import Collector
from emdc.collector.latest import Latest
from emdc.collector.sinks import FanOut
from emdc.collector.ticker import Ticker, tickers
from emdc.config import Settings, check_meters
from emdc.errors import RegisterMapError, StorageError
from emdc.installation import open_meter, with_pauses
from emdc.meters import library, sunspec, sunspec_models
from emdc.meters.meter import Meter
from emdc.meters.register_map import RegisterMap
from emdc.modbus.links import Links
from emdc.place import place
from emdc.reading import MeterProfile, MeterReading
from emdc.roster import Roster
from emdc.storage.claim import claimed
from emdc.storage.database import Database
from emdc.storage.intervals.accountant import Accountant
from emdc.storage.past import history
from emdc.storage.recorder import Recorder
from emdc.stores import Stores, open_stores
from emdc.system import allow_connections, ending_signals
from emdc.web.overview import line_breaks
from emdc.web.past import Past
from emdc.web.server import server
from emdc.web.service import Points, Service
from emdc.zone import machine_zone

log = logging.getLogger(__name__)

SPARKLINE = timedelta(hours=1)
LOADING_S: Final = 15.0
"""How long the start waits for the last values; without them the page begins empty."""

Watch: TypeAlias = Callable[[Service, Sequence[Ticker]], Coroutine[Any, Any, None]]
"""What a command does beside the daemon, such as printing a line per cycle."""


utc_now: Final = Clock(lambda: datetime.now(UTC), time.monotonic)
"""The clock of all parts."""


@dataclass(frozen=True)
class Plant:
    """What the settings describe, loaded and checked, nothing of it started."""

    settings: Settings
    maps: tuple[RegisterMap, ...]
    """One for each meter of the settings."""


def plan(settings: Settings) -> Plant:
    """Load every register map. Raises ConfigError for whatever cannot be used."""
    check_meters(settings)
    maps_dir = settings.maps_dir or library.default_maps_dir()
    loaded: dict[tuple[str, str, bool], RegisterMap] = {}
    for meter in settings.meters:
        key = (meter.map, meter.worksheet, meter.unverified)
        if key not in loaded and meter.map == sunspec.NAME:
            loaded[key] = sunspec_models.map_of(sunspec.NOTHING)
        elif key not in loaded:
            try:
                loaded[key] = library.find(
                    meter.map,
                    maps_dir=maps_dir,
                    worksheet=meter.worksheet,
                    unverified=meter.unverified,
                )
            except RegisterMapError as error:
                raise RegisterMapError(
                    f"map of {meter.name}: {error.book}", error.faults
                ) from error
            for warning in loaded[key].warnings:
                log.warning("register map", extra={"map": meter.map, "found": warning})
    return Plant(settings, tuple(loaded[m.map, m.worksheet, m.unverified] for m in settings.meters))


def open_links(holder: str) -> Links:
    """The connections to meters, none made yet; `holder` is what other processes are told."""
    return Links(jitter=random.SystemRandom().random, holder=lambda: holder)


def open_meters(
    plant: Plant, links: Links, *, mend: bool
) -> tuple[list[Meter], discoveries.Discoveries]:
    """The meters on their links, and what looks for those that describe themselves.

    They begin with what they taught, and said of themselves, the last run that kept it. `mend`:
    this process keeps it from now on. Two meters behind one host and port share a link.
    """
    searching = discoveries.Discoveries(
        plant.settings,
        open_meter=partial(open_meter, links=links, clock=utc_now, zone=machine_zone(os.environ)),
        clock=utc_now,
        mend=mend,
    )
    opened = searching.open(with_pauses(plant.settings.meters), plant.maps)
    lessons.remember(plant.settings, opened, utc_now(), mend=mend)
    return opened, searching


@asynccontextmanager
async def collecting(
    plant: Plant, stores: Stores, *, holder: str
) -> AsyncIterator[tuple[Service, list[Ticker]]]:
    """Links, meters, collector and recorder at work, schedules running, until the block ends.

    `holder` is what other processes are told that want the same meters.
    """
    links = open_links(holder)
    opened, searching = open_meters(plant, links, mend=True)
    profiles = [meter.profile for meter in opened]
    recorder = Recorder(stores.engine, clock=utc_now, spool=stores.spool)
    latest = Latest(profiles)
    latest.load(await _last_readings(stores.engine, profiles))
    begin = await recorder.start(profiles)
    accountant = Accountant(stores.engine, recorder.delivery, profiles, clock=utc_now)
    collector = Collector(
        [meter for meter in opened if meter.profile.topics],
        FanOut(latest, _changes(opened), searching, recorder),
        latest,
        clock=utc_now,
    )
    running = tickers(collector.meters.values(), collector, begin, clock=utc_now)
    tasks = _Tasks()
    roster = Roster(opened, collector, recorder, running, tasks.tick, utc_now)
    tasks.tick(*running)
    tasks.start(
        searching.run(roster.join, latest.write_gaps),
        lessons.keep(plant.settings, opened),
        accountant.run(),
    )
    service = Service(
        collector=collector,
        storage=recorder.status,
        sparklines=partial(_sparklines, stores.engine, latest),
        past=Past(stores.chronicle),
        clock=utc_now,
        started=utc_now(),
        token=plant.settings.http.token.reveal() if plant.settings.http.token else None,
        link_restarts=links.restarts,
        intervals=accountant.status,
    )
    calm_garbage_collection()
    try:
        yield service, running
    finally:
        await tasks.end()
        await collector.stop()
        await recorder.stop()
        links.close()


def _changes(opened: Sequence[Meter]) -> Changes:
    dials = {meter.name: meter.link.dial for meter in opened}
    return Changes(lambda name: dials[name].problem)


class _Tasks:
    """What runs beside the requests until it is ended."""

    def __init__(self) -> None:
        self._all: list[asyncio.Task[None]] = []

    def start(self, *work: Coroutine[Any, Any, None]) -> None:
        self._all += map(asyncio.create_task, work)

    def tick(self, *running: Ticker) -> None:
        self.start(*map(_forever, running))

    async def end(self) -> None:
        for task in self._all:
            task.cancel()
        await asyncio.gather(*self._all, return_exceptions=True)


async def _watch_nothing(_service: Service, _running: Sequence[Ticker]) -> None:
    return


def run(settings: Settings, listener: socket.socket, *, watch: Watch = _watch_nothing) -> None:
    """Collect and serve HTTP on `listener` until SIGINT or SIGTERM.

    `watch` is started once everything runs, and cancelled at the end.
    Raises EmdcError when it cannot start.
    """
    utc_now.check()
    allow_connections(len(settings.meters))
    plant = plan(settings)
    with ExitStack() as stack:
        stores = stack.enter_context(open_stores(settings, clock=utc_now))
        stack.enter_context(claimed(stores.engine, (meter.name for meter in settings.meters)))
        asyncio.run(_run(plant, stores, listener, watch))


def calm_garbage_collection() -> None:
    """Look for cycles rarely: readings make none, and a pass over all meters costs as much as a
    tick. What the start has built stays for ever and is never looked at again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _run(plant: Plant, stores: Stores, listener: socket.socket, watch: Watch) -> None:
    stop = asyncio.Event()
    for number in ending_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with collecting(plant, stores, holder=_holder(listener)) as (service, running):
        http = server(service)
        serving = asyncio.create_task(http.serve([listener]))
        watching = asyncio.create_task(watch(service, running))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, serving], return_when=asyncio.FIRST_COMPLETED)
        log.info("stopping")
        http.should_exit = True
        for task in (stopping, watching):
            task.cancel()
        await asyncio.gather(stopping, watching, return_exceptions=True)
        await serving


async def _forever(ticker: Ticker) -> None:
    """Tick until cancelled, or no meter is left, whatever goes wrong."""
    while not ticker.is_empty:
        try:
            await ticker.run()
        except Exception:
            log.exception("the schedule failed and starts anew")
            await asyncio.sleep(1)


async def _last_readings(
    engine: Database, profiles: Sequence[MeterProfile]
) -> Sequence[MeterReading]:
    """What the database has of the last run; nothing while it is away or new."""
    loading = asyncio.to_thread(history.latest_readings, engine, profiles)
    try:
        return await asyncio.wait_for(loading, LOADING_S)
    except (StorageError, TimeoutError) as error:
        log.info("no last values", extra={"error": str(error)})
        return []


async def _sparklines(engine: Database, latest: Latest, meter: str) -> Points:
    apart_s = line_breaks(latest.meters[meter].profile)
    since = utc_now() - SPARKLINE
    return await asyncio.to_thread(history.sparklines, engine, meter, since, apart_s=apart_s)


def _holder(listener: socket.socket) -> str:
    where = listener.getsockname()
    if isinstance(where, tuple):
        return f"emdc, process {os.getpid()}, at http://{place(*where[:2])}/"
    return f"emdc, process {os.getpid()}, behind another web server"
