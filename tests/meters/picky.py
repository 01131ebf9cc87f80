"""A meter that answers some reads and not others, and the reader that has to live with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias
from unittest.mock import patch

from emdc.meters.learned import Lesson
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.poll import Poll
from emdc.meters.reads import want
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.modbus import LinkSettings
from emdc.reading import MeterReading, Value
from tests import misbehaving
from tests.misbehaving import Connection, framed
from tests.modbus.asking import links
from tests.virtual_time import WallClock

Rule: TypeAlias = Callable[[int, int], int | str | bytes | None]
"""(address, count) → an exception code, `silent`, `closed`, `zeros`, `half zeros`, `short`, the
data of the answer, or None for the right one."""

TIMEOUT_S: Final = 1.0


def book(
    addresses: Collection[int], *, size: int = 1, max_gap: int = 0, groups: str = ""
) -> RegisterMap:
    """A map with a value named after each of these addresses; all are in the group, if any."""
    kind = {1: DataType.UINT16, 2: DataType.UINT32}[size]
    metrics = (Metric(f"m{a}", a, size, kind, group=groups) for a in addresses)
    return RegisterMap("picky", tuple(metrics), max_gap=max_gap)


def refuses(bad: Collection[int], code: int | str = 2) -> Rule:
    """Any read that touches one of these addresses."""
    return lambda first, count: code if set(bad) & set(range(first, first + count)) else None


def refuses_beyond(most: int, how: int | str) -> Rule:
    """Any read of more registers."""
    return lambda first, count: how if count > most else None


def script(rule: Rule) -> misbehaving.Script:
    """The meter of one unit that obeys the rule."""

    async def play(connection: Connection) -> None:
        while True:
            request = await connection.request()
            first, count = int.from_bytes(request[8:10]), int.from_bytes(request[10:12])
            verdict = rule(first, count)
            if verdict is None:
                await connection.send(misbehaving.right(request))
            elif isinstance(verdict, int):
                await connection.send(framed(request[:2], bytes([1, request[7] | 0x80, verdict])))
            elif isinstance(verdict, bytes):
                body = request[6:8] + bytes([len(verdict)]) + verdict
                await connection.send(framed(request[:2], body))
            elif verdict == "closed":
                return
            elif verdict == "zeros":
                body = request[6:8] + bytes([2 * count]) + bytes(2 * count)
                await connection.send(framed(request[:2], body))
            elif verdict == "half zeros":
                some = misbehaving.data(1, first, 16)
                body = request[6:8] + bytes([2 * count]) + some + bytes(2 * count - len(some))
                await connection.send(framed(request[:2], body))
            elif verdict == "short":
                some = misbehaving.data(1, first, count - 1)
                await connection.send(framed(request[:2], request[6:8] + bytes([len(some)]) + some))

    return play


@dataclass
class Picky:
    """One meter, its reader, and the reads that it was asked for."""

    peer: misbehaving.Meter
    reader: Meter
    clock: WallClock

    def rule(self, rule: Rule) -> None:
        """Obey this one from the next connection on."""
        self.peer.script = script(rule)

    @property
    def all(self) -> frozenset[str]:
        """Every metric of the map."""
        return want(metric.name for metric in self.reader.register_map.metrics)

    async def polled(
        self, wanted: frozenset[str] | None = None, within_s: float = 60
    ) -> MeterReading:
        """A scheduled reading whose tick ends after so many seconds; what is asked behind it is
        answered.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[MeterReading] = loop.create_future()
        until = loop.time() + within_s
        wanted = self.all if wanted is None else wanted
        poll = Poll(wanted, future.set_result, self.clock(), scheduled=True, until=until)
        self.reader.start(poll)
        reading = await future
        await asyncio.sleep(2 * TIMEOUT_S)
        return reading

    async def asked(self, wanted: frozenset[str] | None = None) -> list[tuple[int, int]]:
        """(address, count) of the reads that one reading sends."""
        before = len(self.peer.requests)
        await self.polled(wanted)
        return self.spans()[before:]

    def spans(self) -> list[tuple[int, int]]:
        """(address, count) of all reads that were ever sent."""
        requests = self.peer.requests
        return [(int.from_bytes(r[8:10]), int.from_bytes(r[10:12])) for r in requests]


@asynccontextmanager
async def picky(
    rule: Rule, register_map: RegisterMap, *, lessons: Collection[Lesson] = ()
) -> AsyncIterator[Picky]:
    """A meter with a rule and a reader with lessons, without retries."""
    settings = MeterSettings(timeout_s=TIMEOUT_S, retries=0, interval_s=60)
    async with misbehaving.meter(script(rule)) as peer:
        # Much virtual time passes: a sweep every 20 ms would be most of the work.
        with patch("emdc.modbus.links.SWEEP_S", 0.25), links() as opened:
            link = opened.link(peer.host, peer.port, LinkSettings(backoff_max_s=1))
            clock = WallClock()
            reader = Meter("site/picky", register_map, link, settings, clock=clock)
            reader.remember(lessons)
            yield Picky(peer, reader, clock)


def right(names: Collection[str], size: int = 1) -> dict[str, Value]:
    """What a meter without fault says."""
    return {name: int.from_bytes(misbehaving.data(1, int(name[1:]), size)) for name in names}


def values(reading: MeterReading) -> dict[str, Value]:
    """Values by name; what is missing is its reason."""
    found = dict(zip(reading.metrics, reading.values, strict=True))
    assert {name for name, value in found.items() if value is None} == set(reading.gaps)
    return {**found, **reading.gaps}
