"""A meter with a fault that comes and goes: what it does to a request, and how that is to end."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.misbehaving import Connection, crc, framed, right
from tests.modbus.twists import Twist, body, changed, moved

Act = Callable[[Connection, bytes], Awaitable[None]]
"""What the meter does with a request; EOFError closes the connection."""


@dataclass
class Faulty:
    """A script: does `act` with each request while it is `ill`, else it is a good meter."""

    act: Act
    greeting: bytes = b""
    """Sent on each new connection while it is ill."""
    ill: bool = False

    async def __call__(self, connection: Connection) -> None:
        """Be this meter on one connection."""
        if self.ill and self.greeting:
            await connection.send(self.greeting)
        while True:
            request = await connection.request()
            if self.ill:
                await self.act(connection, request)
            else:
                await connection.send(right(request))


def says(twist: Twist) -> Act:
    async def act(connection: Connection, request: bytes) -> None:
        await connection.send(twist(request))

    return act


def refuses(code: int) -> Act:
    return says(lambda request: framed(request[:2], bytes([request[6], request[7] | 0x80, code])))


def late(by_s: float) -> Act:
    async def act(connection: Connection, request: bytes) -> None:
        await asyncio.sleep(by_s)
        await connection.send(right(request))

    return act


def drips(pause_s: float) -> Act:
    async def act(connection: Connection, request: bytes) -> None:
        for byte in right(request):
            await connection.send(bytes([byte]))
            await asyncio.sleep(pause_s)

    return act


async def says_nothing(_connection: Connection, _request: bytes) -> None:
    return


async def closes(_connection: Connection, _request: bytes) -> None:
    raise EOFError


async def resets(connection: Connection, _request: bytes) -> None:
    connection.reset()


async def answers_and_closes(connection: Connection, request: bytes) -> None:
    await connection.send(right(request))
    raise EOFError


async def breaks_off(connection: Connection, request: bytes) -> None:
    await connection.send(right(request)[:8])
    raise EOFError


async def floods(connection: Connection, _request: bytes) -> None:
    for _ in range(100):
        await connection.send(b"\xff" * 65536)


TIMEOUT_S = 3
"""That of the meters in `tests.collector.plant`."""

FAULTS: dict[str, tuple[Faulty, set[str]]] = {
    # what no reading suffers from
    "answers late, but in time": (Faulty(late(1)), set()),
    "sends each byte alone": (Faulty(drips(0.01)), set()),
    "answers twice": (Faulty(says(lambda r: right(r) * 2)), set()),
    "repeats the answer before": (Faulty(says(lambda r: moved(-1)(r) + right(r))), set()),
    "answers and closes": (Faulty(answers_and_closes), set()),
    # what ends at the deadline
    "answers too late": (Faulty(late(1.1 * TIMEOUT_S)), {"read_timeout"}),
    "answers much too late": (Faulty(late(3 * TIMEOUT_S)), {"read_timeout"}),
    "says nothing": (Faulty(says_nothing), {"read_timeout"}),
    "says half and no more": (Faulty(says(lambda r: right(r)[:8])), {"read_timeout"}),
    "sends a byte a second": (Faulty(drips(1)), {"read_timeout"}),
    # what ends the connection
    "closes instead of answering": (Faulty(closes), {"connection_reset"}),
    "resets instead of answering": (Faulty(resets), {"connection_reset"}),
    "breaks off in an answer": (Faulty(breaks_off), {"connection_reset"}),
    "answers under id 0": (Faulty(says(lambda r: bytes(2) + right(r)[2:])), {"protocol_error:tid"}),
    "answers under another id": (Faulty(says(moved(1))), {"protocol_error:tid"}),
    "speaks another protocol": (Faulty(says(changed(3, 1))), {"protocol_error:pid"}),
    "answers for another unit": (Faulty(says(changed(6, 9))), {"protocol_error:unit"}),
    "answers with another function": (Faulty(says(changed(7, 4))), {"protocol_error:fc"}),
    "sends no register": (Faulty(says(body("01 03 00"))), {"protocol_error:count"}),
    "sends one register": (Faulty(says(body("01 03 02 0001"))), {"protocol_error:count"}),
    "sends its request back": (Faulty(says(lambda r: r)), {"protocol_error:count"}),
    "sends its request back first": (
        Faulty(says(lambda r: r + right(r))),
        {"protocol_error:count"},
    ),
    "is a web page": (Faulty(says(lambda _: b"HTTP/1.0 400\r\n\r\n")), {"protocol_error:pid"}),
    "speaks RTU": (
        Faulty(says(lambda r: right(r)[6:] + crc(right(r)[6:]))),
        {"protocol_error:pid"},
    ),
    "floods with garbage": (Faulty(floods), {"protocol_error:pid"}),
    "greets like Telnet": (
        Faulty(says(right), greeting=b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23"),
        {"protocol_error:pid"},
    ),
    # what leaves the connection as it is
    **{
        f"refuses with {code}": (Faulty(refuses(code)), {f"exception:{code}"})
        for code in (0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 0xEE)
    },
}
"""By what the meter does: the script, and the reasons of the gaps that this leaves."""
