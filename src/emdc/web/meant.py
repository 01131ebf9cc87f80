"""Which topic a question about the past means, and what is said when it means none.

HTTP and commands ask here, so that both say the same; each adds where the name was given. Whoever
asks for energy hears of counters. Loads no framework: commands start with it.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Final, Protocol

from emdc.energy.answers import POWERS, TopicFacts
from emdc.errors import ConfigError

MOST_NAMED: Final = 8
"""Topics of a meter that are named."""

_EXAMPLES: Final = 3
_MOST_TOPICS: Final = 10_000
"""That are looked through for those of one meter."""
_LOOKED_AT: Final = 2000
_NEAR: Final = 0.5


class NoTopicError(ConfigError, LookupError):
    """A name that is no topic's; the text has those that may be meant."""


class Stored(Protocol):
    """The part of stored history that knows names."""

    def topic(self, name: str) -> TopicFacts:
        """What is known of a topic; a ConfigError that is a LookupError when there is none."""

    def search(self, text: str, limit: int, offset: int = 0) -> Sequence[TopicFacts]:
        """Stored topics whose names have every word of `text`, in order of name."""


def topic_of(stored: Stored, name: str, *, energy: bool = False) -> TopicFacts:
    """What is known of a topic; with `energy` one is wanted that has an energy.

    Raises a ConfigError that is a LookupError: of a meter's name with its topics, of another one
    with the nearest.
    """
    try:
        return stored.topic(name)
    except ConfigError as error:
        if not isinstance(error, LookupError):
            raise
        said = _said(stored, name, energy=energy)
        if said is None:
            raise
        raise NoTopicError(said) from error


def topics_of(stored: Stored, meter: str) -> list[TopicFacts]:
    """The topics of a meter, in order of name; none when there is no such meter."""
    found = stored.search(f"{meter}/", _MOST_TOPICS) if meter else ()
    return [topic for topic in found if topic.name.rpartition("/")[0] == meter]


def missing(stored: Stored, *, energy: bool = False) -> str:
    """What is said when no topic was named."""
    kind, topics = "topic", stored.search("", _LOOKED_AT if energy else _EXAMPLES)
    if energy:
        kind, topics = _with_energy(topics)
    some = f", such as {_or(topics)}" if topics else "; the database has none"
    return f"missing, expected a {kind}{some}"


def _said(stored: Stored, name: str, *, energy: bool) -> str | None:
    """What is said of a name that is no topic's; None: what the storage says is as good."""
    if mine := topics_of(stored, name.rstrip("/")):
        return _of_meter(name, mine, energy=energy)
    if not energy or _is_metric(stored, name):
        return None
    mine = topics_of(stored, name.rpartition("/")[0])
    kind, topics = _with_energy(mine or stored.search("", _LOOKED_AT))
    if not topics:
        return None
    # Of one meter all names begin alike, which would make all of them near.
    by_metric = bool(mine) or "/" not in name
    spelled = {_last(topic.name) if by_metric else topic.name: topic for topic in topics}
    wanted = _last(name) if by_metric else name
    if near := get_close_matches(wanted, spelled, n=_EXAMPLES, cutoff=_NEAR):
        return f"no topic is called {name!r}, did you mean {_or([spelled[one] for one in near])}"
    return f"no topic is called {name!r}, expected a {kind}, such as {_or(topics)}"


def _is_metric(stored: Stored, name: str) -> bool:
    """Whether topics end so: then it is that of several meters."""
    return any(t.name.endswith(f"/{name}") for t in stored.search(f"/{name}", _LOOKED_AT))


def _of_meter(name: str, mine: Sequence[TopicFacts], *, energy: bool) -> str:
    if not energy:
        return f"{name!r} is a meter, expected one of its topics: {_some(mine)}"
    kind, topics = _with_energy(mine)
    if not topics:
        return f"meter {name} has no counter and no power in {', '.join(POWERS)}, expected another"
    if kind == "power":
        return f"meter {name} has no counter, expected a power of it, such as {_some(topics)}"
    return f"{name!r} is a meter, expected one of its counters: {_some(topics)}"


def _with_energy(topics: Sequence[TopicFacts]) -> tuple[str, Sequence[TopicFacts]]:
    """The counters; where there is none, the powers."""
    if counters := [topic for topic in topics if topic.kind == "counter"]:
        return "counter", counters
    powers = [topic for topic in topics if topic.kind == "gauge" and topic.unit in POWERS]
    return ("power" if powers else "counter"), powers


def _some(topics: Sequence[TopicFacts]) -> str:
    names = ", ".join(topic.name for topic in topics[:MOST_NAMED])
    left = len(topics) - MOST_NAMED
    return f"{names} and {left:,} more" if left > 0 else names


def _or(topics: Sequence[TopicFacts]) -> str:
    return " or ".join(topic.name for topic in topics[:_EXAMPLES])


def _last(name: str) -> str:
    return name.rpartition("/")[2]
