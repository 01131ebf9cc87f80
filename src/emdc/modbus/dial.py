"""Opening the connection to one meter: resolve, claim, connect; every failure has a name."""

import asyncio
import logging
import socket
from collections.abc import Callable
from struct import Struct
from typing import Any, Final

from emdc.errors import LinkError
from emdc.modbus.claim import Claim, claim, claim_name, holder_of
from emdc.modbus.lookup import Lookup, Place
from emdc.modbus.pace import Pace
from emdc.modbus.readiness import Connection
from emdc.place import place

log = logging.getLogger(__name__)

_RESET: Final = Struct("ii").pack(1, 0)
"""SO_LINGER on, for no time."""


class Dial:
    """Connects to one host and port, in one process at a time.

    `pace` is that of all connections of this process.
    """

    def __init__(self, host: str, port: int, *, holder: Callable[[], str], pace: Pace) -> None:
        self.host = host
        self.port = port
        self.held_by = ""
        """What the other process that holds this meter says of itself; empty when none does."""
        self.problem = ""
        """What was wrong with the last attempt, in words; empty when it went well."""
        self._holder = holder
        self._pace = pace
        self.reached = False
        """By the last attempt, and nothing has failed since."""
        self._lookup = Lookup()
        self._first = 0  # counts addresses that failed: the one to begin with
        self._claim: Claim | None = None
        self._claimed = ""

    async def connect(self, *, timeout_s: float) -> Connection:
        """A connected, non-blocking socket; raises LinkError.

        `timeout_s` begins with its turn, which only a meter that was not reached before waits for:
        one that closes after each answer is not to be held up.
        """
        if not self.reached and (wait_s := self._pace.turn(asyncio.get_running_loop().time())):
            await asyncio.sleep(wait_s)
        self.reached = False
        try:
            connection = await self._connect(timeout_s)
        except LinkError as error:
            self.problem = error.detail
            raise
        self.reached, self.problem = True, ""
        return connection

    def forget(self) -> None:
        """Begin the next attempt with nothing of those before: a lookup may hang for ever."""
        self._lookup.forget()
        self.reached = False

    def release(self) -> None:
        """Let another process read this meter."""
        if self._claim is not None:
            self._claim.close()
            self._claim, self._claimed = None, ""

    async def _connect(self, timeout_s: float) -> Connection:
        places: list[Place] = []
        try:
            async with asyncio.timeout(timeout_s):
                places = await self._lookup.places(self.host, self.port)
                return await self._first_that_answers(places)
        except LinkError:
            raise
        except TimeoutError as error:
            if not places:
                detail = f"{self.host}: not found within {timeout_s:g} s"
                raise LinkError("dns_failure", detail) from error
            raise LinkError("connect_timeout", place(self.host, self.port)) from error
        except (socket.gaierror, UnicodeError) as error:
            raise LinkError("dns_failure", f"{self.host}: {error}") from error
        except OSError as error:
            reason = error.strerror or str(error)
            where = place(self.host, self.port)
            raise LinkError("connect_refused", f"{where}: {reason}") from error
        except Exception as error:
            log.exception("link failed", extra={"host": self.host, "port": self.port})
            raise LinkError("internal_error", str(error)) from error

    async def _first_that_answers(self, places: list[Place]) -> socket.socket:
        """A name may have several addresses: `localhost` is ::1 and 127.0.0.1.

        One that does not answer uses up the time: the next attempt begins with the next one.
        """
        for tried in range(1, len(places) + 1):
            family, address = places[self._first % len(places)]
            await self._hold(str(address[0]))
            try:
                return await _connected(family, address)
            except (OSError, asyncio.CancelledError) as error:
                self._first += 1
                if tried == len(places) or not isinstance(error, OSError):
                    raise
        raise LinkError("dns_failure", f"{self.host}: no address")

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


def hang_up(connection: Connection) -> None:
    """Close with a reset: a half-open meter would hold its one connection until it answers."""
    if isinstance(connection, socket.socket):
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
