"""What users say of counters: that a meter was swapped, that one was reset, or that it was not.

Each is a row of `counter_epochs` with the source `user`. It decides the step of the register over
its instant, so the quarter hours from there on are opened again in the same transaction; whoever
calls this has them made (`accounts`), else the collector does.
"""

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, Engine, delete, select

from emdc.energy.counter import MarkKind
from emdc.storage.database import connected, insert_all
from emdc.storage.instants import seconds_of, text_of
from emdc.storage.intervals.facts import USER, json_object
from emdc.storage.lateness import deleted_until, reopen
from emdc.storage.schema import counter_epochs, meta, topics


class Counter(NamedTuple):
    """A counter of a meter."""

    topic_id: int
    meter_id: int
    name: str
    """Of the topic, in full."""
    unit: str


class Said(NamedTuple):
    """What a user says of a counter at an instant."""

    kind: MarkKind
    before: float | None = None
    """The register's last value before it, in the topic's unit."""
    after: float | None = None
    """Its first value after it."""
    note: str = ""


def counters_of(engine: Engine, meter_id: int) -> list[Counter]:
    """The counters of a meter, in its order."""
    columns = (topics.c.topic_id, topics.c.topic_name, meta.c.metadata)
    query = select(*columns).join(meta, meta.c.topic_id == topics.c.topic_id)
    mine = query.where(topics.c.meter_id == meter_id).order_by(topics.c.slot)
    with connected(engine) as connection:
        rows = connection.execute(mine).all()
    abouts = [(row.topic_id, row.topic_name, json_object(row.metadata)) for row in rows]
    return [
        Counter(topic_id, meter_id, name, str(its.get("units") or ""))
        for topic_id, name, its in abouts
        if its.get("kind") == "counter"
    ]


def say(engine: Engine, counters: Collection[Counter], at: float, said: Said) -> None:
    """Let it be so of these counters from `at` on (seconds since 1970).

    It takes the place of what a user said of the same instant before.
    """
    row = {
        "from_ts": text_of(at),
        "kind": said.kind,
        "before_value": said.before,
        "after_value": said.after,
        "source": USER,
        "note": said.note,
    }
    with connected(engine, write=True) as connection:
        _forget(connection, counters, at)
        rows = [{"topic_id": counter.topic_id, **row} for counter in counters]
        insert_all(connection, counter_epochs, rows)
        _reopen(connection, counters, at)


def unsay(engine: Engine, counters: Collection[Counter], at: float) -> int:
    """Forget what a user said of these counters at `at`; gives of how many of them that was."""
    with connected(engine, write=True) as connection:
        gone = _forget(connection, counters, at)
        if gone:
            _reopen(connection, counters, at)
    return gone


def kept_from(engine: Engine, meter_id: int) -> float | None:
    """Where a meter's readings begin, when earlier ones were deleted; None: none were.

    Quarter hours before it stay as they are, whatever is said.
    """
    with connected(engine) as connection:
        end = deleted_until(connection, meter_id)
    return None if end is None else seconds_of(end)


def _forget(connection: Connection, counters: Collection[Counter], at: float) -> int:
    table = counter_epochs.c
    ids = [counter.topic_id for counter in counters]
    mine = (table.topic_id.in_(ids), table.from_ts == text_of(at), table.source == USER)
    return int(connection.execute(delete(counter_epochs).where(*mine)).rowcount)


def _reopen(connection: Connection, counters: Collection[Counter], at: float) -> None:
    for meter_id in sorted({counter.meter_id for counter in counters}):
        reopen(connection, meter_id, text_of(at))
