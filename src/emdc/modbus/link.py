"""One connection to a meter, a gateway or a serial line, shared by every unit behind it.

    closed → connecting → settling → idle → waiting ─┐
      ↑          │                    ↑──────────────┤ right answer
      └──────────┴── failed ──────────┴──────────────┘ time-out, wrong answer, reset

An exchange is a list of prepared requests; how they are sent, and what is the right answer to one,
each transport decides: `tcp`, `pipeline`, `line`. No task and no timer exists per request: answers
are checked where they arrive, and deadlines are a number that `Links` sweeps. A link is never lost
for good: whatever fails, the next exchange connects again, later and later while nothing succeeds.
Rules to keep: a wrong value is worse than none, so every byte before the data is compared, and
after a time-out or a protocol error the connection is closed, because a late answer may follow.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from emdc.errors import LinkError, MeterError, ProtocolError
from emdc.modbus.backoff import FAILURES_TO_RESTART, Backoffs, is_absence
from emdc.modbus.dial import Dial, hang_up
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.readiness import Connection, Readiness
from emdc.modbus.settings import LinkSettings

log = logging.getLogger(__name__)

NEVER: Final = float("inf")
NOTHING: Final = -1
"""No answer is awaited: a size that no segment has, not even the end's 0."""

Mark: TypeAlias = tuple[int, int, int]
"""How far a link has come; it changes with each request, connection and failure."""


class Link:
    """A Modbus client connection that always comes back. Made by `Links.link`."""

    # Slots: with a thousand links what counts is how little memory one request touches.
    __slots__ = (
        *("backoffs", "connects", "deadline", "dial", "pipeline", "restarts", "settings"),
        *("_connecting", "_current", "_delay_s", "_expected", "_failures", "_loop", "_partial"),
        *("_queue", "_readiness", "_ready", "_sends", "_size", "_socket", "_stray"),
        *("_tid", "_troubled"),
    )

    def __init__(
        self,
        dial: Dial,
        settings: LinkSettings,
        *,
        readiness: Readiness,
        jitter: Callable[[], float],
    ) -> None:
        self.dial = dial
        self.settings = settings
        self._delay_s = settings.request_delay_s
        self._readiness = readiness
        self.deadline = NEVER
        """Loop time at which the outstanding request fails; read by the sweep."""
        self.connects = 0
        self.pipeline = 1
        """Requests that may be under way together, now."""
        self.restarts = 0
        """Times that it started anew, after failures in a row or because something hung."""
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._socket: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.backoffs = Backoffs(settings.backoff_s, settings.backoff_max_s, jitter)
        self._failures = 0  # since the last right answer
        self._tid, self._sends = int(jitter() * 65535), 0  # how often something was sent
        self._expected = b""
        self._size = NOTHING
        self._partial = bytearray()
        self._stray: tuple[str, str] | None = None  # what else has come while an answer is awaited
        self._troubled = False  # something failed since the last right answer
        self._ready = False  # connected, settled, and not in the pause after an answer

    def exchange(self, exchange: Exchange) -> None:
        """Send its requests one after the other and call its `done` with one answer for each.

        After a time-out or a wrong answer the rest fails too; after an exception answer the next
        request is sent. Errors are given as answers, not raised.
        """
        if not exchange.requests:
            self._loop.call_soon(exchange.done, exchange)
            return
        if self._troubled and self._refused(exchange, exchange.requests[0].unit):
            return
        if self._ready and self._current is None:
            self._current = exchange
            self._send()
            return
        if self._socket is None and self._connecting is None:
            if self._refused(exchange):
                return
            self._connecting = self._loop.create_task(self._connect())
        self._queue.append(exchange)

    def expire(self) -> None:
        """Fail the outstanding request; called by the sweep when the deadline has passed."""
        self._fail(self._expired())

    def close(self) -> None:
        """Give up the connection and the claim for good; what is queued or comes later fails."""
        self.backoffs.ended = stopped = LinkError("daemon_stopped")
        self._take_apart()
        self.dial.release()
        self._fail_queue(stopped)

    def mark(self) -> Mark | None:
        """How far it has come with what it has to do; None when there is nothing to do."""
        if self._current is None and not self._queue and self._connecting is None:
            return None
        return self._tid, self.connects, self._failures

    def patience_s(self) -> float:
        """The longest that a step of it may take, turns of connecting apart."""
        settings, exchange = self.settings, self._current or next(iter(self._queue), None)
        steps = settings.connect_timeout_s + settings.connect_delay_s + self._delay_s
        return steps + (exchange.timeout_s if exchange else 0.0)

    def restart(self, why: str) -> None:
        """Take everything but the claim apart, as something hangs by a fault of this program.

        What waits fails, and the next exchange begins anew.
        """
        log.error("link hangs", extra={"host": self.dial.host, "found": why})
        self._start_anew(why)
        self._take_apart()
        self._fail_queue(LinkError("internal_error", why))

    async def _connect(self) -> None:
        task = asyncio.current_task()
        try:
            if self.backoffs.connection.failures:
                await asyncio.sleep(self.settings.give_way_s)
            connection = await self.dial.connect(timeout_s=self.settings.connect_timeout_s)
            if self._connecting is task:
                self._connected(connection)
            else:
                hang_up(connection)  # given up meanwhile, and another has its place
        except MeterError as error:
            if self._connecting is task:
                self._connecting = None
                self._back_off(error)
                self._fail_queue(error)
        except Exception as error:
            log.exception("link failed")
            self.restart(str(error))

    def _connected(self, connection: Connection) -> None:
        self._connecting, self._socket = None, connection
        self.connects += 1
        self._readiness.add(connection, self._readable)
        self._pause(self.settings.connect_delay_s)

    def _pause(self, pause_s: float) -> None:
        self._ready = False
        if pause_s:
            self._loop.call_later(pause_s, self._resume, self._socket)
        else:
            self._resume(self._socket)

    def _resume(self, connection: Connection | None) -> None:
        if connection is not None and connection is self._socket:
            self._ready = True
            self._go_on()

    def _go_on(self) -> None:
        if self._current is not None:
            self._send()
            return
        while self._queue:
            exchange = self._queue.popleft()
            # Its unit may have fallen silent since it was queued.
            if not self.backoffs.units or not self._refused(exchange, exchange.requests[0].unit):
                self._current = exchange
                self._send()
                return

    def _lost(self, reason: str) -> None:
        if self._current is None and self._queue:
            self._current = self._queue.popleft()  # it was about to be asked
        exchange = self._current
        if exchange is None:
            self._drop_connection()
        elif self.backoffs.connection.failures == 0 and self._may_resend(exchange):
            # Meters close connections that were idle or once they have answered: ask once more.
            self._ask_on_new_connection(exchange)
        else:
            self._fail(LinkError("connection_reset", reason))

    def _may_resend(self, exchange: Exchange) -> bool:
        return exchange.resent != len(exchange.answers)

    def _ask_on_new_connection(self, exchange: Exchange) -> None:
        exchange.resent = len(exchange.answers)
        self._drop_connection()
        self._queue.appendleft(exchange)
        self._reconnect()

    def _reconnect(self) -> None:
        if self._queue and self._connecting is None:
            refusal = self.backoffs.refusal(self._loop.time())
            if refusal is not None:
                self._fail_queue(refusal)
            else:
                self._connecting = self._loop.create_task(self._connect())

    def _take_apart(self) -> None:
        """No connection, none under way; what was asked stands in the queue."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._current is not None:
            self._queue.appendleft(self._current)
        self._drop_connection()

    def _drop_connection(self) -> None:
        connection, self._socket = self._socket, None
        self._ready, self._current, self.deadline = False, None, NEVER
        self._partial.clear()
        self._size, self._stray = NOTHING, None
        if connection is not None:
            self._readiness.remove(connection)
            hang_up(connection)

    def _fail(self, error: MeterError) -> None:
        exchange = self._current
        self._drop_connection()
        self._back_off(error, exchange.requests[0].unit if exchange else None)
        if exchange is not None:
            exchange.fail(error)
        self._reconnect()

    def _back_off(self, error: MeterError, unit: int | None = None) -> None:
        self._troubled, self.dial.reached = True, False
        self.backoffs.failed(error, self._loop.time(), unit)
        self._failures += 1
        if self._failures % FAILURES_TO_RESTART == 0:
            self._start_anew(str(error))

    def _start_anew(self, why: str) -> None:
        self.restarts += 1
        self.dial.forget()
        log.info("link starts anew", extra={"host": self.dial.host, "found": why})

    def _refused(self, exchange: Exchange, unit: int | None = None) -> bool:
        """Fail an exchange that comes too early: later, as its caller may ask again at once."""
        refusal = self.backoffs.refusal(self._loop.time(), unit)
        if refusal is not None:
            self._loop.call_later(self.settings.give_way_s, exchange.fail, refusal)
        return refusal is not None

    def _fail_queue(self, error: MeterError) -> None:
        queue, self._queue = self._queue, deque()
        for exchange in queue:
            exchange.fail(error)

    def _send(self) -> None:
        """Send the next request of the current exchange; each transport has its own way."""
        raise NotImplementedError

    def _readable(self) -> None:
        raise NotImplementedError

    def _expired(self) -> MeterError:
        """What to call it that the right answer did not come in time."""
        return ProtocolError(*self._stray) if self._stray else LinkError("read_timeout")

    def _answered(self, answer: Answer) -> None:
        exchange = self._current
        assert exchange is not None
        self._size, self.deadline = NOTHING, NEVER
        exchange.answers.append(answer)
        if exchange.failed and is_absence(answer):
            # Finding that out takes a gateway its own time-out: the unit's neighbours wait once.
            self._back_off(answer, exchange.requests[0].unit)
            exchange.answers += [answer] * (len(exchange.requests) - len(exchange.answers))
        elif self._troubled:
            self._stray, self._failures = None, 0
            self._troubled = not self.backoffs.answered(exchange.requests[0].unit)
        done = len(exchange.answers) == len(exchange.requests)
        if done:
            self._current = None
        if self._delay_s:
            self._pause(self._delay_s)
        elif not done or self._queue:
            self._go_on()
        if done:
            exchange.done(exchange)
