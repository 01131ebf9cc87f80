"""What the tables say of a meter that its quarter hours depend on, beside its readings.

What each slot holds, what its counters can do, what was due when, where a user or a change of
settings says that a counter began anew. Read before each fold: a few small rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, select

from emdc.energy.answers import CELL_S
from emdc.energy.cells import Due, MeterFacts, SlotFacts
from emdc.energy.counter import Mark, MarkKind, Rules
from emdc.reading import Kind
from emdc.storage.instants import seconds_of
from emdc.storage.lateness import deleted_until
from emdc.storage.schema import counter_epochs, meta, meter_settings, schedules, topics

USER: Final = "user"
FOUND: Final = "found"

_OF_POWER: Final = ("wh", "varh", "vah")
_PREFIXES: Final = {"": 1e3, "k": 1.0, "m": 1e-3, "g": 1e-6}
PER_KW: Final[Mapping[str, float]] = {
    f"{prefix}{unit}": most for prefix, most in _PREFIXES.items() for unit in _OF_POWER
}
"""Unit of a counter of energy in small letters → what one kW makes of it in an hour."""
_MOST_KW: Final = 100_000.0
"""Where nobody says how much a meter can measure."""
_RATIOS: Final = ("ct_ratio", "pt_ratio")

_object: Final = msgspec.json.Decoder(dict[str, Any]).decode
_slots: Final = msgspec.json.Decoder(frozenset[int]).decode


@dataclass(frozen=True, slots=True)
class Subject:
    """One meter as it is to be folded."""

    meter_id: int
    facts: MeterFacts
    topics: Mapping[int, int]
    """Slot → topic_id."""
    said: Mapping[int, Sequence[float]]
    """Slot → instants at which a user says something of its counter, in order."""
    kept_from: float
    """No quarter hour before that is made again: readings of them were deleted. 0: none were."""


def subject(connection: Connection, meter_id: int) -> Subject:
    """What is known of a meter now."""
    columns = (topics.c.slot, topics.c.topic_id, meta.c.metadata)
    rows = connection.execute(
        select(*columns)
        .outerjoin(meta, meta.c.topic_id == topics.c.topic_id)
        .where(topics.c.meter_id == meter_id)
    ).all()
    settings = _settings(connection, meter_id)
    marks = _marks(connection, meter_id)
    ratios = _ratio_marks(settings)
    most_kw = _most_kw(settings)
    by_slot = {
        row.slot: _slot_facts(
            json_object(row.metadata), most_kw, (ratios, marks.get(row.topic_id, ()))
        )
        for row in rows
    }
    width = max(by_slot, default=-1) + 1
    return Subject(
        meter_id,
        MeterFacts(
            tuple(by_slot.get(slot, SlotFacts("text")) for slot in range(width)),
            _schedule(connection, meter_id),
        ),
        {row.slot: row.topic_id for row in rows},
        {row.slot: [mark.at for mark in marks.get(row.topic_id, ())] for row in rows},
        _kept_from(connection, meter_id),
    )


def _slot_facts(
    about: Mapping[str, Any], most_kw: float, marks: tuple[Sequence[Mark], Sequence[Mark]]
) -> SlotFacts:
    kind = _kind(about)
    if kind != "counter":
        return SlotFacts(kind)
    ratios, said = marks
    per_kw = PER_KW.get(str(about.get("units", "")).casefold())
    modulus = about.get("modulus")
    rules = Rules(
        max_rate=None if per_kw is None else per_kw * most_kw,
        modulus=float(modulus) if isinstance(modulus, int | float) and modulus > 0 else None,
    )
    # A transformer's ratio scales energies; hours and pulses stay as they are.
    mine = [*said, *(ratios if per_kw is not None else ())]
    return SlotFacts(kind, rules, tuple(sorted(mine, key=lambda mark: mark.at)))


def json_object(metadata: str | None) -> dict[str, Any]:
    """What JSON in `meta` or `meter_settings` says; nothing where others left something else."""
    try:
        return _object(metadata or "{}")
    except msgspec.MsgspecError:
        return {}


def _kind(about: Mapping[str, Any]) -> Kind:
    if about.get("kind") == "text" or about.get("type") == "string":
        return "text"
    return "counter" if about.get("kind") == "counter" else "gauge"


def _settings(connection: Connection, meter_id: int) -> list[tuple[float, Mapping[str, Any]]]:
    """What the meter's settings were from when on."""
    table = meter_settings.c
    query = select(table.from_ts, table.settings).where(table.meter_id == meter_id)
    rows = connection.execute(query.order_by(table.from_ts))
    return [(seconds_of(row.from_ts), json_object(row.settings)) for row in rows]


def _most_kw(settings: Sequence[tuple[float, Mapping[str, Any]]]) -> float:
    said = settings[-1][1].get("max_power") if settings else None
    return float(said) if isinstance(said, int | float) and said > 0 else _MOST_KW


def _ratio_marks(settings: Sequence[tuple[float, Mapping[str, Any]]]) -> list[Mark]:
    return [
        Mark(at, "ratio")
        for (_, before), (at, after) in pairwise(settings)
        if any(name in before and name in after and before[name] != after[name] for name in _RATIOS)
    ]


def _marks(connection: Connection, meter_id: int) -> dict[int, list[Mark]]:
    """What users say, by topic and in order of time."""
    table = counter_epochs.c
    mine = select(topics.c.topic_id).where(topics.c.meter_id == meter_id)
    said = select(counter_epochs).where(table.topic_id.in_(mine), table.source == USER)
    found: dict[int, list[Mark]] = {}
    for row in connection.execute(said.order_by(table.from_ts)):
        found.setdefault(row.topic_id, []).append(_mark(row))
    return found


def _mark(row: Row[Any]) -> Mark:
    kind: MarkKind = row.kind
    return Mark(seconds_of(row.from_ts), kind, row.before_value, row.after_value)


def _schedule(connection: Connection, meter_id: int) -> tuple[Due, ...]:
    table = schedules.c
    query = select(schedules).where(table.meter_id == meter_id)
    rows = connection.execute(query.order_by(table.from_ts, table.interval_s))
    return tuple(
        Due(seconds_of(row.from_ts), float(row.interval_s), _slots(row.slots)) for row in rows
    )


def _kept_from(connection: Connection, meter_id: int) -> float:
    last = deleted_until(connection, meter_id)
    return -(-seconds_of(last) // CELL_S) * CELL_S if last else 0.0
