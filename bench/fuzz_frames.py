"""Frames that a meter may send by fault: right answers, changed in one to three ways."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

from bench.fuzz_spec import Asked, checksum, data_bytes

Change: TypeAlias = Callable[[Random, Asked, bytes], bytes]
"""(chance, request, what the meter would send) → what it sends."""

EDGES = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x7F, 0x80, 0x81, 0x83, 0x84, 0xAB, 0xFE, 0xFF)


def body(chance: Random, asked: Asked) -> bytes:
    """Unit and PDU of a right answer, with data that no other answer has."""
    size = min(data_bytes(asked), 250)
    return bytes([asked.unit, asked.function, size]) + chance.randbytes(size)


def tcp(tid: int, unit_and_pdu: bytes) -> bytes:
    """A frame of Modbus TCP."""
    return (
        (tid & 0xFFFF).to_bytes(2, "big")
        + bytes(2)
        + len(unit_and_pdu).to_bytes(2, "big")
        + unit_and_pdu
    )


def rtu(_tid: int, unit_and_pdu: bytes) -> bytes:
    """A frame of a serial line."""
    return unit_and_pdu + checksum(unit_and_pdu)


# Changes of bytes: they fit any transport.


def _flip(chance: Random, _asked: Asked, stream: bytes) -> bytes:
    if not stream:
        return stream
    at = chance.randrange(8 * len(stream))
    changed = bytearray(stream)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


def _set(chance: Random, _asked: Asked, stream: bytes) -> bytes:
    if not stream:
        return stream
    changed = bytearray(stream)
    # Mostly where the header is.
    at = chance.randrange(min(len(stream), chance.choice((10, 10, len(stream)))))
    changed[at] = chance.choice(EDGES)
    return bytes(changed)


def _cut_out(chance: Random, _asked: Asked, stream: bytes) -> bytes:
    first, last = sorted(chance.randrange(len(stream) + 1) for _ in range(2))
    return stream[:first] + stream[last:]


def _insert(chance: Random, _asked: Asked, stream: bytes) -> bytes:
    at = chance.randrange(len(stream) + 1)
    return stream[:at] + chance.randbytes(chance.choice((1, 2, 3, 9, 300))) + stream[at:]


def _truncate(chance: Random, _asked: Asked, stream: bytes) -> bytes:
    return stream[: chance.randrange(len(stream) + 1)]


def _double(_chance: Random, _asked: Asked, stream: bytes) -> bytes:
    return stream * 2


def _nothing(_chance: Random, _asked: Asked, _stream: bytes) -> bytes:
    return b""


def _noise(chance: Random, _asked: Asked, _stream: bytes) -> bytes:
    return chance.randbytes(chance.choice((1, 5, 6, 7, 9, 13, 259, 260, 261, 2000)))


BYTES: Sequence[Change] = (
    *(_flip, _flip, _set, _set, _cut_out, _insert, _truncate, _double, _nothing, _noise),
)


# Changes of meaning: whole frames that are right but for one thing.


def of_meaning(frame: Callable[[int, bytes], bytes]) -> Sequence[Change]:
    """The changes for a transport, whose frames `frame` makes of an id and unit with PDU."""

    def near(chance: Random, asked: Asked) -> Asked:
        """Another request, like this one but for one field."""
        place = chance.randrange(1, 5)
        fields = list(asked)
        top = (0, 256, 5, 65536, 126)[place]
        fields[place] = chance.choice(
            (chance.randrange(top), (fields[place] + chance.choice((-1, 1))) % top)
        )
        return Asked(*fields)

    def of_another(chance: Random, asked: Asked, _stream: bytes) -> bytes:
        return frame(asked.tid, body(chance, near(chance, asked)))

    def another_first(chance: Random, asked: Asked, stream: bytes) -> bytes:
        return frame(asked.tid, body(chance, near(chance, asked))) + stream

    def late(chance: Random, asked: Asked, stream: bytes) -> bytes:
        tid = asked.tid + chance.choice((-3, -2, -1, 1, 2, 256, chance.randrange(65536)))
        return frame(tid, body(chance, asked)) + chance.choice((stream, b""))

    def early(chance: Random, asked: Asked, stream: bytes) -> bytes:
        return stream + frame(asked.tid + 1, body(chance, asked))

    def exception(chance: Random, asked: Asked, _stream: bytes) -> bytes:
        function = chance.choice((asked.function, asked.function, 1, 2, 3, 4, 0, 0x2B)) | 0x80
        codes = bytes(chance.choice(EDGES) for _ in range(chance.choice((1, 1, 1, 0, 2))))
        unit = chance.choice((asked.unit, asked.unit, 0, 255))
        return frame(asked.tid, bytes([unit, function]) + codes)

    def miscounted(chance: Random, asked: Asked, _stream: bytes) -> bytes:
        right = body(chance, asked)
        data = right[3:] + chance.randbytes(4)
        kept = data[: max(0, len(right) - 3 + chance.choice((-4, -2, -1, 0, 1, 2, 4)))]
        count = chance.choice((len(kept), len(right) - 3, chance.randrange(256))) & 0xFF
        return frame(asked.tid, right[:2] + bytes([count]) + kept)

    def echo(chance: Random, asked: Asked, stream: bytes) -> bytes:
        fields = asked.address.to_bytes(2, "big") + asked.quantity.to_bytes(2, "big")
        request = frame(asked.tid, bytes([asked.unit, asked.function]) + fields)
        return request + chance.choice((stream, b""))

    return (of_another, another_first, late, early, exception, miscounted, echo)


class Meter:
    """Makes what is sent for a request; every twentieth time the plain right answer."""

    def __init__(self, chance: Random, frame: Callable[[int, bytes], bytes]) -> None:
        self._chance = chance
        self._frame = frame
        self._changes = (*BYTES, *of_meaning(frame))

    def right(self, asked: Asked) -> bytes:
        """The plain right answer."""
        return self._frame(asked.tid, body(self._chance, asked))

    def answer(self, asked: Asked) -> bytes:
        """What is sent."""
        stream = self.right(asked)
        for _ in range(self._chance.choice((0, *[1] * 10, *[2] * 6, *[3] * 3))):
            stream = self._chance.choice(self._changes)(self._chance, asked, stream)
        return stream

    def pieces(self, stream: bytes) -> list[bytes]:
        """The stream in one to four segments."""
        cuts = self._chance.choice((0, 0, 0, 1, 2, 3))
        ends = sorted(self._chance.randrange(len(stream) + 1) for _ in range(cuts))
        starts = [0, *ends]
        found = [stream[a:b] for a, b in zip(starts, [*ends, len(stream)], strict=True)]
        return [piece for piece in found if piece]
