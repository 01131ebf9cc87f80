"""One meter: run what is due as few batch reads, and return one MeterReading.

A meter learns one thing while it runs: a batch that it refuses with exception 2 or 3 is split
between two values from the next reading on, so that one bad register does not cost its neighbours.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from emdc.errors import ConfigError, ExceptionResponseError, LinkError, MeterError
from emdc.meters.plan import Batch, plan, split
from emdc.meters.register_map import Metric, RegisterMap
from emdc.meters.words import NO_RATIOS, BatchDecoder, BitDecoder, Ratios, compile_batch
from emdc.modbus.exchange import Exchange
from emdc.modbus.link import Link
from emdc.modbus.pdu import Request, read_request
from emdc.reading import GapReason, MeterProfile, MeterReading, Topic, Value

log = logging.getLogger(__name__)

_FINAL: Final = frozenset({"daemon_stopped", "meter_held"})
"""Reasons that asking again within the same reading does not change."""

Wanted: TypeAlias = frozenset[str]
"""Names of the metrics of one reading; made by `want`."""


def want(names: Iterable[str]) -> Wanted:
    """The set of these names, one object for all equal ones.

    A plan is looked up by it in every tick: the same object is found at once, an equal one only
    after a comparison of all names.
    """
    return _same(frozenset(names))


@lru_cache(maxsize=4096)
def _same(names: Wanted) -> Wanted:
    return names


@dataclass(frozen=True, slots=True)
class MeterSettings:
    """One installation of a meter: what its map cannot know."""

    unit: int = 1
    interval_s: float | None = None
    timeout_s: float = 3.0
    retries: int = 3
    retry_wait_s: float = 1.0
    ratios: Ratios = NO_RATIOS
    max_registers: int | None = None
    """Registers in one read; None: the map's."""
    max_gap: int | None = None
    """Unmapped registers that a read may cross; None: the map's."""


@dataclass(frozen=True, slots=True)
class _Read:
    """One batch, ready to be asked and decoded."""

    batch: Batch
    request: Request
    decoder: BatchDecoder | BitDecoder
    decode: Callable[[Any], tuple[list[Value], dict[str, GapReason]]]


class Plan:
    """The reads of one set of metrics, and the names in the order in which they are decoded.

    Shared by all meters with the same map and settings: a thousand of them read with one.
    """

    __slots__ = ("metrics", "reads", "requests")

    def __init__(self, batches: Iterable[Batch], unit: int, ratios: Ratios) -> None:
        self.reads = [_read(batch, unit, ratios) for batch in batches]
        self.requests = [read.request for read in self.reads]
        self.metrics = tuple(name for read in self.reads for name in read.decoder.names)


def _read(batch: Batch, unit: int, ratios: Ratios) -> _Read:
    request = read_request(unit, batch.function_code, batch.address, batch.count)
    decoder = compile_batch(batch, ratios)
    return _Read(batch, request, decoder, decoder.decode)


@lru_cache(maxsize=1024)
def _plan(register_map: RegisterMap, names: Wanted, settings: "MeterSettings") -> Plan:
    batches = plan(
        (metric for metric in register_map.metrics if metric.name in names),
        max_registers=settings.max_registers or register_map.max_registers,
        max_gap=register_map.max_gap if settings.max_gap is None else settings.max_gap,
    )
    return Plan(batches, settings.unit, settings.ratios)


class Poll(Exchange):
    """One reading that is asked for: which metrics, for which slot, and who gets it."""

    __slots__ = ("plan", "retries", "scheduled", "take", "tick", "until", "wanted")

    requests: Sequence[Request]
    plan: Plan

    def __init__(
        self,
        wanted: Wanted,
        take: Callable[[MeterReading], None],
        tick: datetime,
        *,
        scheduled: bool,
        until: float = float("inf"),
    ) -> None:
        # Not Exchange.__init__: a plant makes one of these for each meter and tick.
        self.answers = []
        self.failed = False
        self.resent = -1
        self.wanted = wanted
        self.take = take
        self.tick = tick
        """UTC: the slot of a scheduled reading, the start of a manual one."""
        self.scheduled = scheduled
        self.until = until
        """Loop time after which no retry starts."""
        self.retries = 0


class Meter:
    """Reads one meter over its link, which takes one reading after the other.

    Raises ConfigError when the settings do not allow to read the map.
    """

    def __init__(
        self,
        name: str,
        register_map: RegisterMap,
        link: Link,
        settings: MeterSettings,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        self.name = name
        self.register_map = register_map
        self.link = link
        self.settings = settings
        self.profile = _profile(name, register_map, settings)
        self._plans: dict[Wanted, Plan] = {}
        self._clock = clock
        try:
            self._plan(want(metric.name for metric in register_map.metrics))
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from error

    def batches(self, wanted: Wanted) -> tuple[Batch, ...]:
        """The batch reads that `start` uses for these metrics now."""
        return tuple(read.batch for read in self._plan(wanted).reads)

    def start(self, poll: Poll) -> None:
        """Read what the poll wants and call its `take` with the reading.

        Never raises for what a meter does: what could not be read is None with a reason in `gaps`.
        """
        poll.plan = found = self._plan(poll.wanted)
        poll.requests = found.requests
        poll.timeout_s = self.settings.timeout_s
        poll.done = self._answered
        self.link.exchange(poll)

    async def read(self, wanted: Wanted) -> MeterReading:
        """The metrics named in `wanted`, read now: a manual reading, whose slot is its start."""
        future: asyncio.Future[MeterReading] = asyncio.get_running_loop().create_future()

        def take(reading: MeterReading) -> None:
            if not future.done():  # the caller may have gone
                future.set_result(reading)

        self.start(Poll(wanted, take, self._clock(), scheduled=False))
        return await future

    def _plan(self, wanted: Wanted) -> Plan:
        found = self._plans.get(wanted)
        if found is None:
            found = self._plans[wanted] = _plan(self.register_map, wanted, self.settings)
        return found

    def _answered(self, poll: Poll) -> None:
        if poll.failed and self._retry(poll):
            return
        try:
            reading = self._reading(poll)
        except Exception:
            log.exception("decoding failed", extra={"meter": self.name})
            poll.answers = [LinkError("internal_error")] * len(poll.requests)
            reading = self._reading(poll)
        poll.take(reading)

    def _retry(self, poll: Poll) -> bool:
        """Ask again later for what the link could not bring, if that is still allowed."""
        failed = [place for place, answer in enumerate(poll.answers) if _may_pass(answer)]
        loop = asyncio.get_running_loop()
        again = loop.time() + self.settings.retry_wait_s
        if not failed or poll.retries == self.settings.retries or again >= poll.until:
            return False
        poll.retries += 1
        loop.call_at(again, self._ask_again, poll, failed)
        return True

    def _ask_again(self, poll: Poll, failed: Sequence[int]) -> None:
        def merge(second: Exchange) -> None:
            for place, answer in zip(failed, second.answers, strict=True):
                # Not asked for a while says less than why it was not answered before.
                if not isinstance(answer, LinkError) or answer.reason != "backoff_skipped":
                    poll.answers[place] = answer
            self._answered(poll)

        requests = [poll.requests[place] for place in failed]
        self.link.exchange(Exchange(requests, self.settings.timeout_s, merge))

    def _reading(self, poll: Poll) -> MeterReading:
        values: list[Value] = []
        gaps: dict[str, GapReason] = {}
        for read, answer in zip(poll.plan.reads, poll.answers, strict=True):
            if poll.failed and isinstance(answer, MeterError):
                values += [None] * len(read.decoder.names)
                gaps.update(dict.fromkeys(read.decoder.names, answer.reason))
                continue
            found, missing = read.decode(answer)
            values += found
            if missing:
                gaps.update(missing)
        if poll.failed:
            self._learn(poll)
        return MeterReading(
            self.name,
            poll.tick,
            self._clock(),
            poll.plan.metrics,
            tuple(values),
            gaps,
            poll.scheduled,
        )

    def _learn(self, poll: Poll) -> None:
        refused = {
            place
            for place, answer in enumerate(poll.answers)
            if isinstance(answer, ExceptionResponseError) and answer.code in (2, 3)
        }
        batches = [read.batch for read in poll.plan.reads]
        parts = [
            part
            for place, batch in enumerate(batches)
            for part in (split(batch) if place in refused else (batch,))
        ]
        # A later reading may have learned more than this one, which was started before it.
        if len(parts) > len(batches) and self._plans.get(poll.wanted) is poll.plan:
            self._plans[poll.wanted] = Plan(parts, self.settings.unit, self.settings.ratios)
            log.warning(
                "read refused, split from now on",
                extra={"meter": self.name, "reads": len(parts), "before": len(batches)},
            )


def _may_pass(answer: object) -> bool:
    """Whether asking again soon may help: the link failed, or the meter said busy (5, 6)."""
    if isinstance(answer, ExceptionResponseError):
        return answer.code in (5, 6)
    return isinstance(answer, LinkError) and answer.reason not in _FINAL


def _topic(metric: Metric, ratios: Ratios) -> Topic:
    return Topic(
        metric.name,
        unit=metric.unit,
        kind=metric.kind,
        digits=metric.digits(ratios.factor(metric)),
        description=metric.description,
        interval_s=metric.interval_s,
    )


def _profile(name: str, register_map: RegisterMap, settings: MeterSettings) -> MeterProfile:
    return MeterProfile(
        name,
        tuple(_topic(metric, settings.ratios) for metric in register_map.metrics),
        interval_s=settings.interval_s,
        settings={
            "map": register_map.name,
            "map_hash": register_map.hash,
            "ct_ratio": settings.ratios.ct,
            "pt_ratio": settings.ratios.pt,
        },
    )
