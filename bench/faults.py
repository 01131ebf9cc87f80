"""What misbehaving meters send: a fault is a coroutine that answers one request in its own way.

Shares no code with EMDC. Whoever serves them decides what the registers hold, and is told of each
answer whether it is the right one; see truth_meters and peers_meters.
Source of the frames: Modbus Messaging on TCP/IP V1.0b, section 3.1; Application Protocol V1.1b3,
sections 6 and 7.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator, Mapping
from random import Random
from typing import NamedTuple, Protocol, TypeAlias

REQUEST = 12
"""Bytes of a request to read."""
HEADER = 9
"""Bytes of an answer before its data."""


class Asked(NamedTuple):
    """One request."""

    tid: int
    unit: int
    function: int
    address: int
    quantity: int
    number: int
    """Names it among all requests that a server had."""


class Registers(Protocol):
    """What a meter holds."""

    def __call__(self, asked: Asked, *, good: bool) -> bytes:
        """The bytes of the registers; `good`: they go into the right answer to `asked`."""


class Line:
    """One client's connection, seen from the meter."""

    def __init__(
        self,
        registers: Registers,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        timeout_s: float,
        chance: Random,
    ) -> None:
        self.registers = registers
        self.timeout_s = timeout_s
        """How long the client waits for an answer."""
        self.chance = chance
        self.before: Asked | None = None
        """The request before this one, on this connection."""
        self._reader = reader
        self._writer = writer

    async def request(self, numbers: Iterator[int]) -> Asked:
        """The next request, with the next number; EOFError or OSError when the client has gone."""
        tid, _, _, unit, function, address, quantity = struct.unpack(
            ">HHHBBHH", await self._reader.readexactly(REQUEST)
        )
        return Asked(tid, unit, function, address, quantity, next(numbers))

    async def send(self, *pieces: bytes, pause_s: float = 0.0) -> None:
        """Send each piece as a segment of its own."""
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(pause_s)

    async def silence(self) -> None:
        """Say nothing until the client goes."""
        while await self._reader.read(4096):
            pass

    def frame(
        self,
        asked: Asked,
        *,
        good: bool = False,
        tid: int | None = None,
        protocol: int = 0,
        length: int | None = None,
        unit: int | None = None,
        function: int | None = None,
        byte_count: int | None = None,
        data: bytes | None = None,
    ) -> bytes:
        """An answer to `asked`, right but for what is given here."""
        if data is None:
            data = self.registers(asked, good=good)
        return (
            struct.pack(
                ">HHHBBB",
                asked.tid if tid is None else tid & 0xFFFF,
                protocol,
                (3 + len(data) if length is None else length) & 0xFFFF,
                (asked.unit if unit is None else unit) & 0xFF,
                asked.function if function is None else function,
                (len(data) if byte_count is None else byte_count) & 0xFF,
            )
            + data
        )

    def right(self, asked: Asked) -> bytes:
        """The one right answer."""
        return self.frame(asked, good=True)

    def end(self) -> None:
        """Stop sending; what the client sends is still taken."""
        self._writer.write_eof()

    def close(self) -> None:
        """Close with a FIN."""
        self._writer.close()

    def reset(self) -> None:
        """Close with a RST."""
        link: socket.socket = self._writer.get_extra_info("socket")
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


Fault: TypeAlias = Callable[[Line, Asked], Awaitable[None]]
Greeting: TypeAlias = Callable[[Line], Awaitable[None]]
"""What a meter does to a connection before it is asked anything."""


async def right(line: Line, asked: Asked) -> None:
    """No fault."""
    await line.send(line.right(asked))


def changed(**fields: int | Callable[[Asked], int]) -> Fault:
    """One answer with other header fields, which `Line.frame` names."""

    async def fault(line: Line, asked: Asked) -> None:
        other = {name: of(asked) if callable(of) else of for name, of in fields.items()}
        await line.send(line.frame(asked, **other))  # type: ignore[arg-type]

    return fault


def exception(code: int) -> Fault:
    """The meter refuses."""

    async def fault(line: Line, asked: Asked) -> None:
        await line.send(_refusal(asked, asked.function, bytes([code])))

    return fault


def late(timeouts: float) -> Fault:
    """The right answer after so many time-outs of the client."""

    async def fault(line: Line, asked: Asked) -> None:
        await asyncio.sleep(timeouts * line.timeout_s)
        await right(line, asked)

    return fault


def shifted(*, first: int = 0, more: int = 0) -> Fault:
    """An answer that fits itself but has other registers than were asked for."""

    async def fault(line: Line, asked: Asked) -> None:
        address, quantity = asked.address + first, asked.quantity + more
        other = asked._replace(address=max(address, 0), quantity=max(quantity, 0))
        await line.send(line.frame(asked, data=line.registers(other, good=False)))

    return fault


def cut_data(bytes_more: int, *, honest: bool) -> Fault:
    """Data of another length; `honest`: the byte count says so."""

    async def fault(line: Line, asked: Asked) -> None:
        data = (line.registers(asked, good=False) + bytes(8))[: 2 * asked.quantity + bytes_more]
        count = len(data) if honest else 2 * asked.quantity
        await line.send(line.frame(asked, data=data, byte_count=count))

    return fault


def ahead(noise: bytes) -> Fault:
    """Something else in front of the right answer, in one segment."""

    async def fault(line: Line, asked: Asked) -> None:
        await line.send(noise + line.right(asked))

    return fault


def instead(noise: bytes) -> Fault:
    """Something that is no Modbus TCP."""

    async def fault(line: Line, asked: Asked) -> None:
        await line.send(noise)

    return fault


def _refusal(asked: Asked, function: int, code: bytes) -> bytes:
    size = 2 + len(code)
    return struct.pack(">HHHBB", asked.tid, 0, size, asked.unit, function | 0x80) + code


async def wrong_exception(line: Line, asked: Asked) -> None:
    """A refusal of another function than was asked for."""
    await line.send(_refusal(asked, 7 - asked.function, b"\x02"))


async def bare_exception(line: Line, asked: Asked) -> None:
    """A refusal without its code."""
    await line.send(_refusal(asked, asked.function, b""))


async def twice(line: Line, asked: Asked) -> None:
    """The answer and a copy of it in one segment."""
    await line.send(line.right(asked) + line.frame(asked))


async def twice_apart(line: Line, asked: Asked) -> None:
    """The copy comes a little later."""
    await line.send(line.right(asked), line.frame(asked), pause_s=line.timeout_s / 20)


async def old_ahead(line: Line, asked: Asked) -> None:
    """The answer before once more, in one segment with the right one."""
    old = line.frame(line.before) if line.before else b""
    await line.send(old + line.right(asked))


async def one_behind(line: Line, asked: Asked) -> None:
    """The answer to the request before, if there was one."""
    if line.before:
        await line.send(line.frame(line.before))


async def foreign(line: Line, asked: Asked) -> None:
    """The answer to another client: its transaction, its registers."""
    other = asked._replace(address=asked.address + 4)
    await line.send(line.frame(other, tid=asked.tid + line.chance.randrange(1, 0x10000)))


async def bit_flipped(line: Line, asked: Asked) -> None:
    """One bit of the header is another one."""
    at, bit = divmod(line.chance.randrange(8 * HEADER), 8)
    sent = bytearray(line.frame(asked))
    sent[at] ^= 1 << bit
    await line.send(bytes(sent))


async def byte_by_byte(line: Line, asked: Asked) -> None:
    """The right answer in segments of one byte, all of it in less than the client's time-out."""
    answer = line.right(asked)
    await line.send(
        *(answer[at : at + 1] for at in range(len(answer))),
        pause_s=line.timeout_s / 3 / len(answer),
    )


async def in_two(line: Line, asked: Asked) -> None:
    """The right answer in two segments."""
    answer = line.right(asked)
    at = line.chance.randrange(1, len(answer))
    await line.send(answer[:at], answer[at:], pause_s=line.timeout_s / 20)


async def dripping(line: Line, asked: Asked) -> None:
    """The right answer, with less than a time-out between two bytes and many time-outs in all."""
    answer = line.right(asked)
    await line.send(
        *(answer[at : at + 1] for at in range(len(answer))), pause_s=0.6 * line.timeout_s
    )


async def babbling(line: Line, asked: Asked) -> None:
    """Noise without end."""
    while True:
        await line.send(line.chance.randbytes(1000))


async def echo(line: Line, asked: Asked) -> None:
    """The request comes back, then the answer."""
    sent = struct.pack(">HHHBBHH", asked.tid, 0, 6, *asked[1:5])
    await line.send(sent + line.right(asked))


async def rtu(line: Line, asked: Asked) -> None:
    """A frame of a serial line: no header, a check at its end."""
    body = line.frame(asked)[6:]
    await line.send(body + crc(body).to_bytes(2, "little"))


async def followed_by_noise(line: Line, asked: Asked) -> None:
    """The right answer, then bytes that belong to nothing."""
    await line.send(line.right(asked) + line.chance.randbytes(5))


async def unasked(line: Line, asked: Asked) -> None:
    """The right answer, then one that nobody asked for."""
    await line.send(line.right(asked), line.frame(asked, tid=asked.tid + 1))


async def half_and_closed(line: Line, asked: Asked) -> None:
    """The answer breaks off."""
    await line.send(_half(line.frame(asked)))
    line.close()


async def half_and_silent(line: Line, asked: Asked) -> None:
    """The answer breaks off and the connection stays."""
    await line.send(_half(line.frame(asked)))
    await line.silence()


async def half_and_whole(line: Line, asked: Asked) -> None:
    """The answer breaks off and begins anew."""
    await line.send(_half(line.frame(asked)) + line.right(asked))


async def closed(line: Line, asked: Asked) -> None:
    """A FIN in place of an answer."""
    line.close()


async def was_reset(line: Line, asked: Asked) -> None:
    """A RST in place of an answer."""
    line.reset()


async def silent(line: Line, asked: Asked) -> None:
    """Nothing, and nothing more on this connection."""
    await line.silence()


async def skipped(line: Line, asked: Asked) -> None:
    """Nothing, but the next request is answered."""


async def half_open(line: Line, asked: Asked) -> None:
    """The meter has stopped sending but does not close."""
    line.end()
    await line.silence()


async def right_and_closed(line: Line, asked: Asked) -> None:
    """A connection for each answer."""
    await right(line, asked)
    line.close()


async def right_and_reset(line: Line, asked: Asked) -> None:
    """The same, by a RST."""
    await right(line, asked)
    await asyncio.sleep(0.005)
    line.reset()


async def all_ones(line: Line, asked: Asked) -> None:
    """Every register says "no value"."""
    await line.send(line.frame(asked, data=b"\xff\xff" * asked.quantity))


def _half(frame: bytes) -> bytes:
    return frame[: HEADER + 3]


def crc(data: bytes) -> int:
    """The check of a serial frame. Source: Modbus over Serial Line V1.02, section 6.2.2."""
    register = 0xFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ 0xA001 if register & 1 else register >> 1
    return register


def _swapped(asked: Asked) -> int:
    swapped = asked.tid >> 8 | (asked.tid & 0xFF) << 8
    return swapped if swapped != asked.tid else swapped + 1


HTTP = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
TELNET = b"\xff\xfd\x01\xff\xfd\x1f\r\nlogin: "

ANSWERS: Mapping[str, Fault] = {
    "late, 0.9 of the time-out": late(0.9),
    "late, 1.1 time-outs": late(1.1),
    "late, 3 time-outs": late(3),
    "transaction id 0": changed(tid=lambda asked: 0 if asked.tid else 1),
    "transaction id with its bytes swapped": changed(tid=_swapped),
    "transaction id one too high": changed(tid=lambda asked: asked.tid + 1),
    "transaction id one too low": changed(tid=lambda asked: asked.tid - 1),
    "answer to another client": foreign,
    "answer to the request before": one_behind,
    "answer before once more, then the right one": old_ahead,
    "answer twice in one segment": twice,
    "answer twice, a little apart": twice_apart,
    "protocol id 1": changed(protocol=1),
    **{f"length {length}": changed(length=length) for length in (0, 1, 2, 255, 65535)},
    "length one too low": changed(length=lambda asked: 2 + 2 * asked.quantity),
    "length one too high": changed(length=lambda asked: 4 + 2 * asked.quantity),
    "unit 0": changed(unit=0),
    "unit 255": changed(unit=255),
    "another unit": changed(unit=lambda asked: asked.unit + 1),
    "function code 4 for 3, 3 for 4": changed(function=lambda asked: 7 - asked.function),
    **{
        f"function code 0x{code:02X}": changed(function=code)
        for code in (1, 0x10, 0x2B, 0x80, 0x90)
    },
    "a register less": shifted(more=-1),
    "a register more": shifted(more=1),
    "one register before, and one more": shifted(first=-1, more=1),
    "no registers": shifted(more=-125),
    "odd byte count": cut_data(-1, honest=True),
    "fewer data than the byte count": cut_data(-2, honest=False),
    "more data than the byte count": cut_data(2, honest=False),
    **{f"exception {code}": exception(code) for code in (0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 0xEE)},
    "exception of another function": wrong_exception,
    "exception without a code": bare_exception,
    "a bit of the header flipped": bit_flipped,
    "byte by byte": byte_by_byte,
    "in two segments": in_two,
    "dripping beyond the time-out": dripping,
    "noise without end": babbling,
    "noise in front": ahead(b"\x00\x8f\x13"),
    "noise behind": followed_by_noise,
    "an answer that nobody asked for behind": unasked,
    "echo of the request in front": echo,
    "frame of a serial line": rtu,
    "HTTP": instead(HTTP),
    "Telnet": instead(TELNET),
    "half, then closed": half_and_closed,
    "half, then silence": half_and_silent,
    "half, then the whole": half_and_whole,
    "closed": closed,
    "reset": was_reset,
    "silence": silent,
    "no answer to this one": skipped,
    "half open": half_open,
    "right, then closed": right_and_closed,
    "right, then reset": right_and_reset,
    "all ones": all_ones,
}


async def _closed_at_once(line: Line) -> None:
    line.close()


async def _reset_at_once(line: Line) -> None:
    line.reset()


async def _mute(line: Line) -> None:
    await line.silence()


async def _speaks_first(line: Line) -> None:
    await line.send(line.frame(Asked(line.chance.randrange(0x10000), 1, 3, 0, 16, -1)))


async def _banner(line: Line) -> None:
    await line.send(TELNET)


GREETINGS: Mapping[str, Greeting] = {
    "accepts and closes": _closed_at_once,
    "accepts and resets": _reset_at_once,
    "accepts and is mute": _mute,
    "an answer before any request": _speaks_first,
    "a banner before any request": _banner,
}
