"""What a meter may say instead of the right answer, and what is to be made of it."""

from collections.abc import Callable

from tests import misbehaving
from tests.misbehaving import framed

Twist = Callable[[bytes], bytes]
"""From a request to what the meter sends instead of the right answer."""


def changed(place: int, value: int) -> Twist:
    """The right answer but for one byte."""

    def twist(request: bytes) -> bytes:
        answer = bytearray(misbehaving.right(request))
        assert answer[place] != value
        answer[place] = value
        return bytes(answer)

    return twist


def body(text: str) -> Twist:
    """A frame with the right transaction id around these bytes from the unit on."""
    return lambda request: framed(request[:2], bytes.fromhex(text))


def length(value: int) -> Twist:
    return lambda request: request[:4] + value.to_bytes(2) + misbehaving.right(request)[6:]


def moved(by: int) -> Twist:
    """The right answer under another transaction id."""
    return lambda request: (
        ((int.from_bytes(request[:2]) + by) & 0xFFFF).to_bytes(2) + misbehaving.right(request)[2:]
    )


WRONG: dict[str, tuple[Twist, str]] = {
    "transaction id 0": (changed(0, 0), "protocol_error:tid"),
    "the next transaction id": (moved(1), "protocol_error:tid"),
    "the last transaction id": (moved(-1), "protocol_error:tid"),
    "transaction id with swapped bytes": (
        lambda r: r[1::-1] + misbehaving.right(r)[2:],
        "protocol_error:tid",
    ),
    "protocol id 1": (changed(3, 1), "protocol_error:pid"),
    "protocol id 256": (changed(2, 1), "protocol_error:pid"),
    "length 0": (length(0), "protocol_error:length"),
    "length 1": (length(1), "protocol_error:length"),
    "length 2": (length(2), "protocol_error:length"),
    "length 255": (length(255), "protocol_error:length"),
    "length 65535": (length(65535), "protocol_error:length"),
    "length one short": (length(6), "protocol_error:length"),
    "length one long": (length(8), "protocol_error:length"),
    "unit 2": (changed(6, 2), "protocol_error:unit"),
    "unit 0": (changed(6, 0), "protocol_error:unit"),
    "unit 255": (changed(6, 255), "protocol_error:unit"),
    "function code 4": (changed(7, 4), "protocol_error:fc"),
    "function code 0": (changed(7, 0), "protocol_error:fc"),
    "function code 0x80": (changed(7, 0x80), "protocol_error:fc"),
    "function code 0x2B": (changed(7, 0x2B), "protocol_error:fc"),
    "function code 0xAB": (changed(7, 0xAB), "protocol_error:fc"),
    "an exception for function code 4": (body("01 84 02"), "protocol_error:fc"),
    "an exception of another unit": (body("02 83 02"), "protocol_error:unit"),
    "an exception without a code": (body("01 83"), "protocol_error:length"),
    "an exception with two codes": (body("01 83 02 02"), "protocol_error:length"),
    "one register instead of two": (body("01 03 02 0001"), "protocol_error:count"),
    "three registers instead of two": (body("01 03 06 0001 0002 0003"), "protocol_error:count"),
    "no register": (body("01 03 00"), "protocol_error:count"),
    "an odd byte count": (body("01 03 03 000102"), "protocol_error:count"),
    "a byte count of two registers and data of one": (
        body("01 03 04 0001"),
        "protocol_error:length",
    ),
    "a byte count of one register and data of two": (
        body("01 03 02 0001 0002"),
        "protocol_error:count",
    ),
    "a web page": (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", "protocol_error:pid"),
    "its own request": (lambda request: request, "protocol_error:count"),
    "its own request before the answer": (
        lambda request: request + misbehaving.right(request),
        "protocol_error:count",
    ),
    "a frame of a serial line": (
        lambda r: misbehaving.right(r)[6:] + misbehaving.crc(misbehaving.right(r)[6:]),
        "protocol_error:pid",
    ),
    "the greeting of Telnet": (
        lambda _: bytes.fromhex("FFFD18 FFFD20 FFFD23"),
        "protocol_error:pid",
    ),
}

BESIDE: dict[str, Twist] = {
    "twice": lambda r: misbehaving.right(r) * 2,
    "after the late one of the request before": lambda r: moved(-1)(r) + misbehaving.right(r),
    "before one that nobody asked for": lambda r: misbehaving.right(r) + moved(300)(r),
    "before one under the next id": lambda r: misbehaving.right(r) + moved(1)(r),
    "after one under id 0": lambda r: bytes(2) + misbehaving.right(r)[2:] + misbehaving.right(r),
    "between two others": lambda r: moved(-2)(r) + misbehaving.right(r) + moved(-1)(r),
}
