"""Whether a database accounts for everything: each (topic, due tick) is one value or one gap.

Shares no code with EMDC: plain SQL over the documented tables, and Python sets. The meters are
those of modbus_server.c without an image, whose every value says which meter and metric it is and
when it was read, so that a right number in a wrong place is found too.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

SLACK_S = 0.25
"""How long before or after its second a value may have been read: clocks and a late answer."""


@dataclass(frozen=True)
class Account:
    """What was found for the (topic, due tick) pairs."""

    values: int
    gaps: int
    missing: int
    """Neither a value nor a gap."""
    doubled: int
    """More than one of them."""
    misplaced: int
    """Values of another meter, metric or tick, and values that no tick owed."""

    @property
    def closed(self) -> bool:
        """Nothing is missing, doubled or misplaced."""
        return not (self.missing or self.doubled or self.misplaced)


class Pair(NamedTuple):
    """One topic in one tick; `tick` is whole seconds since 1970 times 1000, as the rest here."""

    meter_id: int
    slot: int
    tick_ms: int


def audit(database: Path, *, until_ms: int, epoch_ms: int) -> Account:
    """The account of every tick that is due before `until_ms`.

    `epoch_ms` is what the simulated meters count their milliseconds from.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as reader:
        owed = set(_owed(reader, until_ms))
        identity = _identity(reader)
        found: Counter[Pair] = Counter()
        misplaced = values = gaps = 0
        for pair, value in _values(reader):
            if pair.tick_ms >= until_ms:
                continue
            found[pair] += 1
            values += 1
            misplaced += pair not in owed or not _fits(value, pair, identity, epoch_ms)
        for pair in _gaps(reader, owed):
            found[pair] += 1
            gaps += 1
    missing = sum(pair not in found for pair in owed)
    doubled = sum(count > 1 for count in found.values())
    return Account(values, gaps, missing, doubled, misplaced)


def _owed(reader: sqlite3.Connection, until_ms: int) -> Iterator[Pair]:
    """Every pair that is due; a schedule holds until the next of its meter and interval."""
    rows = reader.execute(
        "SELECT meter_id, from_ts, interval_s, slots,"
        " lead(from_ts) OVER (PARTITION BY meter_id, interval_s ORDER BY from_ts) FROM schedules"
    )
    for meter_id, from_ts, interval_s, slots, next_ts in rows:
        step = round(1000 * interval_s)
        end = min(_ms(next_ts), until_ms) if next_ts else until_ms
        for tick in range(-(-_ms(from_ts) // step) * step, end, step):
            for slot in json.loads(slots):
                yield Pair(meter_id, slot, tick)


def _identity(reader: sqlite3.Connection) -> dict[tuple[int, int], tuple[int, int]]:
    """(meter_id, slot) → (number of the meter, number of the metric), from their names."""
    rows = reader.execute(
        "SELECT meter_id, slot, name, topic_name FROM topics JOIN meters USING (meter_id)"
    )
    return {
        (meter_id, slot): (int(meter.rpartition("/")[2]), int(topic.rpartition("/k")[2]))
        for meter_id, slot, meter, topic in rows
    }


def _values(reader: sqlite3.Connection) -> Iterator[tuple[Pair, int]]:
    rows = reader.execute("SELECT meter_id, ts, vals FROM readings WHERE scheduled")
    for meter_id, ts, vals in rows:
        tick = _ms(ts)
        for slot, value in enumerate(json.loads(vals)):
            if value is not None:
                yield Pair(meter_id, slot, tick), int(value)


def _gaps(reader: sqlite3.Connection, owed: set[Pair]) -> Iterator[Pair]:
    """Gaps inside of readings, and what the ranges without a reading cover."""
    inside = "SELECT meter_id, ts, gaps FROM readings WHERE scheduled AND gaps IS NOT NULL"
    for meter_id, ts, gaps in reader.execute(inside):
        for slots in json.loads(gaps).values():
            yield from (pair for slot in slots if (pair := Pair(meter_id, slot, _ms(ts))) in owed)
    slots_at: dict[tuple[int, int], list[Pair]] = {}
    for pair in owed:
        slots_at.setdefault((pair.meter_id, pair.tick_ms), []).append(pair)
    for meter_id, from_ts, to_ts in reader.execute("SELECT meter_id, from_ts, to_ts FROM gaps"):
        start = -(-_ms(from_ts) // 1000) * 1000
        for tick in range(start, _ms(to_ts), 1000):
            yield from slots_at.get((meter_id, tick), ())


def _fits(
    value: int, pair: Pair, identity: dict[tuple[int, int], tuple[int, int]], epoch_ms: int
) -> bool:
    """Whether the value's own words agree with its place (layout in modbus_server.c)."""
    meter, metric = identity[pair.meter_id, pair.slot]
    late_ms = epoch_ms + (value & (1 << 36) - 1) - pair.tick_ms
    on_time = -1000 * SLACK_S <= late_ms < 1000 * (1 + SLACK_S)
    return value >> 43 == meter and value >> 36 & 127 == metric and on_time


def _ms(instant: str) -> int:
    at = datetime.strptime(instant, "%Y-%m-%d %H:%M:%S.%f").replace(tzinfo=UTC)
    return round(at.timestamp() * 1000)
