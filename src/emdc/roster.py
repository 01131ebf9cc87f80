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

        Raises ConfigError when it claims a topic of another meter.
        """
        new.learned = old.learned
        self.meters[[meter.name for meter in self.meters].index(new.name)] = new
        begin = self.clock()
        if new.profile.topics == old.profile.topics:
            self.collector.join(new)
            for ticker in self.running:
                ticker.replace(new)
            await self._register(new.profile, begin)
            return
        for ticker in self.running:
            ticker.drop(new.name)
        await self._register(new.profile, begin)
        self.collector.join(new)
        for ticker in tickers([new], self.collector, begin, clock=self.clock):
            self.running.append(ticker)
            self.tick(ticker)

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
