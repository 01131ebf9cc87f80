"""What meters on a line say, and scripts that say it over TCP."""

from collections.abc import Callable

from emdc.modbus import LinkSettings
from emdc.modbus.rtu import framed
from tests import misbehaving
from tests.misbehaving import Connection

RTU = LinkSettings(rtu=True)
Twist = Callable[[bytes], bytes]


def right_frame(request: bytes) -> bytes:
    """The right answer to a read of registers."""
    unit, code, count = request[0], request[1], int.from_bytes(request[4:6])
    data = misbehaving.data(unit, int.from_bytes(request[2:4]), count)
    return framed(bytes([unit, code, 2 * count]) + data)


async def asked(connection: Connection) -> bytes:
    """The next request, whose checksum is right."""
    request = await connection.exactly(8)
    assert framed(request[:6]) == request
    return request


async def answer_all(connection: Connection) -> None:
    """The script of a line without fault."""
    while True:
        await connection.send(right_frame(await asked(connection)))


def body(text: str) -> Twist:
    """A frame with a right checksum around these bytes."""
    return lambda _: framed(bytes.fromhex(text))


def changed(place: int) -> Twist:
    """The right answer with one byte spoilt."""

    def twist(request: bytes) -> bytes:
        answer = bytearray(right_frame(request))
        answer[place] ^= 0x10
        return bytes(answer)

    return twist


WRONG: dict[str, tuple[Twist, str]] = {
    "the start of a longer answer": (lambda _: b"\1\3\x3cabcd", "protocol_error:count"),
    "wrong checksum": (changed(-1), "protocol_error:crc"),
    "checksum with exchanged bytes": (
        lambda r: right_frame(r)[:-2] + right_frame(r)[:-3:-1],
        "protocol_error:crc",
    ),
    "spoilt data": (changed(4), "protocol_error:crc"),
    "unit 2": (body("02 03 04 0001 0002"), "protocol_error:unit"),
    "an exception of unit 2": (body("02 83 02"), "protocol_error:unit"),
    "function code 4": (body("01 04 04 0001 0002"), "protocol_error:fc"),
    "an exception for function code 4": (body("01 84 02"), "protocol_error:fc"),
    "function code 6": (body("01 06 0000 0001"), "protocol_error:fc"),
    "one register": (body("01 03 02 0001"), "protocol_error:count"),
    "three registers": (body("01 03 06 0001 0002 0003"), "protocol_error:count"),
    "its own request": (lambda request: request, "protocol_error:crc"),
    "Modbus TCP": (
        lambda _: misbehaving.framed(b"\0\1", b"\1\3\4abcd"),
        "protocol_error:crc",
    ),
    "a byte before it": (lambda r: b"\0" + right_frame(r), "protocol_error:crc"),
    "a web page": (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol_error:fc"),
    "all ones": (lambda _: b"\xff" * 300, "protocol_error:crc"),
    "nothing": (lambda _: b"", "read_timeout"),
    "half of it": (lambda r: right_frame(r)[:5], "read_timeout"),
}
