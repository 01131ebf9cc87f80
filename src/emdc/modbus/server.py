"""A Modbus listener that answers from a callback: what the simulator and the tests listen with.

The callback decides what a meter says; this module decides what is a request at all, and keeps a
client's pipelined requests in order. It is fast for the reason the client is: all connections
receive into one buffer, and no task or timer exists for a request that is answered at once.
Rule to keep: only function codes 1 to 4 reach the callback, so nothing can ever be written here.
Source: Modbus Application Protocol V1.1b3, sections 6.1 to 6.4 and 7; Modbus Messaging on TCP/IP
Implementation Guide V1.0b, section 3.1.3.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final, TypeAlias

Answer: TypeAlias = Callable[[int, int, int, int], bytes | int]
"""(unit, function code, address, count) → the data bytes, or an exception code.

The count fits the function code and address + count is at most 65536. Bits are packed lowest first,
eight in a byte. The data is sent as it is, right length or not, so a test can play a bad meter.
"""

Stream: TypeAlias = Callable[[bytes | memoryview, Answer], tuple[bytes, int]]
"""What the requests in a stream are answered with, and how many of its bytes those take; -1: the
connection is to be closed."""

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
GATEWAY_NO_RESPONSE: Final = 0x0B

_MAX_COUNT: Final = {1: 2000, 2: 2000, 3: 125, 4: 125}
_HEADER: Final = Struct(">HHH")
_READ: Final = Struct(">HH")
_DATA: Final = Struct(">HHHBBB")

# A client that asks and never listens must not fill the memory: beyond this many delayed answers
# nothing more is read from it.
_MAX_DELAYED: Final = 256

# The loop fills the buffer and hands it over in one go, so all connections can share it.
_BUFFER: Final = bytearray(65536)
_VIEW: Final = memoryview(_BUFFER)


class Server:
    """A listener and its connections. Made by `serve`."""

    def __init__(self, answer: Answer, latency_s: float, stream: Stream) -> None:
        self.answer = answer
        self.stream = stream
        self.latency_s = latency_s
        """Seconds from a request to its answer."""
        self.port = 0
        """The TCP port, also when the system chose it."""
        self.connections: set[asyncio.Transport] = set()
        self.nobody = asyncio.Event()
        """Set while there is no connection."""
        self.nobody.set()
        self._listener: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Start to listen. Raises OSError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: _Connection(self), host, port)
        self.port = self._listener.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Stop listening and close every connection at once, as a meter that loses its power."""
        if self._listener is not None:
            self._listener.close()
        for transport in tuple(self.connections):
            transport.abort()

    async def wait_closed(self) -> None:
        """Return when the listener and its connections are gone."""
        if self._listener is not None:
            await self._listener.wait_closed()
        await self.nobody.wait()


async def serve(
    answer: Answer, host: str, port: int, *, latency_s: float = 0.0, stream: Stream | None = None
) -> Server:
    """A running server on `host` and `port` (0: a free one, see `Server.port`).

    It speaks Modbus TCP, or what `stream` says. Raises OSError when the address cannot be had.
    """
    server = Server(answer, latency_s, stream or answer_stream)
    await server.listen(host, port)
    return server


class _Connection(asyncio.BufferedProtocol):
    """One client. Answers leave in the order of their requests."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._rest = b""  # a frame that has not come whole
        self._delayed: deque[bytes] = deque()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._server.connections.add(transport)
        self._server.nobody.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self._transport)
        if not self._server.connections:
            self._server.nobody.set()
        self._delayed.clear()

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> bytearray:
        return _BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        data = self._rest + _VIEW[:nbytes] if self._rest else _VIEW[:nbytes]
        answers, used = self._server.stream(data, self._server.answer)
        if answers:
            self._send(answers)
        if used < 0:
            # Queued answers are still owed; those that latency holds back are not.
            self._transport.close()
        else:
            self._rest = bytes(data[used:])

    def _send(self, answers: bytes) -> None:
        if self._server.latency_s <= 0:
            self._transport.write(answers)
            return
        # Two timers of one instant may fire in any order, so each sends the oldest.
        self._delayed.append(answers)
        self._loop.call_later(self._server.latency_s, self._send_oldest)
        if len(self._delayed) == _MAX_DELAYED:
            self._transport.pause_reading()

    def _send_oldest(self) -> None:
        if not self._delayed:
            return
        if len(self._delayed) == _MAX_DELAYED:
            self._transport.resume_reading()
        self._transport.write(self._delayed.popleft())


def answer_stream(data: bytes | memoryview, answer: Answer) -> tuple[bytes, int]:
    """The answers to all whole requests in `data`, and how many bytes those took.

    -1 instead of the bytes: the header was none of Modbus TCP, the connection must be closed.
    """
    answers: list[bytes] = []
    position, end = 0, len(data)
    while end - position >= 6:
        transaction, protocol, length = _HEADER.unpack_from(data, position)
        if protocol or not 2 <= length <= 254:
            return b"".join(answers), -1
        after = position + 6 + length
        if after > end:
            break
        unit, function_code = data[position + 6], data[position + 7]
        reply = reply_to(unit, function_code, data[position + 8 : after], answer)
        if isinstance(reply, int):
            frame = _DATA.pack(transaction, 0, 3, unit, function_code | 0x80, reply)
        else:
            size = len(reply)
            frame = _DATA.pack(transaction, 0, size + 3, unit, function_code, size & 0xFF) + reply
        answers.append(frame)
        position = after
    return b"".join(answers), position


def reply_to(
    unit: int, function_code: int, fields: bytes | memoryview, answer: Answer
) -> bytes | int:
    """What the callback says, or the exception code of a request that it must not see."""
    limit = _MAX_COUNT.get(function_code)
    if limit is None:
        return ILLEGAL_FUNCTION
    if len(fields) != 4:
        return ILLEGAL_VALUE
    address, count = _READ.unpack(fields)
    if not 1 <= count <= limit:
        return ILLEGAL_VALUE
    if address + count > 65536:
        return ILLEGAL_ADDRESS
    return answer(unit, function_code, address, count)
