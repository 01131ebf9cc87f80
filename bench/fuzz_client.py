"""Asks with the real client and its sockets, answers with changed frames, compares what was taken.

The other end of each connection is held here; time passes only while nothing happens.
"""

import asyncio
import logging
import signal
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from bench import fuzz_frames, fuzz_spec
from bench.fuzz_spec import AnyIdStream, Asked, LineStream, Stream
from emdc.errors import ExceptionResponseError, MeterError
from emdc.modbus.backoff import is_absence
from emdc.modbus.dial import Dial
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.line import RtuLink
from emdc.modbus.link import NEVER, Link
from emdc.modbus.pace import Pace
from emdc.modbus.pdu import Request, read_request
from emdc.modbus.pipeline import PipelinedLink
from emdc.modbus.readiness import Readiness
from emdc.modbus.settings import LinkSettings
from emdc.modbus.tcp import TcpLink
from tests import virtual_time

PLANTED = 100
"""One accepted answer in so many is changed before it is compared."""
SEED = 20_260_301
PATIENCE_S = 0.0
"""Time-out of a request: its deadline passes whenever nothing more is to come."""
REST_S = 0.001
"""Of virtual time, for a client that pauses."""
TURNS = 200
"""Turns of the loop after which a request that was not sent, or an answer not taken, hangs."""
CHUNK = 5_000
CHUNK_S = 120


@dataclass
class Tally:
    """What became of the frames."""

    frames: int = 0
    taken: int = 0
    exceptions: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Right answers that were not taken."""
    hung: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    planted: int = 0
    found: int = 0


class _Crashes(logging.Handler):
    """Keeps what the client logs as its own fault."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(logging.ERROR)
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        self._tally.crashed.append(f"{record.getMessage()}: {record.exc_info}")


class Pair(Dial):
    """Connects to this process: `peer` is the meter's end."""

    peer: socket.socket | None = None

    def __init__(self) -> None:
        super().__init__("fuzz", 502, holder=str, pace=Pace())

    async def connect(self, *, timeout_s: float) -> socket.socket:
        """A connected pair; the end of the one before is closed."""
        self.hang_up()
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        return ours

    def hang_up(self) -> None:
        """Close the meter's end."""
        if self.peer is not None:
            self.peer.close()


class Wire(NamedTuple):
    """One transport: the client's side of it, and the specification's."""

    kind: type[Link]
    frame: Callable[[int, bytes], bytes]
    asked: Callable[[bytes], list[Asked]]
    stream: type[Stream] | type[LineStream]
    most: int
    """Requests of one exchange."""
    share: float
    """Of all frames."""
    settings: LinkSettings = LinkSettings(backoff_s=0, backoff_max_s=0, pipeline=4)


ANY_ID = LinkSettings(backoff_s=0, backoff_max_s=0, ignore_transaction_id=True)
WIRES = (
    Wire(TcpLink, fuzz_frames.tcp, fuzz_spec.asked_tcp, Stream, 3, 0.7),
    Wire(TcpLink, fuzz_frames.tcp, fuzz_spec.asked_tcp, AnyIdStream, 3, 0.1, ANY_ID),
    Wire(PipelinedLink, fuzz_frames.tcp, fuzz_spec.asked_tcp, Stream, 4, 0.1),
    Wire(RtuLink, fuzz_frames.rtu, fuzz_spec.asked_rtu, LineStream, 3, 0.1),
)


class _Sent(NamedTuple):
    """One request of the client, and where its answer may be."""

    asked: Asked
    stream: Stream | LineStream
    since: int
    """Its mark when the request came."""
    clean: bool
    """No half frame came before it."""


class Fuzz:
    """Asks, answers with changed frames, and compares what was taken."""

    def __init__(self, wire: Wire, tally: Tally, chance: Random) -> None:
        self.tally = tally
        self._chance = chance
        self._meter = fuzz_frames.Meter(chance, wire.frame)
        self._wire = wire
        self._readiness = Readiness()
        self._open()

    def close(self) -> None:
        """Close the link."""
        self._dial.hang_up()
        self._link.close()
        self._readiness.close()

    def _reopen(self) -> None:
        self._dial.hang_up()
        self._link.close()
        self._open()

    def _open(self) -> None:
        self._dial = Pair()
        self._link = self._wire.kind(
            self._dial, self._wire.settings, readiness=self._readiness, jitter=self._chance.random
        )
        self._stream: Stream | LineStream = self._wire.stream()
        self._peer: socket.socket | None = None
        self._sent: list[_Sent] = []
        self._unanswered: list[Asked] = []

    async def round(self) -> None:
        """One exchange; whatever the client sends for it is answered with changed frames."""
        if self._wire.kind is PipelinedLink and self._link.pipeline == 1:
            self._reopen()
        answers: list[Answer] = []
        requests = [self._request() for _ in range(self._chance.randint(1, self._wire.most))]
        self._sent.clear()
        self._unanswered.clear()
        self._link.exchange(
            Exchange(requests, PATIENCE_S, lambda done: answers.extend(done.answers))
        )
        for turn in range(TURNS):
            if answers:
                break
            await self._answer(turn)
        else:
            self.tally.hung.append(f"{requests} {self._sent}")
            self.tally.frames += 1
            self._reopen()
        before: Answer = b""
        for request, answer in zip(requests, answers, strict=False):
            # Of a unit that a gateway does not find the rest is not asked: one error for all.
            if answer is not before or not is_absence(answer):
                self._compare(request, answer)
            before = answer

    async def _answer(self, turn: int) -> None:
        """Answer what the client has sent since; without anything new its deadline passes."""
        self._listen()
        asked, self._unanswered = self._unanswered, []
        if asked:
            self.tally.frames += len(asked)
            for piece in self._meter.pieces(b"".join(map(self._meter.answer, asked))):
                await self._send(piece)
        elif turn and self._link.deadline != NEVER:
            self._link.expire()
        await asyncio.sleep(0 if turn < 5 else REST_S)

    async def _send(self, piece: bytes) -> None:
        assert self._peer is not None
        with suppress(OSError):  # the client has closed
            self._peer.send(piece)
            self._stream.feed(piece)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        self._listen()

    def _listen(self) -> None:
        """Take what the client has sent, and note where its answers may begin."""
        if self._dial.peer is not self._peer:
            self._peer, self._stream = self._dial.peer, self._wire.stream()
        try:
            received = self._peer.recv(4096) if self._peer else b""
        except (BlockingIOError, ConnectionError):
            return
        if received:
            asked = self._wire.asked(received)
            mark, clean = self._stream.mark(), not self._stream.broken
            self._sent += [_Sent(one, self._stream, mark, clean) for one in asked]
            self._unanswered += asked

    def _request(self) -> Request:
        code = self._chance.choice((1, 2, 3, 3, 3, 4))
        most = self._chance.choice((8, 125)) if code > 2 else self._chance.choice((32, 2000))
        count = self._chance.randint(1, most)
        address = self._chance.randint(0, 65536 - count)
        return read_request(self._chance.choice((1, 2, 247)), code, address, count)

    def _compare(self, request: Request, answer: Answer) -> None:
        tally = self.tally
        fields = (request.unit, request.function_code, request.address, request.count)
        sent = [one for one in self._sent if one.asked[1:] == fields]
        allowed = [said for one in sent for said in one.stream.said(one.asked, one.since)]
        if isinstance(answer, ExceptionResponseError):
            tally.exceptions += 1
            if not any(one and one.code == answer.code for one in allowed):
                tally.wrong.append(f"{request} exception {answer.code}")
        elif isinstance(answer, MeterError):
            tally.refused[answer.reason] += 1
            # Noise that comes with an answer makes it doubtful: it may be refused.
            first = self._sent[:1] == sent and sent[0].clean and allowed and allowed[0]
            if first and not sent[0].stream.noisy(sent[0].asked, sent[0].since):
                tally.lost.append(f"{request} {answer} {allowed[0]}")
        else:
            tally.taken += 1
            if not _is_allowed(answer, allowed):
                tally.wrong.append(f"{request} {answer.hex(' ')}")
            if tally.taken % PLANTED == 0:
                tally.planted += 1
                tally.found += not _is_allowed(self._spoilt(bytes(answer)), allowed)

    def _spoilt(self, data: bytes) -> bytes:
        """Another value than the one that was taken."""
        if not data:
            return b"\0"
        at = self._chance.randrange(8 * len(data))
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        return self._chance.choice((bytes(changed), data[:-1], data + data[-1:]))


def _is_allowed(data: bytes | bytearray, allowed: Sequence[fuzz_spec.Said | None]) -> bool:
    return any(one is not None and one.data == data for one in allowed)


@contextmanager
def _within(seconds: int) -> Iterator[None]:
    """Raise TimeoutError when the block never ends."""

    def over(*_: object) -> None:
        raise TimeoutError(f"nothing ended within {seconds} s")

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


async def _fuzz(frames: int, seed: int) -> Tally:
    tally = Tally()
    handler = _Crashes(tally)
    logging.getLogger("emdc").addHandler(handler)
    try:
        end = 0.0
        for wire in WIRES:
            fuzz = Fuzz(wire, tally, Random(f"{seed} {wire.kind.__name__} {wire.stream.__name__}"))
            end += wire.share * frames
            while tally.frames < end:
                stop = min(end, tally.frames + CHUNK)
                with _within(CHUNK_S):
                    while tally.frames < stop:
                        await fuzz.round()
            fuzz.close()
    finally:
        logging.getLogger("emdc").removeHandler(handler)
    return tally


def fuzz(frames: int, seed: int = SEED) -> Tally:
    """Give the client so many frames."""
    return virtual_time.run(_fuzz(frames, seed), settle_s=0)
