"""Where the values of a topic are, for whoever has values that no recorder wrote.

Topics are found by their full name or created as `registry` would create them, with the same
slots; what a topic is said to be (`meta`) is never changed here. All in the caller's transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from emdc.errors import ConfigError
from emdc.reading import Topic
from emdc.storage.registry import Topics, ids_of_meters, meta_text
from emdc.storage.schema import topics

_NONE: Final[Mapping[str, Any]] = MappingProxyType({})


class Place(NamedTuple):
    """Where the values of a topic are."""

    topic_id: int
    meter_id: int
    slot: int
    new: bool
    """It had no place before."""


def split(topic_name: str) -> tuple[str, str]:
    """Meter and metric: all before the last slash, and the rest.

    A name without a slash is both: its meter has that one topic.
    """
    meter, slash, metric = topic_name.rpartition("/")
    if slash and not (meter and metric):
        raise ConfigError(f"topic {topic_name}: no name at one side of its last slash")
    return meter or metric, metric


def names_of(connection: Connection, topic_ids: Iterable[int]) -> dict[int, str]:
    """Full names of those of these topics that exist."""
    wanted = frozenset(topic_ids)
    if not wanted:
        return {}
    rows = connection.execute(select(topics.c.topic_id, topics.c.topic_name))
    return {row.topic_id: row.topic_name for row in rows if row.topic_id in wanted}


def place(
    connection: Connection,
    names: Sequence[str],
    *,
    numbers: Mapping[str, int] = _NONE,
    units: Mapping[str, str] = _NONE,
) -> dict[str, Place]:
    """Places of topics by full name; what is missing of meters, topics and meta is created.

    A new topic gets the next free slot of its meter, the number that `numbers` has for its name,
    and a unit. Topics that have a slot stay as they are. Raises ConfigError when a number belongs
    to another topic, or a topic has another number.
    """
    registered = Topics(connection)
    found = {}
    for name in dict.fromkeys(names):
        row = registered.known.get(name)
        if row is not None and row.meter_id is not None:
            found[name] = Place(row.topic_id, row.meter_id, row.slot, new=False)
    _check_numbers(registered, numbers)
    # Those with a number first, so that no other new topic takes it.
    missing = sorted(
        (n for n in dict.fromkeys(names) if n not in found), key=lambda n: n not in numbers
    )
    meter_ids = ids_of_meters(connection, list(dict.fromkeys(split(name)[0] for name in missing)))
    for name in missing:
        meter, metric = split(name)
        topic_id, slot = registered.take(name, meter_ids[meter], numbers.get(name))
        registered.meta[topic_id] = meta_text(Topic(metric, units.get(name, "")))
        found[name] = Place(topic_id, meter_ids[meter], slot, new=True)
    registered.write(keep_meta=True)
    return found


def _check_numbers(registered: Topics, numbers: Mapping[str, int]) -> None:
    owners = {row.topic_id: name for name, row in registered.known.items()}
    for name, number in numbers.items():
        row = registered.known.get(name)
        if row is not None and row.topic_id != number:
            raise ConfigError(f"topic {name}: has the number {row.topic_id}, not {number}")
        if owners.setdefault(number, name) != name:
            raise ConfigError(f"topic {name}: the number {number} belongs to {owners[number]}")
