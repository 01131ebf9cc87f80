"""Wrong values that the oracle must find: put into a database, looked at, and taken back.

What a client without one of its checks would store: the values of another meter, of the answer to
another request, of the reading before, of a copy that was not the answer, and so on.
"""

import itertools
import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from bench.truth_oracle import NONCE_BITS, Log, audit


class Row(NamedTuple):
    """A complete reading."""

    meter_id: int
    ts: str
    values: list[int]


@dataclass(frozen=True)
class Victims:
    """A complete reading, the complete one before it, and one of another meter."""

    row: Row
    before: Row
    other: Row
    log: Log

    def replies(self, *, good: bool) -> list[int]:
        """Nonces of answers of this meter."""
        meter = self.row.values[0] >> NONCE_BITS + 7
        return [
            nonce
            for nonce, answer in self.log.answers.items()
            if answer.meter == meter and answer.good is good
        ]


Sabotage: TypeAlias = Callable[[Victims], Sequence[tuple[Row, list[Any]]]]
"""Rows with the values that they get."""


def _swap_meters(found: Victims) -> Sequence[tuple[Row, list[Any]]]:
    return (found.row, found.other.values), (found.other, found.row.values)


def _off_by_one_request(found: Victims) -> Sequence[tuple[Row, list[Any]]]:
    values = found.row.values
    return ((found.row, [*values[-4:], *values[:-4]]),)


def _stale_reading(found: Victims) -> Sequence[tuple[Row, list[Any]]]:
    return ((found.row, found.before.values),)


def _stale_value(found: Victims) -> Sequence[tuple[Row, list[Any]]]:
    return ((found.row, [found.before.values[0], *found.row.values[1:]]),)


def _not_the_answer(found: Victims) -> Sequence[tuple[Row, list[Any]]]:
    nonce, mask = found.replies(good=False)[0], (1 << NONCE_BITS) - 1
    return ((found.row, [value & ~mask | nonce for value in found.row.values]),)


def _torn(found: Victims) -> Sequence[tuple[Row, list[Any]]]:
    high, low = found.row.values[0], found.before.values[0]
    return ((found.row, [high >> 16 << 16 | low & 0xFFFF, *found.row.values[1:]]),)


def _one_off(found: Victims) -> Sequence[tuple[Row, list[Any]]]:
    return ((found.row, [found.row.values[0] + 1, *found.row.values[1:]]),)


SABOTAGES: Mapping[str, tuple[Sabotage, int]] = {
    # how many values are wrong then: 12 are those of a reading
    "two meters swapped": (_swap_meters, 24),
    "off by one request": (_off_by_one_request, 12),
    "the reading before": (_stale_reading, 12),
    "one value of the reading before": (_stale_value, 1),
    "an answer that was not right": (_not_the_answer, 12),
    "a value torn between two answers": (_torn, 1),
    "a value that is one too high": (_one_off, 1),
}


def uncaught(database: sqlite3.Connection, log: Log) -> list[str]:
    """The sabotages of which the oracle does not find each wrong value, and no other one."""
    victims, before = _victims(database, log), audit(database, log).wrong.total()
    missed = []
    for name, (sabotage, wrong) in SABOTAGES.items():
        for row, values in sabotage(victims):
            database.execute(
                "UPDATE readings SET vals = ? WHERE meter_id = ? AND ts = ?",
                (json.dumps(values), row.meter_id, row.ts),
            )
        found = audit(database, log).wrong.total() - before
        database.rollback()
        if found != wrong:
            missed.append(f"{name}: found {found}, expected {wrong}")
    return missed


def _victims(database: sqlite3.Connection, log: Log) -> Victims:
    sql = (
        "SELECT meter_id, ts, vals FROM readings r WHERE gaps IS NULL AND (SELECT count(*) FROM"
        " topics t WHERE t.meter_id = r.meter_id) = json_array_length(vals) ORDER BY meter_id, ts"
    )
    rows = [Row(meter_id, ts, json.loads(vals)) for meter_id, ts, vals in database.execute(sql)]
    for before, row in itertools.pairwise(rows):
        others = (other for other in rows if other.ts == row.ts and other.meter_id != row.meter_id)
        found = Victims(row, before, next(others, row), log)
        if before.meter_id == row.meter_id and found.other is not row and found.replies(good=False):
            return found
    raise SystemExit("no readings to do damage to: no meter was read without a gap twice in a row")
