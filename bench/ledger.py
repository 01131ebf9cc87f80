"""Whether a database accounts for everything: each (topic, due tick) is one value or one gap.

Shares no code with EMDC: plain SQL over the documented tables, on a connection of the plain driver
of SQLite, PostgreSQL or MariaDB, and Python. The meters are those of modbus_server.c without an
image, whose every value says which meter and metric it is and when it was read, so that a right
number in a wrong place is found too. Instants here are whole microseconds since 1970, UTC.
"""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

SECOND = 1_000_000
EARLY_US = 5_000
LATE_US = 250_000
"""How long before its tick, and after the end of it, a value may have been read."""
CYCLE_US = 5 * SECOND
"""How long a cycle that was asked for may take."""
MOVED_US = 5
"""How far the place of a manual reading may lie behind the start of its cycle."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Account:
    """What was found for the (topic, due tick) pairs, and for the cycles that were asked for."""

    values: int = 0
    gaps: int = 0
    missing: int = 0
    """Neither a value nor a gap."""
    doubled: int = 0
    """More than one of them, or more values of an acknowledged cycle than it had."""
    misplaced: int = 0
    """Values of another meter, metric or time, and values that no tick owed."""
    torn: int = 0
    """Readings that lack a value and do not say why."""
    manual: int = 0
    """Values that were read because somebody asked, acknowledged or not."""
    acknowledged: int = 0
    """Values of acknowledged cycles."""
    lost: int = 0
    """Those of them that are not there."""

    @property
    def closed(self) -> bool:
        """Nothing is missing, doubled, misplaced, torn or lost."""
        return not (self.missing or self.doubled or self.misplaced or self.torn or self.lost)


class Acknowledged(NamedTuple):
    """What the answer to POST /collect says of one cycle."""

    started: int
    values: int


@dataclass(frozen=True)
class Terms:
    """What lies before `until` is audited. `epoch` is what the simulated meters count from.

    `acknowledged` is in order of time.
    """

    until: int
    epoch: int
    acknowledged: Sequence[Acknowledged] = ()


class Reading(NamedTuple):
    """One row of `readings`: what it has by slot, and the slots that it gives a reason for."""

    at: int
    values: Mapping[int, int]
    gaps: Sequence[int]


@dataclass(frozen=True)
class Meter:
    """One meter of the database: its number in the simulation, and metrics' numbers by slot."""

    meter_id: int
    number: int
    metrics: dict[int, int] = field(default_factory=dict)

    def says(self, slot: int, value: int) -> bool:
        """Whether the value's own words name this meter and metric (layout in modbus_server.c)."""
        return value >> 43 == self.number and value >> 36 & 127 == self.metrics.get(slot)


def audit(connection: Any, terms: Terms) -> Account:
    """The account of a database, meter by meter."""
    account = Account()
    kept: Counter[Acknowledged] = Counter()
    for meter in meters(connection):
        _scheduled(connection, meter, terms, account)
        kept += _manual(connection, meter, terms, account)
    for cycle in terms.acknowledged:
        if cycle.started >= terms.until - MOVED_US:
            break
        account.acknowledged += cycle.values
        account.lost += max(0, cycle.values - kept[cycle])
        account.doubled += max(0, kept[cycle] - cycle.values)
    return account


def meters(connection: Any) -> Sequence[Meter]:
    """All meters, with what their names and those of their topics say that they are."""
    found: dict[int, Meter] = {}
    sql = "SELECT m.meter_id, slot, name, topic_name FROM topics t JOIN meters m"
    for meter_id, slot, name, topic in _rows(connection, f"{sql} ON m.meter_id = t.meter_id"):
        meter = found.setdefault(meter_id, Meter(meter_id, int(name.rpartition("/")[2])))
        meter.metrics[slot] = int(topic.rpartition("/k")[2])
    return list(found.values())


def readings(connection: Any, meter: Meter, until: int, *, scheduled: bool) -> Iterator[Reading]:
    """A meter's rows before `until` in order of time."""
    kind = "scheduled" if scheduled else "NOT scheduled"
    end = (_EPOCH + timedelta(microseconds=until)).strftime("%Y-%m-%d %H:%M:%S.%f")
    sql = f"SELECT ts, vals, gaps FROM readings WHERE meter_id = {meter.meter_id} AND {kind}"
    for ts, vals, gaps in _rows(connection, f"{sql} AND ts < '{end}' ORDER BY ts"):
        listed = json.loads(vals) if isinstance(vals, str) else vals
        values = {slot: int(value) for slot, value in enumerate(listed) if value is not None}
        reasons = json.loads(gaps).values() if gaps else ()
        yield Reading(instant(ts), values, [slot for slots in reasons for slot in slots])


def instant(given: Any) -> int:
    """Microseconds since 1970 of what a driver gives."""
    at = datetime.fromisoformat(given) if isinstance(given, str) else given
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return (at - _EPOCH) // timedelta(microseconds=1)


def _scheduled(connection: Any, meter: Meter, terms: Terms, account: Account) -> None:
    owed = _owed(connection, meter, terms)
    seen: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for reading in readings(connection, meter, terms.until, scheduled=True):
        due = owed.get(reading.at, {})
        account.values += len(reading.values)
        for slot, value in reading.values.items():
            late = terms.epoch + value % (1 << 36) - reading.at
            on_time = slot in due and -EARLY_US <= late < due[slot] + LATE_US
            account.misplaced += not (on_time and meter.says(slot, value))
        gaps = [slot for slot in reading.gaps if slot in due]
        account.gaps += len(gaps)
        account.torn += bool(due.keys() - reading.values.keys() - set(gaps))
        seen[reading.at].update([*reading.values, *gaps])
    covered = _covered(connection, meter, sorted(owed))
    for tick, due in owed.items():
        account.gaps += covered[tick] * len(due)
        times = [seen[tick][slot] + covered[tick] for slot in due]
        account.missing += times.count(0)
        account.doubled += sum(number > 1 for number in times)


def _owed(connection: Any, meter: Meter, terms: Terms) -> dict[int, dict[int, int]]:
    """Tick → slots that are due then, each with its interval; a schedule holds until the next of
    its interval.
    """
    owed: dict[int, dict[int, int]] = {}
    sql = (
        "SELECT from_ts, interval_s, slots, lead(from_ts) OVER (PARTITION BY interval_s"
        f" ORDER BY from_ts) FROM schedules WHERE meter_id = {meter.meter_id}"
    )
    for from_ts, interval_s, slots, following in _rows(connection, sql):
        step = round(SECOND * interval_s)
        due = dict.fromkeys(json.loads(slots), step)
        end = min(instant(following), terms.until) if following else terms.until
        for tick in range(-(-instant(from_ts) // step) * step, end, step):
            owed[tick] = owed[tick] | due if tick in owed else due
    return {tick: due for tick, due in owed.items() if due}


def _covered(connection: Any, meter: Meter, ticks: Sequence[int]) -> Counter[int]:
    """How many ranges without a reading cover each of these ticks."""
    covered: Counter[int] = Counter()
    sql = f"SELECT from_ts, to_ts FROM gaps WHERE meter_id = {meter.meter_id}"
    for from_ts, to_ts in _rows(connection, sql):
        covered.update(ticks[_place(ticks, from_ts) : _place(ticks, to_ts)])
    return covered


def _place(ticks: Sequence[int], given: Any) -> int:
    return bisect_left(ticks, instant(given))


def _manual(connection: Any, meter: Meter, terms: Terms, account: Account) -> Counter[Acknowledged]:
    """How many values of each acknowledged cycle this meter has."""
    kept: Counter[Acknowledged] = Counter()
    starts = [cycle.started for cycle in terms.acknowledged]
    before: set[tuple[int, ...]] = set()
    for reading in readings(connection, meter, terms.until, scheduled=False):
        account.manual += len(reading.values)
        for slot, value in reading.values.items():
            late = terms.epoch + value % (1 << 36) - reading.at
            on_time = -EARLY_US <= late < CYCLE_US
            account.misplaced += not (on_time and meter.says(slot, value))
        account.torn += bool(meter.metrics.keys() - reading.values.keys() - set(reading.gaps))
        # No meter answers twice in the same microsecond: the same values are the same reading.
        same = tuple(reading.values.values())
        account.doubled += len(same) if same in before else 0
        before.add(same)
        place = bisect_left(starts, reading.at - MOVED_US)
        if place < len(starts) and starts[place] <= reading.at:
            kept[terms.acknowledged[place]] += len(reading.values)
    return kept


def _rows(connection: Any, sql: str) -> Iterable[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(sql)
    rows: Iterable[tuple[Any, ...]] = cursor.fetchall()
    return rows
