"""Damage that the ledger must find: done to a database, looked at, and taken back.

Each damage is done inside a transaction that is rolled back, so that what is damaged is what is
audited otherwise, on the same engine and by the same statements, and stays as it was.
"""

import json
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bench.engines import Database
from bench.ledger import SECOND, Terms, audit, instant


class Place(NamedTuple):
    """The key of a reading; `ts` is as the driver gives it."""

    meter_id: int
    ts: Any


@dataclass(frozen=True)
class Victims:
    """Complete readings: of two meters in one tick, of the first in a later one, and of it in an
    acknowledged cycle where there are such.
    """

    first: Place
    neighbour: Place
    later: Place
    manual: Place | None


class Table:
    """Statements on `readings` and `gaps` over one connection."""

    def __init__(self, database: Database, connection: Any) -> None:
        self._database = database
        self._cursor = connection.cursor()

    def run(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """The rows of a statement; `?` stands for a parameter."""
        self._cursor.execute(self._database.spelled(sql), parameters)
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def vals(self, at: Place) -> Any:
        """As the driver gives it."""
        return self.run("SELECT vals FROM readings WHERE meter_id = ? AND ts = ?", *at)[0][0]

    def set_vals(self, at: Place, vals: Any) -> None:
        """Put other values in."""
        self.run("UPDATE readings SET vals = ? WHERE meter_id = ? AND ts = ?", vals, *at)

    def edit_vals(self, at: Place, edit: Callable[[list[Any]], list[Any]]) -> None:
        """Put in what `edit` makes of the values."""
        vals = self.vals(at)
        is_text = isinstance(vals, str)
        edited = edit(json.loads(vals) if is_text else vals)
        self.set_vals(at, json.dumps(edited) if is_text else edited)

    def victims(self, cycles: Container[int]) -> Victims:
        """Readings to damage; SystemExit when there are none. `cycles` are acknowledged starts."""
        ids = [row[0] for row in self.run("SELECT min(meter_id) FROM meters")]
        ids += [row[0] for row in self.run("SELECT max(meter_id) FROM meters")]
        ticks, others = (self._complete(meter_id, "scheduled") for meter_id in ids)
        both = [ts for ts in ticks if ts in set(others)]
        if len(both) < 2:
            raise SystemExit("no two meters have complete readings in two ticks")
        manual = [ts for ts in self._complete(ids[0], "NOT scheduled") if instant(ts) in cycles]
        return Victims(
            Place(ids[0], both[0]),
            Place(ids[1], both[0]),
            Place(ids[0], both[min(20, len(both) - 1)]),
            Place(ids[0], manual[0]) if manual else None,
        )

    def _complete(self, meter_id: int, kind: str) -> list[Any]:
        sql = f"SELECT ts FROM readings WHERE meter_id = ? AND {kind} AND gaps IS NULL ORDER BY ts"
        return [row[0] for row in self.run(f"{sql} LIMIT 100", meter_id)]


def _drop(table: Table, found: Victims) -> None:
    table.run("DELETE FROM readings WHERE meter_id = ? AND ts = ?", *found.first)


def _double(table: Table, found: Victims) -> None:
    end = _later(found.first.ts, 1000)
    sql = "INSERT INTO gaps (meter_id, from_ts, to_ts, reason) VALUES (?, ?, ?, 'overrun')"
    table.run(sql, *found.first, end)


def _swap_meters(table: Table, found: Victims) -> None:
    _swap(table, found.first, found.neighbour)


def _swap_ticks(table: Table, found: Victims) -> None:
    _swap(table, found.first, found.later)


def _swap(table: Table, one: Place, two: Place) -> None:
    values = table.vals(one), table.vals(two)
    table.set_vals(one, values[1])
    table.set_vals(two, values[0])


def _swap_metrics(table: Table, found: Victims) -> None:
    table.edit_vals(found.first, lambda vals: [vals[1], vals[0], *vals[2:]])


def _tear(table: Table, found: Victims) -> None:
    table.edit_vals(found.first, lambda vals: [None, *vals[1:]])


def _drop_manual(table: Table, found: Victims) -> None:
    assert found.manual
    table.run("DELETE FROM readings WHERE meter_id = ? AND ts = ?", *found.manual)


def _double_manual(table: Table, found: Victims) -> None:
    assert found.manual
    sql = (
        "INSERT INTO readings (meter_id, ts, read_at, scheduled, vals) SELECT meter_id, ?, read_at,"
        " scheduled, vals FROM readings WHERE meter_id = ? AND ts = ?"
    )
    table.run(sql, _later(found.manual.ts, 1000), *found.manual)


class Damage(NamedTuple):
    """What is done, the column of the account that must show it, and by at least how much:
    `least` times the topics of a meter, or `least` as it is.
    """

    do: Callable[[Table, Victims], None]
    column: str
    least: int
    per_topic: bool = True


DAMAGES: Sequence[Damage] = (
    Damage(_drop, "missing", 1),
    Damage(_double, "doubled", 1),
    Damage(_swap_meters, "misplaced", 2),
    Damage(_swap_ticks, "misplaced", 2),
    Damage(_swap_metrics, "misplaced", 2, per_topic=False),
    Damage(_tear, "torn", 1, per_topic=False),
)
MANUAL_DAMAGES: Sequence[Damage] = (
    Damage(_drop_manual, "lost", 1),
    Damage(_double_manual, "doubled", 1),
)


def caught(database: Database, damages: Sequence[Damage], metrics: int, terms: Terms) -> int:
    """How many of the damages an audit finds as what they are; `metrics` are those of a meter."""
    connection, found = database.connect(), 0
    try:
        table = Table(database, connection)
        victims = table.victims({cycle.started for cycle in terms.acknowledged})
        near = replace(terms, until=min(terms.until, _latest(victims) + 10 * SECOND))
        before = audit(connection, near)
        for damage in damages:
            table.run("BEGIN")
            damage.do(table, victims)
            after = audit(connection, near)
            table.run("ROLLBACK")
            more = getattr(after, damage.column) - getattr(before, damage.column)
            found += more >= damage.least * (metrics if damage.per_topic else 1)
        if audit(connection, near) != before:
            raise SystemExit(f"{database.title}: damage was not taken back")
    finally:
        connection.close()
    return found


def _latest(found: Victims) -> int:
    """When the last of them was read."""
    return max(instant(place.ts) for place in (found.later, found.manual) if place)


def _later(ts: Any, microseconds: int) -> Any:
    step = timedelta(microseconds=microseconds)
    if isinstance(ts, str):
        return (datetime.fromisoformat(ts) + step).isoformat(" ", "microseconds")
    return ts + step
