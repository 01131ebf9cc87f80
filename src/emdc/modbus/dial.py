"""Opening the connection to one meter: resolve, claim, connect; every failure has a name."""

import asyncio
import logging
import socket
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, TypeAlias

from emdc.errors import LinkError
from emdc.modbus.claim import Claim, claim, claim_name, holder_of

log = logging.getLogger(__name__)

_Place: TypeAlias = tuple[int, tuple[Any, ...]]
"""Address family, and the address as `socket` takes it."""

_RESET: Final = Struct("ii").pack(1, 0)
"""SO_LINGER on, for no time."""


class Dial:
    """Connects to one host and port, in one process at a time."""

    def __init__(self, host: str, port: int, *, holder: Callable[[], str]) -> None:
        self.host = host
        self.port = port
        self.held_by = ""
        """What the other process that holds this meter says of itself; empty when none does."""
        self._holder = holder
        self._claim: Claim | None = None
        self._claimed = ""

    async def connect(self, *, timeout_s: float) -> socket.socket:
        """A connected, non-blocking socket within `timeout_s`; raises LinkError."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._first_that_answers(await self._resolve())
        except LinkError:
            raise
        except TimeoutError as error:
            raise LinkError("connect_timeout", f"{self.host}:{self.port}") from error
        except (socket.gaierror, UnicodeError) as error:
            raise LinkError("dns_failure", f"{self.host}: {error}") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise LinkError("connect_refused", f"{self.host}:{self.port}: {reason}") from error
        except Exception as error:
            log.exception("link failed", extra={"host": self.host, "port": self.port})
            raise LinkError("internal_error", str(error)) from error

    def release(self) -> None:
        """Let another process read this meter."""
        if self._claim is not None:
            self._claim.close()
            self._claim, self._claimed = None, ""

    async def _resolve(self) -> list[_Place]:
        kind, loop = socket.SOCK_STREAM, asyncio.get_running_loop()
        try:
            # A number needs no resolver, whose few threads slow names may occupy.
            found = socket.getaddrinfo(self.host, self.port, type=kind, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            found = await loop.getaddrinfo(self.host, self.port, type=kind)
        return [(family, address) for family, _, _, _, address in found]

    async def _first_that_answers(self, places: list[_Place]) -> socket.socket:
        """A name may have several addresses: `localhost` is ::1 and 127.0.0.1."""
        for family, address in places[:-1]:
            try:
                await self._hold(str(address[0]))
                return await _connected(family, address)
            except OSError:
                continue
        family, address = places[-1]
        await self._hold(str(address[0]))
        return await _connected(family, address)

    async def _hold(self, address: str) -> None:
        name = claim_name(address, self.port)
        if self._claimed == name:
            return
        granted = claim(address, self.port, self._holder())
        if granted is None:
            self.held_by = await holder_of(address, self.port)
            raise LinkError("meter_held", self.held_by)
        self.release()
        self._claim, self._claimed, self.held_by = granted, name, ""


def hang_up(connection: socket.socket) -> None:
    """Close with a reset: a half-open meter would hold its one connection until it answers."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    connection.close()


async def _connected(family: int, address: tuple[Any, ...]) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        await asyncio.get_running_loop().sock_connect(connection, address)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except BaseException:
        connection.close()
        raise
    return connection
