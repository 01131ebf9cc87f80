"""One connection to one host and port, shared by every unit behind it.

    closed → connecting → settling → idle → waiting ─┐
      ↑          │                    ↑──────────────┤ right answer
      └──────────┴── failed ──────────┴──────────────┘ time-out, wrong answer, reset

An exchange is a list of prepared requests that are sent one after the other; one request is
outstanding at a time. No task and no timer exists per request: answers are checked where they
arrive, and deadlines are a number that `Links` sweeps. A link is never lost for good: whatever
fails, the next exchange connects again, later and later while nothing succeeds.
Rules to keep: a wrong value is worse than none, so every byte before the data is compared, and
after a time-out or a protocol error the connection is closed, because a late answer may follow.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from emdc.errors import ExceptionResponseError, LinkError, MeterError, ProtocolError
from emdc.modbus.backoff import Backoffs
from emdc.modbus.dial import Dial, hang_up
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.mbap import cut, judge
from emdc.modbus.readiness import Readiness

NEVER: Final = float("inf")

_NOTHING: Final = -1  # no answer is awaited: a size that no segment has, not even the end's 0

# All links of a process receive into one buffer: it is read before the next one fills it again.
_BUFFER: Final = bytearray(65536)
_VIEW: Final = memoryview(_BUFFER)


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """What a meter's connection needs, in seconds."""

    connect_timeout_s: float = 3.0
    connect_delay_s: float = 0.0
    """Pause after connecting before the first request."""
    request_delay_s: float = 0.0
    """Pause between an answer and the next request."""
    backoff_s: float = 1.0
    """Pause after the second failure in a row; doubles with each further one."""
    backoff_max_s: float = 30.0


class Link:
    """A Modbus TCP client connection that always comes back. Made by `Links.link`."""

    # Slots: with a thousand links what counts is how little memory one request touches.
    __slots__ = (
        *("backoffs", "connects", "deadline", "dial", "settings", "_connecting", "_current"),
        *("_delay_s", "_expected", "_loop", "_partial", "_queue", "_readiness", "_ready"),
        *("_size", "_socket", "_stray", "_tid", "_troubled"),
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
        self._loop = asyncio.get_running_loop()
        self._queue: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._socket: socket.socket | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.backoffs = Backoffs(settings.backoff_s, settings.backoff_max_s, jitter)
        self._tid = int(jitter() * 65535)
        self._expected = b""
        self._size = _NOTHING
        self._partial = bytearray()
        self._stray: int | None = None
        self._troubled = False  # something failed since the last right answer
        self._ready = False  # connected, settled, and not in the pause after an answer

    def exchange(self, exchange: Exchange) -> None:
        """Send its requests one after the other and call its `done` with one answer for each.

        After a time-out or a wrong answer the rest fails too; after an exception answer the next
        request is sent. Errors are given as answers, not raised.
        """
        if self.backoffs.units and self._refused(exchange, exchange.requests[0].unit):
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
        if self._stray is not None:
            self._fail(ProtocolError("protocol_error:tid", f"answer to {self._stray} only"))
        else:
            self._fail(LinkError("read_timeout"))

    def close(self) -> None:
        """Give up the connection and the claim for good; what is queued or comes later fails."""
        self.backoffs.ended = stopped = LinkError("daemon_stopped")
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._current is not None:
            self._queue.append(self._current)
        self._drop_connection()
        self.dial.release()
        self._fail_queue(stopped)

    # The connection

    async def _connect(self) -> None:
        try:
            self._socket = await self.dial.connect(timeout_s=self.settings.connect_timeout_s)
        except LinkError as error:
            self._connecting = None
            self._back_off(error)
            self._fail_queue(error)
            return
        self._connecting = None
        self.connects += 1
        self._readiness.add(self._socket, self._readable)
        self._pause(self.settings.connect_delay_s)

    def _pause(self, pause_s: float) -> None:
        self._ready = False
        if pause_s:
            self._loop.call_later(pause_s, self._resume, self._socket)
        else:
            self._resume(self._socket)

    def _resume(self, connection: socket.socket | None) -> None:
        if connection is not None and connection is self._socket:
            self._ready = True
            self._go_on()

    def _go_on(self) -> None:
        if self._current is not None:
            self._send()
        elif self._queue:
            self._current = self._queue.popleft()
            self._send()

    def _lost(self, reason: str) -> None:
        if self._current is None and self._queue:
            self._current = self._queue.popleft()  # it was about to be asked
        exchange = self._current
        if exchange is None:
            self._drop_connection()
        elif self.backoffs.connection.failures == 0 and exchange.resent != len(exchange.answers):
            # Meters close connections that were idle or once they have answered: ask once more.
            exchange.resent = len(exchange.answers)
            self._drop_connection()
            self._queue.appendleft(exchange)
            self._reconnect()
        else:
            self._fail(LinkError("connection_reset", reason))

    def _reconnect(self) -> None:
        if self._queue and self._connecting is None:
            refusal = self.backoffs.refusal(self._loop.time())
            if refusal is not None:
                self._fail_queue(refusal)
            else:
                self._connecting = self._loop.create_task(self._connect())

    def _drop_connection(self) -> None:
        connection, self._socket = self._socket, None
        self._ready, self._current, self.deadline = False, None, NEVER
        self._partial.clear()
        self._size, self._stray = _NOTHING, None
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
        self._troubled = True
        self.backoffs.failed(error, self._loop.time(), unit)

    def _refused(self, exchange: Exchange, unit: int | None = None) -> bool:
        """Fail an exchange that comes too early: soon, as its caller may ask again at once."""
        refusal = self.backoffs.refusal(self._loop.time(), unit)
        if refusal is not None:
            self._loop.call_soon(exchange.fail, refusal)
        return refusal is not None

    def _fail_queue(self, error: MeterError) -> None:
        queue, self._queue = self._queue, deque()
        for exchange in queue:
            exchange.fail(error)

    # Requests and answers

    def _send(self) -> None:
        exchange, connection = self._current, self._socket
        assert exchange is not None
        assert connection is not None
        request = exchange.requests[len(exchange.answers)]
        self._tid = tid = (self._tid + 1) & 0xFFFF
        tid_bytes = tid.to_bytes(2, "big")
        self._expected = tid_bytes + request.head
        self._size = request.size
        self.deadline = self._loop.time() + exchange.timeout_s
        try:
            connection.send(tid_bytes + request.tail)
        except OSError as error:
            self._lost(error.strerror or str(error))

    def _readable(self) -> None:
        """Take what has come. The whole right answer at once is the common case."""
        connection = self._socket
        assert connection is not None
        try:
            nbytes = connection.recv_into(_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(error.strerror or str(error))
            return
        if nbytes == self._size and not self._partial and _BUFFER.startswith(self._expected):
            self._answered(_BUFFER[9:nbytes])
        elif nbytes:
            self._partial += _VIEW[:nbytes]
            self._cut()
        else:
            self._lost("closed by the meter")

    def _cut(self) -> None:
        try:
            while (frame := cut(self._partial)) is not None:
                self._take(frame)
            if len(self._partial) >= 9 and not self._partial.startswith(self._expected):
                self._take(self._partial[:9])  # its rest will not make it right
        except ProtocolError as error:
            self._fail(error)

    def _take(self, frame: bytearray) -> None:
        tid = frame[0] << 8 | frame[1]
        if self._current is None or self.deadline is NEVER:
            if tid != self._tid:
                raise ProtocolError("protocol_error:tid", f"answer to {tid}, nothing was asked")
            return  # a second copy of the last answer
        if tid != self._tid:
            self._stray, self._troubled = tid, True
            return
        if frame.startswith(self._expected):  # which says its length too
            self._answered(frame[9:])
            return
        request = self._current.requests[len(self._current.answers)]
        error = judge(frame, request)
        if not isinstance(error, ExceptionResponseError):
            raise error
        self._current.failed = True
        self._answered(error)

    def _answered(self, answer: Answer) -> None:
        exchange = self._current
        assert exchange is not None
        self._size, self.deadline = _NOTHING, NEVER
        if self._troubled:
            self._stray = None
            self._troubled = not self.backoffs.answered(exchange.requests[0].unit)
        exchange.answers.append(answer)
        done = len(exchange.answers) == len(exchange.requests)
        if done:
            self._current = None
        if self._delay_s:
            self._pause(self._delay_s)
        elif not done or self._queue:
            self._go_on()
        if done:
            exchange.done(exchange)
