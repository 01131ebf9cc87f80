"""The link of Modbus TCP: one request is under way, known by its transaction id."""

from typing import Final

from emdc.errors import ExceptionResponseError, ProtocolError
from emdc.modbus.link import NEVER, NOTHING, Link
from emdc.modbus.mbap import cut, judge, may_follow
from emdc.modbus.receive import BUFFER, VIEW, receive

STEP: Final = 257
"""From one transaction id to the next: a meter that counts up ids by itself does not hit upon one
that is awaited."""
TWICE: Final = "an answer that began twice"


class TcpLink(Link):
    """See `Link`. Made by `Links.link`."""

    __slots__ = ()

    def _send(self) -> None:
        self._sends += 1
        exchange, connection = self._current, self._socket
        assert exchange is not None
        assert connection is not None
        request = exchange.requests[len(exchange.answers)]
        self._tid = tid = (self._tid + STEP) & 0xFFFF
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
        nbytes = receive(self._socket, self._lost)
        if nbytes == self._size and not self._partial and BUFFER.startswith(self._expected):
            self._answered(BUFFER[9:nbytes])
        elif nbytes:
            self._partial += VIEW[:nbytes]
            self._cut()

    def _cut(self) -> None:
        """Take the frames that have come whole.

        One answer may set off the next request: what was there before it cannot be its answer,
        whatever its transaction id.
        """
        sends = self._sends
        if self.settings.ignore_transaction_id and self._size != NOTHING:
            come = min(2, len(self._partial))
            self._partial[:come] = self._expected[:come]
        try:
            while (frame := cut(self._partial)) is not None:
                if self._sends == sends:
                    self._take(frame)
            if self._sends != sends and self._partial:
                raise ProtocolError("protocol_error:tid", "an answer that began before its request")
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
            self._strange(tid)
            return
        if frame.startswith(self._expected):  # which says its length too
            if not may_follow(self._partial, frame[6]):
                raise ProtocolError("protocol_error:length", TWICE)
            self._answered(frame[9:])
            return
        request = self._current.requests[len(self._current.answers)]
        error = judge(frame, request)
        if not isinstance(error, ExceptionResponseError):
            raise error
        self._current.failed = True
        self._answered(error)

    def _strange(self, tid: int) -> None:
        """Pass over an answer to something else than what is awaited."""
        self._stray = "protocol_error:tid", f"answer to {tid} only"
        self._troubled = True
