"""The three addresses of the old collector: /ping, /metric and /collect.

Scripts in the field read these: the plain-text answers and the empty body must stay as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Final, cast

import msgspec
from litestar import Response

from emdc.collector.cycle import CycleReport
from emdc.collector.latest import LatestValue, MeterState
from emdc.digits import Digits, rounder
from emdc.reading import MeterReading, Value
from emdc.web.exchange import Ask, json_response, refuse, text_response
from emdc.web.names import Named
from emdc.web.problems import meter_status
from emdc.web.service import Service

UNSCHEDULED_MAX_AGE_S: Final = 60.0
"""A meter that nobody reads on schedule is read again when its value is older than this."""


class MetricAnswer(msgspec.Struct, kw_only=True):
    """One value with what it takes to trust it."""

    topic: str
    value: Value
    unit: str
    timestamp: datetime
    """The tick that it belongs to, UTC."""
    read_at: datetime
    age: float
    """Seconds since it was read."""
    quality: str
    """`good`, or why the newest attempt gave nothing."""


class CycleSummary(msgspec.Struct, kw_only=True):
    """What one collection cycle gave."""

    started: datetime
    duration_s: float
    meters: int
    failed: tuple[str, ...]
    values: int
    gaps: Mapping[str, int]


async def ping(service: Service, ask: Ask) -> Response[bytes]:
    """200 with an empty body while the program runs. Touches no meter and no database."""
    return Response(b"", media_type="text/plain")


async def metric(service: Service, ask: Ask) -> Response[bytes]:
    """The newest value of one metric: the bare number as text, or JSON with unit, time and quality.

    A value older than `max_age` is never given: it is 503 with the reason, or is read from the
    meter when that has no schedule. 502 and 503 say why a meter could not be read.
    """
    named = service.names.find(ask.given["name"])
    sample = await _sample(service, named, ask)
    value = rounded(sample.value, named.topic.digits)
    if not ask.wants_json:
        return text_response(value if isinstance(value, str) else repr(value))
    return json_response(
        MetricAnswer(
            topic=named.full,
            value=value,
            unit=named.topic.unit,
            timestamp=sample.tick,
            read_at=sample.read_at,
            age=age_s(service.clock(), sample.read_at),
            quality=sample.gap or "good",
        )
    )


async def collect(service: Service, ask: Ask) -> Response[bytes]:
    """Read all meters now, `iterations` times, and answer when all of it is stored.

    The body is empty, or a list of cycle summaries when JSON is asked for. 409 when a collection
    runs and another waits already; 503 when readings could not be stored.
    """
    reports = await service.collector.collect(ask.given["iterations"], ask.given["wait_time"])
    if ask.wants_json:
        return json_response([_summary(report) for report in reports])
    return Response(b"", media_type="text/plain")


def _summary(report: CycleReport) -> CycleSummary:
    return CycleSummary(
        started=report.started,
        duration_s=report.duration_s,
        meters=report.meters,
        failed=report.failed,
        values=report.values,
        gaps=dict(report.gaps),
    )


async def _sample(service: Service, named: Named, ask: Ask) -> LatestValue:
    state = service.collector.latest.meters[named.meter]
    known = state.value(named.topic.name)
    if ask.given["fresh"]:
        return await _read(service, named)
    limit = ask.given["max_age"]
    if limit is None:
        limit = 3 * named.interval_s if named.interval_s else UNSCHEDULED_MAX_AGE_S
    age = age_s(service.clock(), known.read_at) if known else None
    if known and age is not None and age <= limit:
        return known
    if named.interval_s is None:
        return await _read(service, named)
    reason = missing_reason(state, named.topic.name) or "no answer yet"
    if age is None:
        raise refuse(503, f"{named.full} has not been read since the start: {reason}")
    raise refuse(
        503, f"{named.full} was last read {age:.1f} s ago, allowed is {limit:g} s: {reason}"
    )


async def _read(service: Service, named: Named) -> LatestValue:
    """The value that the meter gives now. Raises 502 or 503 with the gap reason."""
    name = named.topic.name
    reading = await service.collector.read_now(named.meter, name)
    value = reading.values[reading.metrics.index(name)] if name in reading.metrics else None
    if value is None:
        state = service.collector.latest.meters[named.meter]
        reason = _cause(state, reading.gaps.get(name, "no answer"))
        raise refuse(meter_status(reason), f"{named.full} could not be read: {reason}")
    return LatestValue(value, reading.tick, reading.read_at)


def missing_reason(state: MeterState, metric: str) -> str | None:
    """Why there is no newer value of a metric; None when nothing is known against it."""
    readings = [reading for reading in state.newest.values() if metric in reading.metrics]
    newest: MeterReading | None = max(readings, key=lambda each: each.read_at, default=None)
    if newest is not None and (reason := newest.gaps.get(metric)):
        return _cause(state, reason)
    failed_at = state.last_error_at
    since = [at for at in (newest and newest.read_at, state.last_success) if at]
    if failed_at and all(failed_at > at for at in since):
        return state.last_error
    return None


def _cause(state: MeterState, reason: str) -> str:
    """The reason itself, or the one for which the meter is not asked for a while."""
    return (state.last_error or reason) if reason == "backoff_skipped" else reason


def age_s(now: datetime, then: datetime) -> float:
    """Seconds from `then` to `now`, never below zero, in milliseconds."""
    return max(0.0, round((now - then).total_seconds(), 3))


@cache
def _rounder(digits: Digits) -> Callable[[Sequence[object]], list[object]]:
    return rounder((digits,))


def rounded(value: Value, digits: Digits) -> Value:
    """`value` with the digits that mean anything."""
    return cast("Value", _rounder(digits)((value,))[0])
