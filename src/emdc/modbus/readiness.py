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

log = logging.getLogger(__name__)


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
        self._epoll.register(connection.fileno(), select.EPOLLIN)

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
        for descriptor, _ in self._epoll.poll(0):
            reader = readers.get(descriptor)
            if reader is None:
                continue  # closed by an earlier reader of this turn
            try:
                reader()
            except Exception:
                log.exception("link failed")
