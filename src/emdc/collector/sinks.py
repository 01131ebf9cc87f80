"""Where readings go: the Sink protocol, and FanOut, which hands one batch to several sinks.

`storage` and later `jetstream` satisfy Sink by shape and never import this module.
"""

from collections.abc import Sequence
from typing import Protocol

from emdc.reading import Gap, MeterReading


class Sink(Protocol):
    """Takes readings. `write` returns when they are as safe as this sink makes them."""

    async def write(self, readings: Sequence[MeterReading]) -> None:
        """Take readings; raises StorageError when they could not be kept."""

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Take ranges of ticks for which no reading exists."""


class FanOut:
    """Hands everything to each sink in turn; the first is the quickest (the latest values)."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    async def write(self, readings: Sequence[MeterReading]) -> None:
        """Hand the readings on; a sink that fails raises after those before it have taken them."""
        for sink in self._sinks:
            await sink.write(readings)

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Hand the gaps on."""
        for sink in self._sinks:
            await sink.write_gaps(gaps)
