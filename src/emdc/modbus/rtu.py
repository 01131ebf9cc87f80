"""RTU frames: unit, PDU and a checksum; how long one is, only its content tells. Pure.

There is no transaction id: a frame says neither which request it answers nor where it begins. So
nothing is searched for, and what is not the answer that was asked for ends the connection.
Source: Modbus over Serial Line V1.02, sections 2.5.1 and 6.2.2.
"""

from typing import Final

from emdc.errors import ExceptionResponseError, MeterError, ProtocolError
from emdc.modbus.pdu import Request

QUESTION_SIZE: Final = 8
EXCEPTION_SIZE: Final = 5
MAX_FRAME: Final = 260
"""Bytes of the longest frame that a byte count can announce."""


def _entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
    return byte


_TABLE: Final = tuple(map(_entry, range(256)))


def crc(data: bytes | bytearray | memoryview) -> bytes:
    """The two bytes that end a frame, the low one first."""
    value = 0xFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value.to_bytes(2, "little")


def framed(body: bytes) -> bytes:
    """Unit and PDU with their checksum."""
    return body + crc(body)


def question(request: Request) -> bytes:
    """The frame that asks it."""
    return framed(request.tail[4:])


def head(request: Request) -> bytes:
    """The first bytes of the right answer: unit, function code, byte count."""
    return request.head[4:]


def frame_size(buffer: bytes | bytearray | memoryview) -> int | None:
    """Bytes of the answer that starts the buffer; None when too little of it is there.

    Raises ProtocolError when this is no answer to a read.
    """
    if len(buffer) < 3:
        return None
    if buffer[1] & 0x80:
        return EXCEPTION_SIZE
    if not 1 <= buffer[1] <= 4:
        raise ProtocolError("protocol_error:fc", f"function code {buffer[1]}, expected 1 to 4")
    return 5 + buffer[2]


def cut(buffer: bytearray) -> bytearray | None:
    """The first frame, taken out of the buffer; None when it is not complete.

    Raises ProtocolError when it is no answer to a read, or not as its sender wrote it.
    """
    size = frame_size(buffer)
    if size is None or len(buffer) < size:
        return None
    frame = buffer[:size]
    del buffer[:size]
    if crc(frame[:-2]) != frame[-2:]:
        raise ProtocolError("protocol_error:crc", f"wrong checksum of {size} bytes")
    return frame


def cannot_be(start: bytearray, request: Request) -> bool:
    """Whether the first bytes of a frame of the right unit rule out every answer to `request`."""
    return (
        len(start) >= 3
        and start[0] == request.unit
        and start[1] != request.function_code | 0x80
        and not start.startswith(head(request))
    )


def judge(frame: bytes | bytearray, request: Request) -> MeterError:
    """What is wrong with the first bytes of a frame that cannot be the right answer."""
    code, asked = frame[1], request.function_code
    if code == asked | 0x80:
        return ExceptionResponseError(frame[2])
    if code != asked:
        return ProtocolError("protocol_error:fc", f"function code {code}, asked {asked}")
    return ProtocolError(
        "protocol_error:count", f"byte count {frame[2]}, expected {request.head[-1]}"
    )
