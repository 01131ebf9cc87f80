"""What the first page shows: /state and /sparklines.

Every answer is bounded: with many meters /state gives the values of one meter at a time.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import Final, TypeAlias

import msgspec
from litestar import Response

from emdc.collector.latest import MeterState
from emdc.digits import rounder
from emdc.reading import Kind, MeterProfile, Value
from emdc.web.api import missing_reason
from emdc.web.exchange import Ask, json_response
from emdc.web.health import Health, report
from emdc.web.names import due_every
from emdc.web.service import Service

MOST_METERS: Final = 50
MOST_TOPICS: Final = 2000
"""Above either, /state has the values of one meter only, the one that is asked for."""

_BUCKETS: Final = 120
_APART: Final = 3.5
"""Intervals between two values: more than three, whatever the jitter."""
_EXACT: Final = 2**53
"""Browsers take numbers for doubles, in which whole numbers beyond that have neighbours."""

Point: TypeAlias = tuple[float, float | None]
"""(seconds since 1970, value); None: the line is broken there."""


class Shown(msgspec.Struct, kw_only=True):
    """One metric as the first page shows it."""

    metric: str
    unit: str
    description: str
    kind: Kind
    interval: float | None
    """Seconds between scheduled readings; null: read only when asked."""
    value: Value
    """A text too where it is a whole number that a browser would round."""
    whole: bool
    """Whether the value counts in whole numbers; JSON readers cannot see it in 120.0."""
    read_at: datetime | None
    missing: str | None
    """Why the newest attempt gave nothing."""


class Overview(msgspec.Struct, kw_only=True):
    """All that the first page needs at once."""

    now: datetime
    refresh_s: float
    health: Health
    values: dict[str, list[Shown]]
    """Meter → its metrics in the order of the map; with many meters only the one asked for."""


class Sparklines(msgspec.Struct, kw_only=True):
    """The last hour of one meter, thinned for drawing."""

    meter: str
    points: dict[str, list[tuple[float, float | None]]]
    """Metric → (seconds since 1970, value), oldest first; null: the line is broken there."""


async def state(service: Service, ask: Ask) -> Response[bytes]:
    """Health and the newest values in one answer, for the first page.

    Above 50 meters or 2000 topics `values` holds only the meter that is asked for.
    """
    meters = service.collector.latest.meters
    if name := ask.given["meter"]:
        chosen = [meters[service.names.meter(name).name]]
    elif _is_small(meters.values()):
        chosen = list(meters.values())
    else:
        chosen = []
    found = report(service)
    return json_response(
        Overview(
            now=service.clock(),
            refresh_s=_refresh_s(found),
            health=found,
            values={each.profile.name: _shown(each) for each in chosen},
        )
    )


def _is_small(states: Iterable[MeterState]) -> bool:
    sizes = [len(state.profile.topics) for state in states]
    return len(sizes) <= MOST_METERS and sum(sizes) <= MOST_TOPICS


def _refresh_s(found: Health) -> float:
    """Seconds between two looks of the page: the shortest interval, within 1 to 30."""
    most = 5.0 if len(found.meters) > MOST_METERS else 1.0
    return min(30.0, max(most, found.schedule.shortest_interval_s or 5.0))


def _shown(state: MeterState) -> list[Shown]:
    known = [state.value(topic.name) for topic in state.profile.topics]
    values = _rounded(state.profile, [each.value if each else None for each in known])
    return [
        Shown(
            metric=topic.name,
            unit=topic.unit,
            description=topic.description,
            kind=topic.kind,
            interval=due_every(state.profile, topic),
            value=str(value) if isinstance(value, int) and abs(value) > _EXACT else value,
            whole=isinstance(value, int),
            read_at=each.read_at if each else None,
            missing=missing_reason(state, topic.name),
        )
        for topic, each, value in zip(state.profile.topics, known, values, strict=True)
    ]


def _rounded(profile: MeterProfile, values: Sequence[Value]) -> list[Value]:
    return rounder([topic.digits for topic in profile.topics])(values)  # type: ignore[return-value]


async def sparklines(service: Service, ask: Ask) -> Response[bytes]:
    """The last hour of every metric of one meter, thinned to at most 240 values each.

    A null between two of them: nothing was read for more than three intervals.
    """
    profile = service.names.meter(ask.given["meter"])
    points = await service.sparklines(profile.name)
    return json_response(
        Sparklines(meter=profile.name, points={name: thin(line) for name, line in points.items()})
    )


def line_breaks(profile: MeterProfile) -> dict[str, float]:
    """For each metric on a schedule the seconds without a value that break its line."""
    every = ((topic.name, due_every(profile, topic)) for topic in profile.topics)
    return {name: _APART * interval_s for name, interval_s in every if interval_s}


def thin(points: Sequence[Point]) -> list[Point]:
    """At most 240 of `points`: the least and the greatest of each of 120 equal spans of time.

    A peak of one second stays visible, which a mean would hide. A span keeps one break.
    """
    if len(points) <= 2 * _BUCKETS:
        return list(points)
    first, last = points[0][0], points[-1][0]
    width = (last - first) / _BUCKETS or 1.0
    spans: dict[int, list[Point]] = {}
    for point in points:
        spans.setdefault(min(_BUCKETS - 1, int((point[0] - first) / width)), []).append(point)
    return [point for span in spans.values() for point in _outline(span)]


def _outline(span: Sequence[Point]) -> list[Point]:
    """The least and the greatest value and the first break, in order of time."""
    numbers = [(value, time) for time, value in span if value is not None]
    breaks = [point for point in span if point[1] is None]
    ends = {pick(numbers, key=itemgetter(0)) for pick in (min, max) if numbers}
    kept: list[Point] = [(time, value) for value, time in ends]
    return sorted(kept + breaks[:1], key=itemgetter(0))
