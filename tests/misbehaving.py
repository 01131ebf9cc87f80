"""A scripted meter: a real TCP listener whose every byte a test decides.

A script is a coroutine that talks to one connection; when it ends the connection is closed. A
register holds a number made of its unit and address, so that an answer shows what it is.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from struct import pack
from typing import TypeAlias


class Connection:
    """One client's connection, seen from the meter."""

    def __init__(
        self, meter: "Meter", reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = meter.connections
        """1 for the first connection that the meter ever had."""
        self._meter = meter
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """The next request; raises EOFError or ConnectionError when the client has gone."""
        request = await self._reader.readexactly(12)
        self._meter.requests.append(request)
        return request

    async def exactly(self, size: int) -> bytes:
        """The next bytes, where requests are not those of Modbus TCP."""
        request = await self._reader.readexactly(size)
        self._meter.requests.append(request)
        return request

    async def requests(self) -> list[bytes]:
        """The next requests, all that came in one segment."""
        first = await self.request()
        rest = bytes(self._reader._buffer)  # type: ignore[attr-defined]
        return [first, *[await self.request() for _ in range(len(rest) // 12)]]

    async def send(self, data: bytes) -> None:
        """Send in one segment."""
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> None:
        """Take one request and answer it right."""
        await self.send(right(await self.request()))

    async def answer_all(self) -> None:
        """Be a good meter until the client goes."""
        while True:
            await self.answer()

    async def silent(self) -> None:
        """Say nothing until the client goes."""
        while await self._reader.read(4096):
            pass

    @property
    def is_closed(self) -> bool:
        """Either side has ended it."""
        return self._reader.at_eof() or self._writer.is_closing()

    def close(self) -> None:
        """Close with a FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Close with a RST."""
        link: socket.socket = self._writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, pack("ii", 1, 0))
        self._writer.transport.abort()


Script: TypeAlias = Callable[[Connection], Awaitable[None]]


class Meter:
    """A listener that runs its script for each connection. Made by `meter`."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.host, self.port = "127.0.0.1", 0
        self.requests: list[bytes] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0
        """Connections that were open at the same time, at most."""
        self.tasks: set[asyncio.Task[None]] = set()

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.ensure_future(self._talk(Connection(self, reader, writer), writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def drop(self) -> None:
        """End every connection, as a meter that is started anew."""
        for task in self.tasks:
            task.cancel()

    async def _talk(self, connection: Connection, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            with suppress(EOFError, ConnectionError):
                await self.script(connection)
        finally:
            self.open -= 1
            writer.close()


@asynccontextmanager
async def meter(script: Script, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Meter]:
    """A listening meter on a free port."""
    subject = Meter(script)
    server = await asyncio.start_server(subject.connected, host, port)
    subject.host, subject.port = host, server.sockets[0].getsockname()[1]
    try:
        yield subject
    finally:
        server.close()
        tasks = tuple(subject.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def data(unit: int, address: int, count: int) -> bytes:
    """The registers of a meter, as its answer holds them."""
    return b"".join(
        ((a * 7 + unit * 4099) & 0xFFFF).to_bytes(2) for a in range(address, address + count)
    )


def right(request: bytes) -> bytes:
    """The right answer to a read of registers."""
    address, count = int.from_bytes(request[8:10]), int.from_bytes(request[10:12])
    return framed(request[:2], request[6:8] + bytes([2 * count]) + data(request[6], address, count))


def framed(tid: bytes, body: bytes) -> bytes:
    """Unit and PDU with their TCP header."""
    return tid + bytes(2) + len(body).to_bytes(2) + body


def crc(frame: bytes) -> bytes:
    """The check of a serial frame, low byte first. Modbus over Serial Line V1.02, section 6.2.2."""
    register = 0xFFFF
    for byte in frame:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0xA001 if register & 1 else 0)
    return register.to_bytes(2, "little")


async def good(connection: Connection) -> None:
    """The script of a meter without fault."""
    await connection.answer_all()
