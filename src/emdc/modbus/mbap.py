"""The TCP header of Modbus, and the check of an answer that is not the expected one. Pure.

The link compares the expected bytes in one step; only what differs comes here, to be cut into
frames and named. A bad header means that the stream is lost: the caller closes the connection,
nobody searches for the next frame.
Source: Modbus Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3.
"""

from typing import Final

from emdc.errors import ExceptionResponseError, MeterError, ProtocolError
from emdc.modbus.pdu import Request

MAX_FRAME: Final = 260
"""Bytes of the longest frame: 7 of header and a PDU of 253."""

_HEADER: Final = 7


def frame_size(buffer: bytes | bytearray | memoryview) -> int | None:
    """Bytes of the frame that starts the buffer; None when its header is not complete.

    Raises ProtocolError when this is no Modbus TCP header.
    """
    if len(buffer) < _HEADER - 1:
        return None
    if buffer[2] or buffer[3]:
        raise ProtocolError(
            "protocol_error:pid",
            f"protocol id {buffer[2] << 8 | buffer[3]}, expected 0: not Modbus TCP?",
        )
    length = buffer[4] << 8 | buffer[5]
    if not 3 <= length <= MAX_FRAME - 6:
        raise ProtocolError(
            "protocol_error:length", f"length {length}, expected 3 to {MAX_FRAME - 6}"
        )
    return 6 + length


def cut(buffer: bytearray) -> bytearray | None:
    """The first frame, taken out of the buffer; None when it is not complete.

    Raises ProtocolError when the buffer starts with no Modbus TCP header.
    """
    size = frame_size(buffer)
    if size is None or len(buffer) < size:
        return None
    frame = buffer[:size]
    del buffer[:size]
    return frame


def may_follow(rest: bytes | bytearray | memoryview, unit: int) -> bool:
    """Whether what lies behind an answer of `unit`, as far as it has come, begins a frame of it.

    Of an answer that broke off and was sent anew the first bytes are right, and its last data
    lies behind its end.
    """
    return (
        not any(rest[2:5])
        and rest[6:7] in (b"", bytes([unit]))
        and (len(rest) < 8 or rest[7] & 0x7F in (1, 2, 3, 4))
    )


def judge(frame: bytes | bytearray | memoryview, request: Request) -> MeterError:
    """What is wrong with a frame that carries the right transaction id; its first 9 bytes will do.

    An ExceptionResponseError leaves the connection usable, a ProtocolError does not.
    """
    size, unit, code = 6 + (frame[4] << 8 | frame[5]), frame[6], frame[7]
    if unit != request.unit:
        return ProtocolError("protocol_error:unit", f"unit {unit}, asked {request.unit}")
    if code == request.function_code | 0x80:
        if size != 9:
            return ProtocolError(
                "protocol_error:length", f"exception answer of {size} bytes, expected 9"
            )
        return ExceptionResponseError(frame[8])
    if code != request.function_code:
        return ProtocolError(
            "protocol_error:fc", f"function code {code}, asked {request.function_code}"
        )
    field = "length" if frame[8] == request.head[-1] else "count"
    return ProtocolError(
        f"protocol_error:{field}",
        f"byte count {frame[8]} in {size} bytes, expected {request.head[-1]} in {request.size}",
    )
