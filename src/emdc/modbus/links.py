"""All links of a process: one for each host and port, and the one timer that sweeps deadlines."""

import asyncio
from collections.abc import Callable

from emdc.modbus.dial import Dial
from emdc.modbus.link import Link, LinkSettings
from emdc.modbus.readiness import Readiness

SWEEP_S = 0.02
"""How late a time-out may be noticed."""


class Links:
    """Gives out links; two units behind one host and port share theirs.

    `jitter` gives random numbers from 0 to 1; `holder` says to other processes who this one is.
    Needs a running loop.
    """

    def __init__(self, *, jitter: Callable[[], float], holder: Callable[[], str]) -> None:
        self._jitter = jitter
        self._holder = holder
        self._readiness = Readiness()
        self._links: dict[tuple[str, int], Link] = {}
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    def link(self, host: str, port: int, settings: LinkSettings) -> Link:
        """The link to this host and port; the first caller's settings hold."""
        key = (host.lower(), port)
        if key not in self._links:
            dial = Dial(host, port, holder=self._holder)
            self._links[key] = Link(dial, settings, readiness=self._readiness, jitter=self._jitter)
        return self._links[key]

    def close(self) -> None:
        """Close every link and stop sweeping."""
        self._timer.cancel()
        for link in self._links.values():
            link.close()
        self._links.clear()
        self._readiness.close()

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)
        now = self._loop.time()
        # What a time-out sets off may add links or close them all.
        for link in [link for link in self._links.values() if link.deadline < now]:
            link.expire()
