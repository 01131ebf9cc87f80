"""The newest numbers of all meters, for who reads them all at once.

`MeterState.value` finds one metric by a search through its plans; here every reading is looked at
once, which a page with the values of a thousand meters needs. Pure.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from emdc.collector.latest import MeterState
from emdc.reading import Topic, Value
from emdc.web.api import age_s
from emdc.web.names import due_every

_INTERVALS = 3
"""A value of a schedule that is older than so many of its intervals is not given, as by /metric."""


def newest_numbers(
    states: Iterable[MeterState], now: datetime
) -> Iterator[tuple[str, Topic, float]]:
    """Meter, topic and value, not rounded, of every metric that holds a number now.

    Left out are texts, what the newest attempt did not give, and what is older than the schedule
    allows. A meter without a schedule keeps its values, as nobody can say when they are too old.
    """
    for state in states:
        found = _by_metric(state, now)
        for topic in state.profile.topics:
            value, age = found.get(topic.name, (None, 0.0))
            if isinstance(value, int | float) and _is_young(state, topic, age):
                yield state.profile.name, topic, value


def _by_metric(state: MeterState, now: datetime) -> dict[str, tuple[Value, float]]:
    """What the newest attempt at each metric gave, and its age in seconds."""
    found: dict[str, tuple[Value, float]] = {}
    for reading in sorted(state.newest.values(), key=lambda reading: reading.read_at):
        age = age_s(now, reading.read_at)
        found.update((n, (v, age)) for n, v in zip(reading.metrics, reading.values, strict=True))
    return found


def _is_young(state: MeterState, topic: Topic, age: float) -> bool:
    every = due_every(state.profile, topic)
    return every is None or age <= _INTERVALS * every
