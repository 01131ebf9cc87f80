"""Which sockets have bytes to read: one epoll for all links, inside the event loop's own.

An asyncio transport costs about as much as everything else that a request needs. The links' few
needs (twelve bytes out, one frame in) are served by plain sockets; the event loop watches this
epoll as one descriptor, so that it stays in charge of time, connecting and everything else.
Linux only.
"""

import asyncio
import logging
import select
from collections.abc import Callable, Sequence
from typing import Final, Protocol

log = logging.getLogger(__name__)

# Edges, not levels: a level is looked at again after it was served, which costs as much as serving
# it. One read takes all that is there, as a reader's buffer is larger than any answer; what a flood
# brings beyond it is read with the next bytes, or given up at the time-out.
_EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
_END: Final = select.EPOLLRDHUP | select.EPOLLHUP  # of a socket, of a serial line

_MOST_SERVED: Final = 128
"""Answers after which everything else has its turn: some milliseconds."""


class Connection(Protocol):
    """What a link needs of a socket or of a serial line; neither ever waits."""

    def fileno(self) -> int:
        """The descriptor that is watched."""

    def recv_into(self, buffer: bytearray, /) -> int:
        """Bytes that were taken, 0 at the end; raises BlockingIOError when there are none yet."""

    def send(self, data: bytes, /) -> int:
        """Bytes that were sent."""

    def close(self) -> None:
        """Give it back to the system."""


class Readiness:
    """Calls a function for each socket that has bytes, or an end, to read."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self.drain)

    def add(self, connection: Connection, reader: Callable[[], None]) -> None:
        """Call `reader` whenever the non-blocking `connection` can be read."""
        self._epoll.register(connection.fileno(), _EVENTS)
        self._readers[connection.fileno()] = reader

    def remove(self, connection: Connection) -> None:
        """Forget an open connection, known or not."""
        if self._readers.pop(connection.fileno(), None) is not None:
            self._epoll.unregister(connection.fileno())

    def close(self) -> None:
        """Stop watching."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def drain(self, most: int = _MOST_SERVED) -> None:
        """Serve what is ready now, and stop soon after `most` readers."""
        served = 0
        # Looking again costs a fifth of what a turn of the event loop does, and while some answers
        # were taken others have come.
        while served < most and not self._epoll.closed:
            ready = self._epoll.poll(0)
            if not ready:
                return
            served += len(ready)
            self._serve(ready)

    def _serve(self, ready: Sequence[tuple[int, int]]) -> None:
        readers = self._readers
        for descriptor, events in ready:
            reader = readers.get(descriptor)
            if reader is None:
                continue  # closed by an earlier reader of this turn
            try:
                reader()
                if events & _END and readers.get(descriptor) is reader:
                    reader()  # the end that came with the last bytes
            except Exception:
                log.exception("link failed")
