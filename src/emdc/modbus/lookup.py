"""Looking up the address of a meter's name, which may take half a minute and cannot be cut short.

A lookup runs in a thread that nothing waits for, not even the end of the program. Who gives up
leaves it running: the next attempt takes what it finds, so a slow name costs one lookup at a time.
"""

import asyncio
import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

Place: TypeAlias = tuple[int, tuple[Any, ...]]
"""Address family, and the address as `socket` takes it."""

MOST_THREADS: Final = 64
"""Slow names beyond these wait for one another."""


class Lookup:
    """Finds the addresses of one meter, anew for each connection: names may move."""

    def __init__(self) -> None:
        self._running: asyncio.Future[list[Place] | Exception] | None = None
        self._before: asyncio.Future[list[Place] | Exception] | None = None  # forgotten

    async def places(self, host: str, port: int) -> list[Place]:
        """All addresses, in the system's order; raises socket.gaierror or UnicodeError."""
        with suppress(socket.gaierror):
            return _found(host, port, socket.AI_NUMERICHOST)  # a number needs no lookup
        if self._running is None or _has_failed(self._running):
            self._running = _begin(host, port)
        found = await asyncio.shield(self._running)
        self._running = None
        if isinstance(found, Exception):
            raise found
        return found

    def forget(self) -> None:
        """Look up anew next time, as this one may hang for ever; two at most do."""
        if self._before is None or self._before.done():
            self._before, self._running = self._running, None


def _has_failed(lookup: asyncio.Future[list[Place] | Exception]) -> bool:
    """Whether it failed after its caller had gone: by now another may do better."""
    return lookup.done() and isinstance(lookup.result(), Exception)


def _begin(host: str, port: int) -> asyncio.Future[list[Place] | Exception]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[list[Place] | Exception] = loop.create_future()

    def look_up() -> None:
        found: list[Place] | Exception
        try:
            found = _found(host, port)
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            found = error
        with suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(future.set_result, found)

    _THREADS.run(look_up)
    return future


def _found(host: str, port: int, flags: int = 0) -> list[Place]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


class _Threads:
    """At most MOST_THREADS threads, each of which ends when there is nothing to do.

    Not the loop's executor: that one is waited for at the end of the program.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], None]] = deque()
        self._running = 0

    def run(self, job: Callable[[], None]) -> None:
        with self._lock:
            self._waiting.append(job)
            if self._running == MOST_THREADS:
                return
            self._running += 1
        threading.Thread(target=self._work, name="lookup", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running -= 1
                    return
                job = self._waiting.popleft()
            job()


_THREADS: Final = _Threads()
