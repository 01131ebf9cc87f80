"""What a client of Modbus may make of the bytes that it gets, from the specification alone.

Shares no code with EMDC: `bench.fuzz` asks here whether what EMDC made of them was allowed.
Sources: Modbus Application Protocol V1.1b3, sections 4.1, 6.1 to 6.4 and 7; Modbus Messaging on
TCP/IP Implementation Guide V1.0b, section 3.1.3; Modbus over Serial Line V1.02, sections 2.3, 6.2.
"""

from typing import NamedTuple


class Asked(NamedTuple):
    """One request as it was on the wire."""

    tid: int
    """0 on a line, which has none."""
    unit: int
    function: int
    address: int
    quantity: int


class Said(NamedTuple):
    """What one frame says to one request: data, or an exception code."""

    data: bytes | None
    code: int | None


def asked_tcp(adu: bytes) -> list[Asked]:
    """The requests in what a client has sent."""
    found = []
    for at in range(0, len(adu), 12):
        tid, rest = int.from_bytes(adu[at : at + 2], "big"), adu[at + 2 : at + 12]
        if rest[:4] != bytes.fromhex("0000 0006") or len(rest) != 10:
            raise ValueError(f"no request to read: {adu.hex(' ')}")
        found.append(Asked(tid, *_fields(rest[4:])))
    return found


def asked_rtu(adu: bytes) -> list[Asked]:
    """The request in what a client has sent on a line."""
    if len(adu) != 8 or checksum(adu[:6]) != adu[6:]:
        raise ValueError(f"no request to read: {adu.hex(' ')}")
    return [Asked(0, *_fields(adu[:6]))]


def _fields(body: bytes) -> tuple[int, int, int, int]:
    if body[1] not in (1, 2, 3, 4):
        raise ValueError(f"function code {body[1]} does not read")
    return body[0], body[1], body[2] * 256 + body[3], body[4] * 256 + body[5]


def checksum(frame: bytes) -> bytes:
    """CRC-16 of a serial frame, low byte first."""
    crc = 0xFFFF
    for byte in frame:
        crc = crc >> 8 ^ _SHIFTED[crc & 0xFF ^ byte]
    return bytes([crc & 0xFF, crc >> 8])


def _shifted(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0xA001 if byte & 1 else 0)
    return byte


_SHIFTED = [_shifted(byte) for byte in range(256)]


def data_bytes(asked: Asked) -> int:
    """How many bytes of data the answer must hold."""
    if asked.function <= 2:
        return asked.quantity // 8 + (asked.quantity % 8 > 0)
    return asked.quantity * 2


def said(asked: Asked, body: bytes) -> Said | None:
    """What unit and PDU say to a request; None: this is no answer to it."""
    if len(body) < 3 or body[0] != asked.unit:
        return None
    if body[1] == asked.function + 128:
        return Said(None, body[2]) if len(body) == 3 else None
    size = data_bytes(asked)
    if body[1] != asked.function or body[2] != size or len(body) != 3 + size:
        return None
    return Said(body[3:], None)


class Stream:
    """What a meter has sent on one connection of Modbus TCP, cut into frames as it comes."""

    def __init__(self) -> None:
        self._rest = b""
        self._lost = False  # a header was none: what follows is not to be understood any more
        self._frames: list[tuple[int, bytes]] = []

    def feed(self, data: bytes) -> None:
        """Take what was sent."""
        self._rest += data
        while not self._lost and len(self._rest) >= 6:
            length = self._rest[4] * 256 + self._rest[5]
            if self._rest[2] or self._rest[3] or length < 3 or length > 254:
                self._lost = True
            elif len(self._rest) < 6 + length:
                return
            else:
                tid = self._rest[0] * 256 + self._rest[1]
                self._frames.append((tid, self._rest[6 : 6 + length]))
                self._rest = self._rest[6 + length :]

    @property
    def broken(self) -> bool:
        """The next byte starts no frame."""
        return self._lost or bool(self._rest)

    def noisy(self, asked: Asked, since: int) -> bool:
        """Whether something came, from a mark on, that is no frame of the unit that was asked."""
        bodies = [body for _, body in self._frames[since:]]
        return self.broken or any(
            body[0] != asked.unit or body[1] % 128 not in range(1, 5) for body in bodies
        )

    def mark(self) -> int:
        """Where the stream stands."""
        return len(self._frames)

    def said(self, asked: Asked, since: int) -> list[Said | None]:
        """What each frame with its id, from a mark on, says to a request."""
        return [said(asked, body) for tid, body in self._frames[since:] if tid == asked.tid]


class AnyIdStream(Stream):
    """The same for a meter whose transaction ids do not count."""

    def said(self, asked: Asked, since: int) -> list[Said | None]:
        """What each frame from a mark on says to a request."""
        return [said(asked, body) for _, body in self._frames[since:]]


class LineStream:
    """What a meter has sent in RTU frames. Where one begins only the silence before it tells."""

    broken = False

    def __init__(self) -> None:
        self._bytes = b""

    def feed(self, data: bytes) -> None:
        """Take what was sent."""
        self._bytes += data

    def noisy(self, _asked: Asked, _since: int) -> bool:
        """Never known of a line."""
        return False

    def mark(self) -> int:
        """Where the stream stands."""
        return len(self._bytes)

    def said(self, asked: Asked, since: int) -> list[Said | None]:
        """What the bytes from each place after a mark on say to a request."""
        sent, found = self._bytes[since:], list[Said | None]()
        for at in range(len(sent) - 4):
            for size in (3, 3 + data_bytes(asked)):
                body = sent[at : at + size]
                one = said(asked, body)
                whole = one and checksum(body) == sent[at + size : at + size + 2]
                found += [one if whole else None] * (not at or bool(whole))
        return found
