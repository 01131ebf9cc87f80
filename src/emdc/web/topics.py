"""GET /topics: which topics there are, page by page, and a search for them.

Configured topics are known here; the database may have more: those of meters of earlier times, or
of other programs.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any, Final, cast

import msgspec
from litestar import Response

from emdc.collector.latest import MeterState
from emdc.energy.answers import TopicFacts
from emdc.reading import Kind, Topic, Value
from emdc.web.api import missing_reason, rounded
from emdc.web.exchange import Ask, Parameter, json_response, quoted, refuse
from emdc.web.names import Names, due_every
from emdc.web.past import History
from emdc.web.service import Service

MOST_STORED: Final = 1000
"""Stored topics that a search looks at."""
MOST_WORDS: Final = 10

SEARCH: Final = Parameter(
    "search", "words; only topics that have all of them in their name, unit or description"
)


class TopicRow(msgspec.Struct, kw_only=True):
    """One topic and its newest value."""

    topic: str
    meter: str
    metric: str
    unit: str
    kind: Kind
    interval: float | None
    """Seconds between scheduled readings; null: read only when asked."""
    description: str
    value: Value
    timestamp: datetime | None
    """The tick of `value`, UTC."""
    quality: str
    """`good`, or why the newest attempt gave nothing; `never read`; `not configured`."""
    configured: bool = True
    """false: a topic of the database that no meter of this program has."""


class Topics(msgspec.Struct, kw_only=True):
    """One page of the topics of all meters."""

    topics: list[TopicRow]
    total: int
    next_offset: int | None
    """`offset` of the next page; null on the last."""


async def topics(service: Service, ask: Ask) -> Response[bytes]:
    """All topics with unit, kind, interval, description and newest value, in pages.

    With `search` those that have all of its words, and behind them what the database has beside
    the configured ones.
    """
    states = service.collector.latest.meters
    if name := ask.given["meter"]:
        states = {name: states[service.names.meter(name).name]}
    offset = ask.given["offset"]
    page = slice(offset, offset + ask.given["limit"])
    if words := ask.given["search"]:
        if len(words.split()) > MOST_WORDS:
            raise refuse(400, f"search={quoted(words)}: expected at most {MOST_WORDS} words")
        return await _searched(service, ask.given, list(states.values()), page)
    total = sum(len(state.profile.topics) for state in states.values())
    pairs = ((state, topic) for state in states.values() for topic in state.profile.topics)
    rows = [_row(*pair) for pair in islice(pairs, page.start, page.stop)]
    return _answer(rows, total, page)


def _answer(rows: list[TopicRow], total: int, page: slice) -> Response[bytes]:
    more = page.stop < total
    return json_response(Topics(topics=rows, total=total, next_offset=page.stop if more else None))


async def _searched(
    service: Service, given: Mapping[str, Any], states: Sequence[MeterState], page: slice
) -> Response[bytes]:
    here, elsewhere = await service.past.ask(partial(_search, given, service.names, states))
    rows = [_row(*pair) for pair in here[page]]
    start, stop = (max(0, at - len(here)) for at in (page.start, page.stop))
    rows += map(_stored_row, elsewhere[start:stop])
    return _answer(rows, len(here) + len(elsewhere), page)


def _search(
    given: Mapping[str, Any], names: Names, states: Sequence[MeterState], history: History
) -> tuple[list[tuple[MeterState, Topic]], list[TopicFacts]]:
    """Configured topics that have every word, and stored ones that are not configured."""
    words = given["search"].casefold().split()
    here = [
        (state, topic)
        for state in states
        for topic in state.profile.topics
        if _has(f"{state.profile.name}/{topic.name}\n{topic.unit}\n{topic.description}", words)
    ]
    below = f"{given['meter']}/" if given["meter"] else ""
    elsewhere = [
        topic
        for topic in history.search(given["search"], MOST_STORED)
        if topic.name.startswith(below) and not names.knows(topic.name)
    ]
    return here, elsewhere


def _has(text: str, words: Sequence[str]) -> bool:
    text = text.casefold()
    return all(word in text for word in words)


def _stored_row(topic: TopicFacts) -> TopicRow:
    meter, _, metric = topic.name.rpartition("/")
    return TopicRow(
        topic=topic.name,
        meter=meter,
        metric=metric,
        unit=topic.unit,
        kind=cast("Kind", topic.kind),
        interval=None,
        description="",
        value=None,
        timestamp=None,
        quality="not configured",
        configured=False,
    )


def _row(state: MeterState, topic: Topic) -> TopicRow:
    known = state.value(topic.name)
    return TopicRow(
        topic=f"{state.profile.name}/{topic.name}",
        meter=state.profile.name,
        metric=topic.name,
        unit=topic.unit,
        kind=topic.kind,
        interval=due_every(state.profile, topic),
        description=topic.description,
        value=rounded(known.value, topic.digits) if known else None,
        timestamp=known.tick if known else None,
        quality=missing_reason(state, topic.name) or ("good" if known else "never read"),
    )
