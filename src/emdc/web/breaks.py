"""GET /gaps and GET /epochs: where values are missing, and where counters began anew."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response

from emdc.energy.answers import EpochRow, GapRange
from emdc.web.exchange import Ask, Parameter, bytes_response, refuse
from emdc.web.meant import topic_of
from emdc.web.names import Names
from emdc.web.past import History
from emdc.web.service import Service
from emdc.web.spans import span_of, utc

MOST: Final = 1000

_LOOKED_AT: Final = 100
"""Topics whose names have the meter's in them, among which one of its own must be."""

LIMIT: Final = Parameter("limit", "most entries of one answer", "whole", MOST, 1, MOST)


class GapRow(msgspec.Struct, kw_only=True):
    """Ticks without a value, one after the other, for one reason."""

    meter: str
    metric: str | None
    """null: all that was due of the meter."""
    start: datetime
    end: datetime
    """The first tick after it."""
    ticks: int | None
    """null: nobody knows how many were due."""
    reason: str


class Gaps(msgspec.Struct, kw_only=True):
    """Where values are missing in a span."""

    zone: str
    start: datetime
    end: datetime
    gaps: Sequence[GapRow]
    more: bool
    """There are more; ask for a shorter span, or from the last start on."""


class Epoch(msgspec.Struct, kw_only=True):
    """A place where a counter began anew."""

    topic: str
    at: datetime
    kind: str
    """reset, rollover, swap, ratio or jump."""
    before: float | None
    after: float | None
    source: str
    """found by the program, or user."""
    note: str


class Epochs(msgspec.Struct, kw_only=True):
    """Where counters began anew, in order of time."""

    epochs: Sequence[Epoch]
    more: bool


async def gaps(service: Service, ask: Ask) -> Response[bytes]:
    """Where values of a meter or a topic are missing, and why, in order of time.

    Ticks that follow one another with one reason are one entry.
    """
    given = ask.given
    if bool(given["meter"]) == bool(given["topic"]):
        raise refuse(
            400, "meter and topic: expected one of them, the name of a meter or of a topic"
        )
    now = service.clock().timestamp()
    return bytes_response(await service.past.ask(partial(_gaps, given, service.names, now)))


async def epochs(service: Service, ask: Ask) -> Response[bytes]:
    """Where counters began anew: reset, rolled over, swapped, or leapt; in order of time."""
    return bytes_response(await service.past.ask(partial(_epochs, ask.given)))


def _gaps(given: Mapping[str, Any], names: Names, now: float, history: History) -> bytes:
    name, zone = _subject(given, names, history)
    span = span_of(given, ZoneInfo(zone), now=now)
    found = history.gaps(name, *span, given["limit"] + 1)
    return msgspec.json.encode(
        Gaps(
            zone=zone,
            start=utc(span.start),
            end=utc(span.end),
            gaps=[_gap_row(one) for one in found[: given["limit"]]],
            more=len(found) > given["limit"],
        )
    )


def _subject(given: Mapping[str, Any], names: Names, history: History) -> tuple[str, str]:
    """What gaps are wanted of, and its time zone."""
    if given["topic"]:
        topic = topic_of(history, given["topic"])
        return topic.name, topic.zone
    meter = given["meter"]
    for topic in history.search(f"{meter}/", _LOOKED_AT):
        if topic.name.startswith(f"{meter}/"):
            return meter, topic.zone
    names.meter(meter)
    raise refuse(404, f"nothing is stored of {meter} yet")


def _gap_row(one: GapRange) -> GapRow:
    return GapRow(
        meter=one.meter,
        metric=one.metric,
        start=utc(one.start),
        end=utc(one.end),
        ticks=one.ticks,
        reason=one.reason,
    )


def _epochs(given: Mapping[str, Any], history: History) -> bytes:
    name = given["topic"]
    topic = topic_of(history, name, energy=True).name if name else None
    found = history.epochs(topic)
    rows = [_epoch(one) for one in found[: given["limit"]]]
    return msgspec.json.encode(Epochs(epochs=rows, more=len(found) > given["limit"]))


def _epoch(one: EpochRow) -> Epoch:
    return Epoch(
        topic=one.topic,
        at=utc(one.at),
        kind=one.kind,
        before=one.before,
        after=one.after,
        source=one.source,
        note=one.note,
    )
