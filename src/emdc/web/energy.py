"""GET /energy and GET /energy/today: what counters counted, by the clock of the meter's zone."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, get_args
from zoneinfo import ZoneInfo

import msgspec
from litestar import Response

from emdc.energy.answers import Consumption, EnergyAnswer, Per
from emdc.energy.periods import instant
from emdc.energy.spans import midnight_a_week_before
from emdc.reading import Topic
from emdc.web.csvanswer import Rows, csv_answer, is_csv
from emdc.web.exchange import Ask, Parameter, bytes_response
from emdc.web.past import History, topic_asked
from emdc.web.service import Service
from emdc.web.spans import TIMES, iso, span_of, utc

MOST_COUNTERS: Final = 50
COLUMNS: Final = Consumption._fields

START: Final = Parameter(
    "start", f"first instant: {TIMES}. Default: the midnight of seven days before the end"
)
PER: Final = Parameter(
    "per",
    "how long a period is; but for 15min by the clock of the meter's time zone; a week "
    "begins on Monday",
    "choice",
    "day",
    choices=get_args(Per),
)


class Period(msgspec.Struct, kw_only=True):
    """What was counted from start to end."""

    start: datetime
    end: datetime
    energy: float | None
    """In the unit of the answer; null: nothing is known."""
    completeness: float | None
    """Per cent of the readings that were due; null: none was due on a schedule."""
    quality: str | None
    """measured, recovered, suspect or estimated; the worst of its parts."""


class Energy(msgspec.Struct, kw_only=True):
    """What one topic counted, by period."""

    topic: str
    unit: str
    zone: str
    """IANA name of the meter's time zone."""
    per: Per
    periods: Sequence[Period]


class Counted(msgspec.Struct, kw_only=True):
    """What one counter counted of late."""

    metric: str
    unit: str
    zone: str | None
    """IANA name of the meter's time zone, if something is stored of the counter."""
    today: Period | None
    """Until now; null: nothing is stored."""
    yesterday: Period | None


class Today(msgspec.Struct, kw_only=True):
    """What the counters of a meter counted today, until now, and yesterday."""

    meter: str
    counters: Sequence[Counted]
    left_out: int
    """Counters beyond the first 50."""


async def energy(service: Service, ask: Ask) -> Response[bytes]:
    """What a counter counted, by hours, days, weeks, months or years of the meter's time zone.

    Of a topic that is a power: what its mean makes in that time, marked estimated.
    """
    now = service.clock().timestamp()
    if not is_csv(ask):
        return bytes_response(await service.past.ask(partial(_answer, ask.given, now)))
    return await csv_answer(
        service.past,
        COLUMNS,
        partial(_lines, ask.given, now),
        name=ask.given["topic"],
        bare=ask.bare,
    )


async def today(service: Service, ask: Ask) -> Response[bytes]:
    """What each counter of a meter counted today and yesterday, by the meter's clock."""
    profile = service.names.meter(ask.given["meter"])
    counters = [topic for topic in profile.topics if topic.kind == "counter"]
    now = service.clock().timestamp()
    return bytes_response(await service.past.ask(partial(_today, profile.name, counters, now)))


def _found(given: Mapping[str, Any], now: float, history: History) -> EnergyAnswer:
    topic = topic_asked(history, given["topic"], energy=True)
    zone = ZoneInfo(topic.zone)
    span = span_of(given, zone, now=now, earlier=midnight_a_week_before)
    return history.energy(topic.name, *span, given["per"])


def _answer(given: Mapping[str, Any], now: float, history: History) -> bytes:
    found = _found(given, now, history)
    topic = found.topic
    periods = list(map(_period, found.periods))
    return msgspec.json.encode(
        Energy(topic=topic.name, unit=topic.unit, zone=topic.zone, per=found.per, periods=periods)
    )


def _period(one: Consumption) -> Period:
    return Period(
        start=utc(one.start),
        end=utc(one.end),
        energy=one.energy,
        completeness=one.completeness,
        quality=_quality(one),
    )


def _quality(one: Consumption) -> str | None:
    return None if one.quality is None else one.quality.name.lower()


def _lines(given: Mapping[str, Any], now: float, history: History) -> Iterator[Rows]:
    yield [
        (iso(one.start), iso(one.end), one.energy, one.completeness, _quality(one))
        for one in _found(given, now, history).periods
    ]


def _today(meter: str, counters: Sequence[Topic], now: float, history: History) -> bytes:
    found = [_counted(meter, counter, now, history) for counter in counters[:MOST_COUNTERS]]
    left_out = max(0, len(counters) - MOST_COUNTERS)
    return msgspec.json.encode(Today(meter=meter, counters=found, left_out=left_out))


def _counted(meter: str, counter: Topic, now: float, history: History) -> Counted:
    name, unit = counter.name, counter.unit
    try:
        topic = history.topic(f"{meter}/{name}")
    except LookupError:  # not stored yet: the database was away ever since the start
        return Counted(metric=name, unit=unit, zone=None, today=None, yesterday=None)
    zone = ZoneInfo(topic.zone)
    midnight, before = (instant(day, zone, now) for day in ("today", "yesterday"))
    days = {day.start: day for day in history.energy(topic.name, before, now, "day").periods}
    return Counted(
        metric=name,
        unit=unit,
        zone=topic.zone,
        today=_period_or_none(days.get(midnight)),
        yesterday=_period_or_none(days.get(before)),
    )


def _period_or_none(one: Consumption | None) -> Period | None:
    return None if one is None else _period(one)
