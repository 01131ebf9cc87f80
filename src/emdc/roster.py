"""The meters of a run, and how one joins it: at first without knowing what it holds, or anew.

A meter whose registers have only moved goes on as it was, at its new addresses. One that holds
other metrics than before gets its topics and its schedule first; until the database has taken
those it is not read, and what it owes meanwhile becomes a gap.
"""

import asyncio
import itertools
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from emdc.collector.cycle import Collector
from emdc.collector.ticker import Ticker, tickers
from emdc.errors import StorageError
from emdc.meters.meter import Meter
from emdc.reading import MeterProfile
from emdc.storage.recorder import Recorder

log = logging.getLogger(__name__)

RETRY_S: Final = 2.0
"""Between two attempts to register with a database that does not take it."""


@dataclass(frozen=True)
class Roster:
    """The meters of one run, and whoever must know of a new one."""

    meters: list[Meter]
    collector: Collector
    recorder: Recorder
    running: list[Ticker]
    tick: Callable[[Ticker], None]
    """Lets a ticker run from now on."""
    clock: Callable[[], datetime]

    async def join(self, old: Meter, new: Meter) -> None:
        """Let `new`, which has its name and link, take the place of `old`.

        Raises ConfigError when it claims a topic of another meter; `old` is read as before then.
        """
        new.learned = old.learned
        begin = self.clock()
        if new.profile.topics == old.profile.topics:
            self._put(new)
            for ticker in self.running:
                ticker.replace(new)
            await self._register(new.profile, begin)
            return
        self._drop(old.name, begin)
        try:
            await self._register(new.profile, begin)
        except Exception:
            self._schedule(old, begin)
            raise
        self._put(new)
        self._schedule(new, begin)

    def _put(self, meter: Meter) -> None:
        self.meters[[other.name for other in self.meters].index(meter.name)] = meter
        self.collector.join(meter)

    def _drop(self, name: str, end: datetime) -> None:
        for ticker in self.running:
            ticker.drop(name, end)
        self.running[:] = [ticker for ticker in self.running if not ticker.is_empty]

    def _schedule(self, meter: Meter, begin: datetime) -> None:
        """Read a meter on its schedule, with those that have the same intervals."""
        for own in tickers([meter], self.collector, begin, clock=self.clock):
            for ticker in self.running:
                if ticker.schedule == own.schedule:
                    ticker.add(meter, begin)
                    return
            self.running.append(own)
            self.tick(own)

    async def _register(self, profile: MeterProfile, begin: datetime) -> None:
        """Register with the recorder, however long its database is away."""
        for attempt in itertools.count():
            try:
                await self.recorder.join(profile, begin)
            except (StorageError, TimeoutError) as error:
                if attempt == 1:  # the first may just have come while readings were written
                    facts = {"meter": profile.name, "error": str(error) or "no answer"}
                    log.warning("meter waits for the database", extra=facts)
                await asyncio.sleep(RETRY_S)
            else:
                return
