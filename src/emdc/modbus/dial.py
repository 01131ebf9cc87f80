"""Opening the connection to one meter: resolve, claim, connect; every failure has a name."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

from emdc.errors import LinkError
from emdc.modbus.claim import Claim, claim, holder_of

log = logging.getLogger(__name__)


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
                family, address = await self._resolve()
                await self._hold(address[0])
                return await _connected(family, address)
        except LinkError:
            raise
        except TimeoutError as error:
            raise LinkError("connect_timeout", f"{self.host}:{self.port}") from error
        except socket.gaierror as error:
            raise LinkError("dns_failure", f"{self.host}: {error.strerror}") from error
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

    async def _resolve(self) -> tuple[int, tuple[Any, ...]]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        return found[0][0], found[0][4]

    async def _hold(self, address: str) -> None:
        if self._claimed == address:
            return
        granted = claim(address, self.port, self._holder())
        if granted is None:
            self.held_by = await holder_of(address, self.port)
            raise LinkError("meter_held", self.held_by)
        self.release()
        self._claim, self._claimed, self.held_by = granted, address, ""


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
