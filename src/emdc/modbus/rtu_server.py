"""The answers to RTU frames, as `server` gives those to Modbus TCP's.

Source: Modbus over Serial Line V1.02, sections 2.4.1, 2.5.1 and 2.6.2.
"""

from typing import Final

from emdc.modbus.rtu import QUESTION_SIZE, crc, framed
from emdc.modbus.server import Answer, reply_to

_BROADCAST: Final = 0


def answer_rtu_stream(data: bytes | memoryview, answer: Answer) -> tuple[bytes, int]:
    """The answers to all whole requests in `data`, and how many bytes those took.

    What is no request to read is thrown away with all that came with it: where the next frame
    begins, only silence would tell. Nobody answers a broadcast.
    """
    answers: list[bytes] = []
    position = 0
    while len(data) - position >= QUESTION_SIZE:
        frame = bytes(data[position : position + QUESTION_SIZE])
        if crc(frame[:-2]) != frame[-2:]:
            return b"".join(answers), len(data)
        position += QUESTION_SIZE
        if frame[0] != _BROADCAST:
            answers.append(framed(frame[:1] + _said(frame, answer)))
    return b"".join(answers), position


def _said(frame: bytes, answer: Answer) -> bytes:
    """The PDU that answers a request."""
    reply = reply_to(frame[0], frame[1], frame[2:6], answer)
    if isinstance(reply, int):
        return bytes([frame[1] | 0x80, reply])
    return bytes([frame[1], len(reply) & 0xFF]) + reply
