"""Whether the quarter hours of a topic's meter are made, so that an answer from them can say so.

A collector has them a few minutes after their ends. They are far behind in a database that was
upgraded or filled by others, until a collector or `emdc intervals` has made them.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from sqlalchemy import Connection, Engine, select

from emdc.storage.database import connected
from emdc.storage.intervals.states import first_reading, last_reading, progress
from emdc.storage.past.samples import StoredTopic
from emdc.storage.schema import meters, topics

_LATE_S: Final = 2 * 3600
"""A collector makes a quarter hour within half an hour of its beginning; its last readings of a
counter that fell silent it may leave open for more than an hour."""


class Behind(NamedTuple):
    """A meter with readings of which nothing is made yet."""

    meter: str
    made_until: float | None
    """Seconds since 1970; None: nothing is made."""
    is_old: bool = False
    """Only the old collector has stored it. What it stored counts where its time zone is known."""


def behind(engine: Engine, names: Iterable[str]) -> list[Behind]:
    """The meters of these topics that are far behind, each once."""
    found: dict[str, Behind] = {}
    with connected(engine) as connection:
        for name in names:
            place = _place(connection, name)
            if place.meter not in found and (late := _late(connection, place)):
                found[place.meter] = late
    return list(found.values())


def _place(connection: Connection, name: str) -> StoredTopic:
    table = topics.c
    columns = (table.topic_name, table.topic_id, table.meter_id, table.slot)
    row = connection.execute(select(*columns).where(table.topic_name == name)).one()
    return StoredTopic(*row)


def _late(connection: Connection, place: StoredTopic) -> Behind | None:
    if place.meter_id is None:
        # It gets its place when quarter hours are made.
        return Behind(place.meter, None, is_old=True)
    known = progress(connection, place.meter_id)
    begin = first_reading(connection, place.meter_id) if known is None else known.next_at
    last = last_reading(connection, place.meter_id)
    if begin is None or last is None or last - begin <= _LATE_S:
        return None
    query = select(meters.c.name).where(meters.c.meter_id == place.meter_id)
    name = str(connection.execute(query).scalar_one())
    return Behind(name, None if known is None else known.next_at)
