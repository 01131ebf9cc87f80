"""Whether a database is whole: its pages, its keys, and that each row says what a row may say.

`conservation` counts what is there; here it is asked whether it can be believed. Reads only.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, func, literal_column, select, text
from sqlalchemy.exc import SQLAlchemyError

from emdc.storage.database import connected
from emdc.storage.intervals import checks as interval_checks
from emdc.storage.schema import gaps, meta, metadata, meters, readings, schedules, topics
from emdc.storage.urls import reason

_EXAMPLES: Final = 3
_PAGES: Final = 20
_AMCHECK: Final = "SELECT 1 FROM pg_extension WHERE extname = 'amcheck'"

_reasons: Final = msgspec.json.Decoder(dict[str, list[int]])
_slots: Final = msgspec.json.Decoder(list[int])
_about: Final = msgspec.json.Decoder(dict[str, Any])


class Finding(NamedTuple):
    """Something that is not as it should be."""

    what: str
    """One line: what, where, and what was expected."""
    damage: bool = True
    """False: strange, and nothing is lost by it."""


def examine(engine: Engine) -> Iterator[Finding]:
    """Everything that is found, as it is found. Raises StorageError when the database fails."""
    with connected(engine) as connection:
        broken = list(_ENGINES[connection.dialect.name](connection))
        yield from broken
        if broken:
            # What a damaged page answers is worth nothing.
            return
        yield from _topics(connection)
        yield from _meta(connection)
        yield from _strays(connection)
        yield from _ranges(connection)
        names = connection.execute(select(meters.c.meter_id, meters.c.name)).all()
        slots = _slots_by_meter(connection)
        for meter_id, name in names:
            yield from _readings(connection, meter_id, (name, slots.get(meter_id, 0)))
            yield from _schedules(connection, meter_id, (name, slots.get(meter_id, 0)))
        yield from map(Finding, interval_checks.contents(connection))


def unchecked(engine: Engine) -> str | None:
    """What `examine` does not look at here, and how to let it; None when it looks at everything."""
    if engine.dialect.name != "postgresql":
        return None
    with connected(engine) as connection:
        if connection.exec_driver_sql(_AMCHECK).first() is not None:
            return None
    return "indexes are not looked at: CREATE EXTENSION amcheck in the database lets it"


def _sqlite(connection: Connection) -> Iterator[Finding]:
    for row in connection.exec_driver_sql(f"PRAGMA quick_check({_PAGES})"):
        if row[0] != "ok":
            yield Finding(f"the file is damaged: {row[0]}; restore it from a copy")


def _mysql(connection: Connection) -> Iterator[Finding]:
    for table in metadata.sorted_tables:
        for row in connection.exec_driver_sql(f"CHECK TABLE {table.name}"):
            if str(row[2]).lower() in {"error", "warning"}:
                yield Finding(f"table {table.name}: {row[3]}; restore it from a copy")


def _postgresql(connection: Connection) -> Iterator[Finding]:
    """By amcheck where it is installed; without it PostgreSQL checks a page when it reads it."""
    if connection.exec_driver_sql(_AMCHECK).first() is None:
        return
    names = {table.name for table in metadata.sorted_tables}
    ours = "SELECT indexrelid::regclass::text, indrelid::regclass::text FROM pg_index"
    indexes = [index for index, table in connection.execute(text(ours)) if table in names]
    for index in indexes:
        try:
            with connection.begin_nested():
                connection.execute(
                    text("SELECT bt_index_check(CAST(:i AS regclass))"), {"i": index}
                )
        except SQLAlchemyError as error:
            yield Finding(f"index {index}: {reason(error)}; run REINDEX")


_ENGINES: Final = {
    "sqlite": _sqlite,
    "mysql": _mysql,
    "mariadb": _mysql,
    "postgresql": _postgresql,
}

# What is no array of numbers, texts and nulls, or longer than its meter has slots.
_BAD_VALUES: Final = {
    "sqlite": "CASE WHEN json_valid(vals) THEN json_type(vals) <> 'array'"
    " OR json_array_length(vals) > {width} OR (instr(vals, '{{') OR instr(substr(vals, 2), '[')"
    " OR instr(vals, 'e')) AND EXISTS (SELECT 1 FROM json_each(vals)"
    " WHERE json_each.type IN ('object', 'array', 'true', 'false')) ELSE 1 END",
    "mysql": "CASE WHEN JSON_VALID(vals) THEN JSON_TYPE(vals) <> 'ARRAY'"
    " OR JSON_LENGTH(vals) > {width} ELSE 1 END",
    "postgresql": "coalesce(cardinality(vals), 0) > {width} OR array_ndims(vals) > 1"
    " OR vals && ARRAY['NaN', 'Infinity', '-Infinity']::float8[]",
}
_BAD_VALUES["mariadb"] = _BAD_VALUES["mysql"]


def _slots_by_meter(connection: Connection) -> dict[int, int]:
    """How many slots each meter has; they are counted from 0 without a hole."""
    query = select(topics.c.meter_id, func.max(topics.c.slot) + 1).group_by(topics.c.meter_id)
    return {meter: int(count) for meter, count in connection.execute(query) if meter is not None}


def _topics(connection: Connection) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    known = set(connection.execute(select(meters.c.meter_id)).scalars())
    query = select(topics.c.topic_name, topics.c.meter_id, topics.c.slot)
    for name, meter_id, slot in connection.execute(query):
        twin = seen.setdefault(name.casefold(), name)
        if twin != name:
            yield Finding(f"topics {twin} and {name} differ in case alone", damage=False)
        if (meter_id is None) != (slot is None) or (slot is not None and slot < 0):
            yield Finding(f"topic {name}: meter {meter_id} and slot {slot} do not go together")
        elif meter_id is not None and meter_id not in known:
            yield Finding(f"topic {name}: no meter {meter_id}")


def _meta(connection: Connection) -> Iterator[Finding]:
    for topic_id, about in connection.execute(select(meta.c.topic_id, meta.c.metadata)):
        try:
            _about.decode(about)
        except msgspec.MsgspecError:
            yield Finding(f"meta of topic {topic_id}: {about[:80]!r}, expected a JSON object")


def _strays(connection: Connection) -> Iterator[Finding]:
    """Rows of meters that do not exist, which a database without its keys may hold."""
    known = select(meters.c.meter_id)
    for table in (readings, gaps, schedules):
        query = select(table.c.meter_id).where(table.c.meter_id.not_in(known)).distinct()
        for meter_id in connection.execute(query.limit(_EXAMPLES)).scalars():
            yield Finding(f"table {table.name}: rows of meter {meter_id}, which does not exist")
    yield from map(Finding, interval_checks.strays(connection))


def _ranges(connection: Connection) -> Iterator[Finding]:
    query = select(gaps.c.meter_id, gaps.c.from_ts, gaps.c.to_ts, gaps.c.reason)
    for row in connection.execute(query.where(gaps.c.from_ts > gaps.c.to_ts).limit(_EXAMPLES)):
        yield Finding(
            f"gap of meter {row.meter_id} from {row.from_ts} to {row.to_ts}: ends before it begins"
        )


def _readings(connection: Connection, meter_id: int, meter: tuple[str, int]) -> Iterator[Finding]:
    name, width = meter
    mine = readings.c.meter_id == meter_id
    bad: ColumnElement[bool] = literal_column(
        _BAD_VALUES[connection.dialect.name].format(width=width)
    )
    for ts in connection.execute(select(readings.c.ts).where(mine, bad).limit(_EXAMPLES)).scalars():
        yield Finding(
            f"{name} at {ts}: values that are no array of at most {width} numbers and texts"
        )
    query = select(readings.c.ts, readings.c.gaps).where(mine, readings.c.gaps.is_not(None))
    found = 0
    for ts, reasons in connection.execute(query.execution_options(yield_per=1000)):
        if found < _EXAMPLES and not _is_reasons(reasons, width):
            found += 1
            yield Finding(f"{name} at {ts}: gaps {reasons[:80]!r}, expected reasons with slots")


def _is_reasons(reasons: str, width: int) -> bool:
    try:
        found = _reasons.decode(reasons)
    except msgspec.MsgspecError:
        return False
    return all(0 <= slot < width for slots in found.values() for slot in slots)


def _schedules(connection: Connection, meter_id: int, meter: tuple[str, int]) -> Iterator[Finding]:
    name, width = meter
    query = select(schedules.c.from_ts, schedules.c.slots)
    for from_ts, slots in connection.execute(query.where(schedules.c.meter_id == meter_id)):
        if not _is_slots(slots, width):
            yield Finding(
                f"{name}: schedule of {from_ts} with slots {slots[:80]!r}, expected 0 to"
                f" {width - 1}"
            )


def _is_slots(slots: str, width: int) -> bool:
    try:
        found: Sequence[Any] = _slots.decode(slots)
    except msgspec.MsgspecError:
        return False
    return all(0 <= slot < width for slot in found)
