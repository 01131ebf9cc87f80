"""The link of Modbus TCP with several requests of one exchange under way, sent together.

It costs half of what one after the other costs, with meters that can do it. Many cannot: some
answer the first request of a segment only, some close, some mix the answers up. The first time that
an answer is missing or out of order, the link asks one at a time for as long as the process runs,
or for a pause where groups were answered before: it doubles until all goes well for longer than the
next one. What has no answer yet is asked again on a new connection: a short wait, once, and no
value lost. Silence alone proves nothing, as a meter may be off: then the next exchange with its
unit goes one at a time, and what comes of that decides.
Rule to keep: each answer is checked against the transaction id and header of its own request.
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from emdc.errors import ExceptionResponseError, LinkError, MeterError, ProtocolError
from emdc.modbus.backoff import is_absence
from emdc.modbus.dial import Dial
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.groups import Group, group_of
from emdc.modbus.mbap import may_follow
from emdc.modbus.pdu import Request
from emdc.modbus.readiness import Readiness
from emdc.modbus.receive import BUFFER, VIEW, receive
from emdc.modbus.settings import LinkSettings
from emdc.modbus.tcp import STEP, TWICE, TcpLink

log = logging.getLogger(__name__)

FIRST_PATIENCE_S: Final = 0.5
"""Shortest wait for the next answer while no group was ever answered to its end. Each takes about
as long as the first did; where it never comes, the whole time-out would be spent for nothing."""
_AS_FIRST: Final = 4
_SHORTEST_PAUSE_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 86400.0

_ALONE: Final = -1
_BUSY: Final = (5, 6)
"""Exceptions of a meter that one request keeps busy."""


class PipelinedLink(TcpLink):
    """See the module. Made by `Links.link`, never with a pause between requests."""

    __slots__ = (
        *("_again_at", "_back_at", "_doubted", "_first", "_group", "_groups", "_left", "_of"),
        *("_pause_s", "_proven", "_sent_at"),
    )

    def __init__(
        self,
        dial: Dial,
        settings: LinkSettings,
        *,
        readiness: Readiness,
        jitter: Callable[[], float],
    ) -> None:
        super().__init__(dial, settings, readiness=readiness, jitter=jitter)
        self.pipeline = settings.pipeline
        self._first = _ALONE  # place of the first request of the group that is under way
        self._group: Group | None = None  # what is under way, until something came for it
        self._groups: dict[int, Group] = {}  # by place of the first request of those in `_of`
        self._of: Sequence[Request] = ()
        self._left: deque[tuple[bytes, int]] = deque()  # what is expected after the current answer
        self._sent_at = 0.0
        self._proven = False  # a group was answered to its end
        self._doubted: set[int] = set()  # units that said nothing to a group
        # Of one that could before: until when it is asked one at a time, and since when not.
        self._again_at = self._back_at = math.inf
        self._pause_s = _SHORTEST_PAUSE_S

    def _send(self) -> None:
        exchange, connection = self._current, self._socket
        assert exchange is not None
        assert connection is not None
        requests, place = exchange.requests, len(exchange.answers)
        if (
            place + 1 == len(requests)
            or self._suspects(requests[place].unit)
            or (self.pipeline == 1 and not self._tries_again())
        ):
            super()._send()
            return
        if requests is not self._of:
            self._of, self._groups = requests, {}
        group = self._groups.get(place)
        if group is None:
            group = group_of(tuple(requests[place : place + self.pipeline]))
            self._groups[place] = group
        self._sends += 1
        tid = (self._tid + STEP) & 0xFFFF
        if tid + group.ids > 0xFFFF:
            tid = (tid + group.ids) & 0xFFFF  # ids that would begin anew within it are left out
        self._group, self._first, self._tid = group, place, tid
        self._sent_at = now = self._loop.time()
        self.deadline = now + exchange.timeout_s
        try:
            connection.send(group.asked.under(tid))
        except OSError as error:
            self._lost(error.strerror or str(error))

    def _readable(self) -> None:
        """Take what has come. All right answers of a group at once are the common case."""
        group = self._group
        if group is None and not self._left:
            super()._readable()
            return
        connection = self._socket
        nbytes = receive(connection, self._lost)
        if not nbytes:
            return
        if group is not None:
            if nbytes == group.size and not self._partial and self._is_answered(group):
                return
            self._await_each(group)
        start = 0 if self._partial else self._take_whole(nbytes)
        if start < nbytes and self._socket is connection:
            self._partial += VIEW[start:nbytes]
            self._cut()

    def _is_answered(self, group: Group) -> bool:
        """Whether the buffer holds the right answers of the whole group; they are taken then."""
        parts, tid = group.split(BUFFER), self._tid
        if b"".join(parts[::2]) != group.heads.under(tid):
            return False
        exchange = self._current
        assert exchange is not None
        exchange.answers += parts[1:-1:2]
        self._tid = tid + group.ids - STEP
        self._group, self._first, self._proven = None, _ALONE, True
        super()._answered(parts[-1])
        return True

    def _await_each(self, group: Group) -> None:
        """Expect the answers of the group one after the other."""
        self._group, tid = None, self._tid
        for request in group.requests:
            self._left.append((tid.to_bytes(2, "big") + request.head, request.size))
            tid += STEP
        self._expected, self._size = self._left.popleft()

    def _take_whole(self, nbytes: int) -> int:
        """Take the right answers at the start of the buffer; gives the bytes that they fill."""
        exchange, left, buffer = self._current, self._left, BUFFER
        assert exchange is not None
        expected, start, end = self._expected, 0, self._size
        taken, answers = len(left), exchange.answers
        while end <= nbytes and buffer.startswith(expected, start):
            answer = buffer[start + 9 : end]
            if not left:
                if end < nbytes:
                    break
                self._tid = (self._tid + STEP * taken) & 0xFFFF
                self._answered(answer)
                return end
            answers.append(answer)
            expected, size = left.popleft()
            start, end = end, end + size
        if start:
            self._tid = (self._tid + STEP * (taken - len(left))) & 0xFFFF
            self._expected, self._size = expected, end - start
            if not may_follow(VIEW[start:nbytes], expected[6]):
                answers.pop()
                self._fail(ProtocolError("protocol_error:length", TWICE))
                return nbytes
            self._wait(exchange)
        return start

    def _answered(self, answer: Answer) -> None:
        exchange = self._current
        assert exchange is not None
        if self._first == _ALONE:
            if self._doubted and exchange.requests[0].unit in self._doubted:
                self._give_up("several requests at once had no answer, one has")
        elif isinstance(answer, ExceptionResponseError) and answer.code in _BUSY:
            self._give_up(f"{answer} to several requests at once")
        if self._left:
            exchange.answers.append(answer)
            if exchange.failed and is_absence(answer):
                super()._fail(answer)  # a gateway would look for the unit once for each request
                return
            self._expected, self._size = self._left.popleft()
            self._tid = (self._tid + STEP) & 0xFFFF
            self._wait(exchange)
            return
        if self._first != _ALONE:
            self._first, self._proven = _ALONE, True
        super()._answered(answer)

    def _suspects(self, unit: int) -> bool:
        """Whether the unit said nothing when asked last: then only one request is risked."""
        return unit in self._doubted or unit in self.backoffs.units

    def _wait(self, exchange: Exchange) -> None:
        """Set the deadline of the next answer of a group."""
        now, patience_s = self._loop.time(), exchange.timeout_s
        if not self._proven:
            as_first_s = _AS_FIRST * (now - self._sent_at)
            patience_s = min(patience_s, max(FIRST_PATIENCE_S, as_first_s))
        self.deadline = now + patience_s

    def _strange(self, tid: int) -> None:
        places, between = divmod((tid - self._tid) & 0xFFFF, STEP)
        if not between and places <= len(self._left):
            raise ProtocolError("protocol_error:tid", f"answer to {tid} before that to {self._tid}")
        super()._strange(tid)

    # What a failure says of the meter

    def _lost(self, reason: str) -> None:
        exchange = self._current
        if exchange is not None and self._first != _ALONE:
            if len(exchange.answers) > self._first:
                self._fail(LinkError("connection_reset", reason))
                return
            if not self._proven:
                self._doubted.add(exchange.requests[0].unit)
        super()._lost(reason)

    def _fail(self, error: MeterError) -> None:
        exchange = self._current
        if exchange is None:
            super()._fail(error)
        elif self._first == _ALONE:
            # It does not answer one request either: it is off, or was.
            self._doubted.discard(exchange.requests[0].unit)
            super()._fail(error)
        elif len(exchange.answers) > self._first or isinstance(error, ProtocolError):
            self._give_up(str(error))
            self._ask_on_new_connection(exchange)
        else:
            self._doubted.add(exchange.requests[0].unit)
            super()._fail(error)

    def _give_up(self, why: str) -> None:
        self._doubted.clear()
        if self.pipeline == 1:
            return
        self.pipeline = 1
        said = "from now on"
        if self._proven:
            now = self._loop.time()
            if now > self._back_at + self._pause_s:
                self._pause_s = _SHORTEST_PAUSE_S
            said = f"for {self._pause_s:,.0f} s"
            self._again_at = now + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        log.warning(
            f"meter does not take several requests at once, asked one at a time {said}",
            extra={"host": self.dial.host, "port": self.dial.port, "found": why},
        )

    def _tries_again(self) -> bool:
        """Whether the pause is over of a meter that could take several."""
        now = self._loop.time()
        if now < self._again_at:
            return False
        self.pipeline, self._again_at, self._back_at = self.settings.pipeline, math.inf, now
        return True

    def _drop_connection(self) -> None:
        if self._group is not None:
            self._await_each(self._group)
        self._first = _ALONE
        self._tid = (
            self._tid + STEP * len(self._left)
        ) & 0xFFFF  # ids that were used are not used again
        self._left.clear()
        super()._drop_connection()
