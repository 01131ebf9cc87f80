"""The link of RTU frames, over TCP or on a serial line: one request is under way on the whole line.

An answer does not say to which request it belongs, so what is not asked at the moment must not be
under way either. Whatever ended without its answer, the unit is left alone for as long as it might
have taken, while the line serves the others; what comes for nobody is thrown away, and nothing is
asked before the line was silent. A lost request is not sent again at once as over Modbus TCP: both
might be answered.
What remains is a unit that answers later than twice its time-out; only a longer time-out helps it.
Source: Modbus over Serial Line V1.02, sections 2.4.1 and 2.5.1.1.
"""

from collections.abc import Callable
from typing import Final

from emdc.errors import ExceptionResponseError, LinkError, MeterError, ProtocolError
from emdc.modbus import rtu
from emdc.modbus.dial import Dial
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.link import NOTHING, Link
from emdc.modbus.pdu import Request
from emdc.modbus.readiness import Connection, Readiness
from emdc.modbus.receive import VIEW, receive
from emdc.modbus.settings import LinkSettings
from emdc.place import is_device

GATEWAY_SILENCE_S: Final = 0.005
"""Rest between two requests over TCP: a copy of the answer, or the end of the connection, comes
within it as a rule. A gateway keeps the silence of its line by itself."""

_INSTANT_S: Final = 1e-6  # a timer may come this much early


class RtuLink(Link):
    """See the module. Made by `Links.link`."""

    __slots__ = ("_hold_s", "_noise", "_quiet_at", "_silence_s")

    def __init__(
        self,
        dial: Dial,
        settings: LinkSettings,
        *,
        readiness: Readiness,
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(dial, settings, readiness=readiness, jitter=jitter)
        serial = is_device(dial.host)
        self._silence_s = settings.line.silence_s if serial else GATEWAY_SILENCE_S
        self._delay_s = max(self._silence_s, settings.request_delay_s)
        self.backoffs.on_line = True
        self._hold_s = 0.0  # how long a lost answer may still be under way
        self._quiet_at = 0.0  # loop time at which the line will have been silent for long enough
        self._noise = 0  # bytes for nobody since the last request

    def _send(self) -> None:
        exchange, connection = self._current, self._socket
        assert exchange is not None
        assert connection is not None
        request = exchange.requests[len(exchange.answers)]
        self._tid = (self._tid + 1) & 0xFFFF  # not sent: it shows that something happens
        self._expected, self._size = rtu.head(request), request.size
        self._noise, self._hold_s = 0, exchange.timeout_s
        self.deadline = self._loop.time() + exchange.timeout_s
        try:
            connection.send(rtu.question(request))
        except OSError as error:
            self._lost(error.strerror or str(error))

    def _readable(self) -> None:
        nbytes = receive(self._socket, self._lost)
        if not nbytes:
            return
        if self._size == NOTHING:
            self._drain(nbytes)
        else:
            self._partial += VIEW[:nbytes]
            self._cut()

    def _cut(self) -> None:
        assert self._current is not None
        request = self._current.requests[len(self._current.answers)]
        came = self._partial[: rtu.QUESTION_SIZE]
        try:
            while self._partial:
                frame = rtu.cut(self._partial)
                if frame is None:
                    if rtu.cannot_be(self._partial, request):
                        raise rtu.judge(self._partial, request)
                    return
                if frame[0] == request.unit:
                    self._take(frame, request)
                    return
                self._stray = "protocol_error:unit", f"answer of unit {frame[0]} only"
                self._troubled = True
        except ProtocolError as error:
            echo = came == rtu.question(request)
            detail = "the request itself came back: turn off the echo of the adapter"
            self._fail(ProtocolError(error.reason, detail) if echo else error)

    def _take(self, frame: bytearray, request: Request) -> None:
        """Take a whole frame of the unit that was asked."""
        answer: Answer = frame[3:-2]
        if not frame.startswith(self._expected):
            answer = error = rtu.judge(frame, request)
            if not isinstance(error, ExceptionResponseError):
                raise error
            assert self._current is not None
            self._current.failed = True
        if rest := len(self._partial):
            # Not `_drain`: however much it is, the answer before it counts.
            self._partial.clear()
            self._noise += rest
            self._quiet_at = self._loop.time() + self._silence_s
        self._answered(answer)

    def _drain(self, nbytes: int) -> None:
        """Throw away what nobody asked for, and wait for silence again."""
        self._noise += nbytes
        self._quiet_at = self._loop.time() + self._silence_s
        if self._noise > rtu.MAX_FRAME:
            detail = f"{self._noise} bytes that nobody asked for"
            self._fail(ProtocolError("protocol_error:length", detail))
        elif self._ready and self._current is None:
            self._pause(self._silence_s)

    def _pause(self, pause_s: float) -> None:
        super()._pause(max(pause_s, self._silence_s))

    def _resume(self, connection: Connection | None) -> None:
        noisy_s = self._quiet_at - self._loop.time()
        if noisy_s > _INSTANT_S and connection is self._socket:
            self._loop.call_later(noisy_s, self._resume, connection)
        else:
            super()._resume(connection)

    # What a failure means for the line

    def _expired(self) -> MeterError:
        if self._partial and not self._stray:
            return LinkError("read_timeout", f"{len(self._partial)} bytes, no whole answer")
        return super()._expired()

    def _may_resend(self, exchange: Exchange) -> bool:
        return self._size == NOTHING and super()._may_resend(exchange)

    def _back_off(self, error: MeterError, unit: int | None = None) -> None:
        super()._back_off(error, unit)
        if unit is not None:
            self.backoffs.hold(error, self._loop.time() + self._hold_s, unit)
