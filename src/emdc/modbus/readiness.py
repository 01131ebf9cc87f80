"""Which sockets have bytes to read: one epoll for all links, inside the event loop's own.

An asyncio transport costs about as much as everything else that a request needs. The links' few
needs (twelve bytes out, one frame in) are served by plain sockets; the event loop watches this
epoll as one descriptor, so that it stays in charge of time, connecting and everything else.
Linux only.
"""

import asyncio
import logging
import select
import socket
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

# Edges, not levels: a level is looked at again after it was served, which costs as much as serving
# it. One read takes all that is there, as a reader's buffer is larger than any answer.
_EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET


class Readiness:
    """Calls a function for each socket that has bytes, or an end, to read."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._drain)

    def add(self, connection: socket.socket, reader: Callable[[], None]) -> None:
        """Call `reader` whenever the non-blocking `connection` can be read."""
        self._readers[connection.fileno()] = reader
        self._epoll.register(connection.fileno(), _EVENTS)

    def remove(self, connection: socket.socket) -> None:
        """Forget an open connection."""
        self._epoll.unregister(connection.fileno())
        del self._readers[connection.fileno()]

    def close(self) -> None:
        """Stop watching."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _drain(self) -> None:
        readers = self._readers
        for descriptor, events in self._epoll.poll(0):
            reader = readers.get(descriptor)
            if reader is None:
                continue  # closed by an earlier reader of this turn
            try:
                reader()
                if events & select.EPOLLRDHUP and readers.get(descriptor) is reader:
                    reader()  # the end that came with the last bytes
            except Exception:
                log.exception("link failed")
