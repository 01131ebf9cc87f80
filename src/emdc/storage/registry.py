"""What the database must know before readings come: meters, topics, settings, schedules, downtime.

The recorder's start calls `claim` and then `owe`, each in a transaction of its own and with a few
statements however many meters there are; `register` is both in one. Slots never change and are
never given twice; a schedule never changes for ticks that are past.
"""

import socket
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, Row, bindparam, insert, select, update

from emdc.errors import ConfigError
from emdc.reading import MeterProfile, Topic
from emdc.storage import downtime
from emdc.storage.claim import elsewhere
from emdc.storage.database import insert_all
from emdc.storage.instants import first_tick, to_text
from emdc.storage.layout import MeterLayout
from emdc.storage.schema import meta, meter_settings, meters, schedules, topics

_NAME_CHARS: Final = 512
_COLLECTOR: Final = "collector"
"""Setting of a meter in a server's database: the host whose collector records it."""

Groups: TypeAlias = Mapping[float, Sequence[int]]
"""Slots by interval in seconds."""


def register(
    connection: Connection,
    profiles: Sequence[MeterProfile],
    now: datetime,
    *,
    scheduled: bool = True,
) -> dict[str, MeterLayout]:
    """Record what is configured from `now` on; gives each meter's layout by its name.

    Every tick from the first at or after `now` is owed from then on; ticks before that which the
    last run did not answer become a gap. With `scheduled` false only readings by hand come, and
    what is owed stays as it is. Raises ConfigError when two meters claim one topic.
    """
    return owe(connection, profiles, claim(connection, profiles), now, scheduled=scheduled)


class Claimed(NamedTuple):
    """Where each metric of the configured meters lies."""

    meter_ids: Mapping[str, int]
    """Of all meters of the database, by name."""
    slots: Mapping[str, Mapping[str, int]]
    """Slots of the configured meters, by meter and metric."""


def claim(connection: Connection, profiles: Sequence[MeterProfile]) -> Claimed:
    """Give every configured metric its slot, and new topics their rows.

    Raises ConfigError when two meters claim one topic.
    """
    meter_ids = ids_of_meters(connection, [profile.name for profile in profiles])
    return Claimed(meter_ids, Topics(connection).claim(profiles, meter_ids))


def owe(  # noqa: PLR0913 (as `register`, for meters that join it too)
    connection: Connection,
    profiles: Sequence[MeterProfile],
    claimed: Claimed,
    now: datetime,
    *,
    scheduled: bool,
    joins: bool = False,
) -> dict[str, MeterLayout]:
    """Record what is due from `now` on, and why nothing came since the last run; see `register`.

    With `joins` these are meters that join a run: the others of it stay as they are.
    """
    others = of_others(connection, profiles, claimed.meter_ids)
    whole = scheduled and not joins
    if whole:
        downtime.record(connection, now, others)
    open_now = downtime.open_schedules(connection)
    layouts = {}
    for profile in profiles:
        meter_id, mine = claimed.meter_ids[profile.name], claimed.slots[profile.name]
        before = open_now.pop(meter_id, ())
        groups = _groups(profile, mine)
        ticks = frozenset(groups) if scheduled else frozenset(group.interval_s for group in before)
        if scheduled:
            _record_schedules(connection, meter_id, (groups, before), now)
        digits = {topic.name: topic.digits for topic in profile.topics}
        layouts[profile.name] = MeterLayout(profile.name, meter_id, mine, digits, ticks)
    if whole:
        for meter_id, before in open_now.items():
            if meter_id in others:
                continue
            _record_schedules(connection, meter_id, ({}, before), now)
    settings = {claimed.meter_ids[profile.name]: profile.settings for profile in profiles}
    _record_settings(connection, settings, now)
    return layouts


def ids_of_meters(connection: Connection, names: Sequence[str]) -> dict[str, int]:
    """Ids of all meters of the database by name, with `names` among them."""
    query = select(meters.c.name, meters.c.meter_id)
    known = {row.name: row.meter_id for row in connection.execute(query)}
    missing = [name for name in names if name not in known]
    for name in missing:
        _check_length(name)
    if missing:
        insert_all(connection, meters, [{"name": name} for name in missing])
        known = {row.name: row.meter_id for row in connection.execute(query)}
    return known


def of_others(
    connection: Connection, profiles: Sequence[MeterProfile], known: Mapping[str, int]
) -> frozenset[int]:
    """Meters that other processes record into this database: what is owed is their affair."""
    names = known.keys() - {profile.name for profile in profiles}
    mine = frozenset(known[name] for name in elsewhere(connection, names))
    if not _is_shared(connection):
        return mine
    here = socket.gethostname()
    others = {
        meter_id
        for meter_id, row in _newest_settings(connection).items()
        if msgspec.json.decode(row.settings).get(_COLLECTOR, here) != here
    }
    return mine | (others & {known[name] for name in names})


def _is_shared(connection: Connection) -> bool:
    """Whether collectors on several machines may record into this database."""
    return connection.dialect.name != "sqlite"


class Topics:
    """The topics of the database, and what is to be added to them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        rows = connection.execute(select(topics)).all()
        self.known: Final = {row.topic_name: row for row in rows}
        """Rows by name, as they were at first."""
        self.meta: Final[dict[int, str]] = {}
        """What `write` is to say of topics, by their id."""
        self._next_id = max((row.topic_id for row in rows), default=0) + 1
        self._next_slot: dict[int, int] = {}
        for row in rows:
            if row.meter_id is not None:
                free = max(row.slot + 1, self._next_slot.get(row.meter_id, 0))
                self._next_slot[row.meter_id] = free
        self._given: set[str] = set()
        self._new: list[dict[str, Any]] = []
        self._adopted: list[dict[str, Any]] = []

    def claim(
        self, profiles: Sequence[MeterProfile], meter_ids: Mapping[str, int]
    ) -> dict[str, dict[str, int]]:
        """Slots by meter and metric; a metric without a slot gets its meter's next free one."""
        slots = {
            profile.name: {
                topic.name: self._slot(profile.name, meter_ids[profile.name], topic)
                for topic in profile.topics
            }
            for profile in profiles
        }
        self.write()
        return slots

    def take(self, name: str, meter_id: int, topic_id: int | None = None) -> tuple[int, int]:
        """Id and slot of a topic that has no slot yet: the next free slot of its meter.

        A topic of the old collector keeps its id; a new one gets `topic_id`, which must be free.
        """
        slot = self._next_slot.get(meter_id, 0)
        self._next_slot[meter_id] = slot + 1
        place = {"meter_id": meter_id, "slot": slot}
        self._given.add(name)
        row = self.known.get(name)
        if row is not None:
            self._adopted.append({"found": row.topic_id, **place})
            return int(row.topic_id), slot
        _check_length(name)
        number = self._next_id if topic_id is None else topic_id
        self._next_id = max(self._next_id, number + 1)
        self._new.append({"topic_id": number, "topic_name": name, **place})
        return number, slot

    def write(self, *, keep_meta: bool = False) -> None:
        """Add what was taken, and write `meta`; with `keep_meta` only where there is none yet."""
        insert_all(self._connection, topics, self._new)
        if self._adopted:
            by_id = update(topics).where(topics.c.topic_id == bindparam("found"))
            self._connection.execute(by_id, self._adopted)
        self._write_meta(keep_meta=keep_meta)

    def _slot(self, meter: str, meter_id: int, topic: Topic) -> int:
        name = f"{meter}/{topic.name}"
        row = self.known.get(name)
        if row is not None and row.meter_id == meter_id:
            self.meta[row.topic_id] = meta_text(topic)
            return int(row.slot)
        if name in self._given or (row is not None and row.meter_id is not None):
            raise ConfigError(f"topic {name}: already recorded for another meter, rename {meter}")
        topic_id, slot = self.take(name, meter_id)
        self.meta[topic_id] = meta_text(topic)
        return slot

    def _write_meta(self, *, keep_meta: bool) -> None:
        known = {row.topic_id: row.metadata for row in self._connection.execute(select(meta))}
        new, changed = [], []
        for topic_id, text in self.meta.items():
            if topic_id not in known:
                new.append({"topic_id": topic_id, "metadata": text})
            elif known[topic_id] != text and not keep_meta:
                changed.append({"found": topic_id, "metadata": text})
        insert_all(self._connection, meta, new)
        if changed:
            by_id = update(meta).where(meta.c.topic_id == bindparam("found"))
            self._connection.execute(by_id, changed)


def meta_text(topic: Topic) -> str:
    """What `meta` says of a topic, as JSON."""
    kind = "string" if topic.kind == "text" else "float"
    about = {"units": topic.unit, "tz": "UTC", "type": kind, "kind": topic.kind}
    return _json(about if topic.modulus is None else {**about, "modulus": topic.modulus})


def _check_length(name: str) -> None:
    if len(name) > _NAME_CHARS:
        raise ConfigError(
            f"topic {name[:40]}...: {len(name)} characters, expected at most {_NAME_CHARS}"
        )


def _record_settings(
    connection: Connection, settings: Mapping[int, Mapping[str, str | float]], now: datetime
) -> None:
    """Write the settings, by meter, that differ from the newest ones."""
    table, from_ts = meter_settings, to_text(now)
    newest = _newest_settings(connection)
    where = {_COLLECTOR: socket.gethostname()} if _is_shared(connection) else {}
    for meter_id, mine in settings.items():
        text = _json(dict(sorted({**mine, **where}.items())))
        before = newest.get(meter_id)
        if before is not None and before.settings == text:
            continue
        key = {"meter_id": meter_id, "from_ts": from_ts}
        if before is not None and before.from_ts == from_ts:
            connection.execute(update(table).filter_by(**key).values(settings=text))
        else:
            connection.execute(insert(table).values(settings=text, **key))


def _newest_settings(connection: Connection) -> dict[int, Row[Any]]:
    query = select(meter_settings).order_by(meter_settings.c.from_ts)
    return {row.meter_id: row for row in connection.execute(query)}


def _groups(profile: MeterProfile, slots: Mapping[str, int]) -> dict[float, list[int]]:
    """Slots by interval; empty when the meter is read only when asked."""
    groups: dict[float, list[int]] = {}
    if profile.interval_s is not None:
        for topic in profile.topics:
            interval_s = topic.interval_s or profile.interval_s
            groups.setdefault(float(interval_s), []).append(slots[topic.name])
    return {interval: sorted(group) for interval, group in groups.items()}


def _record_schedules(
    connection: Connection,
    meter_id: int,
    change: tuple[Groups, Sequence[downtime.OpenSchedule]],
    now: datetime,
) -> None:
    """Write a row for each interval whose slots changed; one that is gone gets no slots."""
    groups, before = change[0], {group.interval_s: group.slots for group in change[1]}
    for interval in sorted(before.keys() | groups.keys()):
        slots = _json(groups.get(interval, []))
        if before.get(interval, "[]") == slots:
            continue
        from_ts = to_text(first_tick(now, interval))
        table = schedules
        mine = (table.c.meter_id == meter_id, table.c.interval_s == interval)
        # A row from a run that ended before its first tick owes nothing yet and may be corrected.
        upcoming = (*mine, table.c.from_ts >= from_ts)
        if connection.execute(select(table.c.from_ts).where(*upcoming)).first():
            connection.execute(update(table).where(*upcoming).values(slots=slots))
        else:
            values = {"meter_id": meter_id, "from_ts": from_ts, "interval_s": interval}
            connection.execute(insert(table).values(slots=slots, **values))


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
