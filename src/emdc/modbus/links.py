"""All links of a process: one for each host and port, and the one timer that sweeps deadlines."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from emdc.modbus.dial import Dial
from emdc.modbus.line import RtuLink
from emdc.modbus.link import Link
from emdc.modbus.pace import Pace
from emdc.modbus.pipeline import PipelinedLink
from emdc.modbus.readiness import Readiness
from emdc.modbus.serial_line import SerialDial
from emdc.modbus.settings import LinkSettings
from emdc.modbus.tcp import TcpLink
from emdc.modbus.watchdog import LOOK_S, Watchdog
from emdc.place import is_device

log = logging.getLogger(__name__)

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
        self._pace = Pace()
        self._readiness = Readiness()
        self._links: dict[tuple[str, int], Link] = {}
        self._loop = asyncio.get_running_loop()
        self._watchdog = Watchdog()
        self._look_at = self._loop.time() + LOOK_S
        self._timer = self._loop.call_later(SWEEP_S, self._sweep)

    def link(self, host: str, port: int, settings: LinkSettings) -> Link:
        """The link to this host and port; the first caller's settings hold."""
        # A device has many names and one line.
        key = (str(Path(host).resolve()), 0) if is_device(host) else (host.lower(), port)
        if key not in self._links:
            self._links[key] = self._new(host, port, settings)
        return self._links[key]

    def restarts(self) -> int:
        """Times that a link had to start anew."""
        return sum(link.restarts for link in self._links.values())

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
        late = [link for link in self._links.values() if link.deadline < now]
        if late:
            # A turn of the loop may have lasted longer than a time-out: the answers may be here.
            self._readiness.drain(2 * len(self._links))
        # What a time-out sets off may add links or close them all.
        for link in late:
            if link.deadline >= now:
                continue
            try:
                link.expire()
            except Exception as error:
                log.exception("link failed")
                link.restart(str(error))
        if now >= self._look_at:
            self._look_at = now + LOOK_S
            self._watchdog.look(self._links.values())

    def _new(self, host: str, port: int, settings: LinkSettings) -> Link:
        kind: type[Link] = TcpLink
        dial = Dial(host, port, holder=self._holder, pace=self._pace)
        if is_device(host):
            kind, dial = RtuLink, SerialDial(host, settings.line, holder=self._holder)
        elif settings.rtu:
            kind = RtuLink
        elif settings.pipeline > 1 and not (
            settings.request_delay_s or settings.ignore_transaction_id
        ):
            kind = PipelinedLink
        return kind(dial, settings, readiness=self._readiness, jitter=self._jitter)
