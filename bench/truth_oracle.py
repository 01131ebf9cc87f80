"""Whether each stored value is the answer to the request that was made for it: LOG DATABASE.

Shares no code with EMDC: reads the log of truth_meters and, by sqlite3, the tables of
docs/database.md. Prints what it found as JSON; the exit code is 1 when a value is wrong. Instants
are microseconds since 1970, UTC.

A stored value is right when it names its own meter and its own registers; when its nonce is that of
a right answer of this meter; when the request of that answer covers the registers, came in the
reading's cycle (from its tick to its `read_at`), and was the last such request of that cycle; and
when no other reading has it.
"""

import json
import sqlite3
import sys
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from bench.ledger import instant

EARLY_US = 5_000
"""How long before its tick a request may be sent: what a timer may be wrong by."""
NONCE_BITS, PLACE_BITS = 36, 7


class Request(NamedTuple):
    """One request, as the meter had it."""

    number: int
    meter: int
    at: int
    function: int
    address: int
    quantity: int
    fault: str

    def places(self) -> Iterator[int]:
        """`k` of all values that it covers: four registers each."""
        table = 64 if self.function == 4 else 0
        for k in range(-(-self.address // 4), (self.address + self.quantity) // 4):
            yield table | k & 63


class Answer(NamedTuple):
    """One answer: for which request it was made, and whether it was the right one."""

    number: int
    meter: int
    good: bool


@dataclass
class Log:
    """What the meters say."""

    requests: dict[int, Request] = field(default_factory=dict)
    answers: dict[int, Answer] = field(default_factory=dict)
    """By nonce."""
    by_place: defaultdict[tuple[int, int], list[Request]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """(meter, k) → its requests as they came."""

    def faults(self) -> Counter[str]:
        """How often each fault was shown."""
        shown = Counter(request.fault for request in self.requests.values())
        del shown["-"]
        return shown


def read_log(path: Path) -> Log:
    """The log of a run that has ended."""
    log = Log()
    for line in path.read_text("ascii").splitlines():
        kind, *words = line.split(" ")
        if kind == "Q":
            number, meter, at, function, address, quantity = map(int, words[:-1])
            request = Request(number, meter, at, function, address, quantity, words[-1])
            log.requests[request.number] = request
            for k in request.places():
                log.by_place[request.meter, k].append(request)
        else:
            nonce, number, meter, good = map(int, words)
            log.answers[nonce] = Answer(number, meter, bool(good))
    return log


@dataclass
class Account:
    """What was found."""

    polls: int = 0
    """Readings for which the meter was asked, or tried to be."""
    right: int = 0
    wrong: Counter[tuple[int, str]] = field(default_factory=Counter)
    """Values by meter and by what is wrong with them."""
    gaps: Counter[str] = field(default_factory=Counter)
    """Missing values by reason."""
    by_meter: Counter[int] = field(default_factory=Counter)
    """Right values of each meter."""


class Stored(NamedTuple):
    """One row of `readings`."""

    meter: int
    tick: int
    read_at: int
    values: Mapping[int, Any]
    """By `k`."""
    gaps: Mapping[str, list[int]]


def stored(database: sqlite3.Connection) -> Iterator[Stored]:
    """All readings. A meter is called …/NUMBER, and a topic …/kK."""
    numbers = {
        meter_id: int(name.rpartition("/")[2])
        for meter_id, name in database.execute("SELECT meter_id, name FROM meters")
    }
    places = {
        (meter_id, slot): int(name.rpartition("/k")[2])
        for meter_id, slot, name in database.execute(
            "SELECT meter_id, slot, topic_name FROM topics"
        )
    }
    sql = "SELECT meter_id, ts, read_at, vals, gaps FROM readings ORDER BY meter_id, ts"
    for meter_id, ts, read_at, vals, gaps in database.execute(sql).fetchall():
        values = {
            places[meter_id, slot]: value
            for slot, value in enumerate(json.loads(vals))
            if value is not None
        }
        reasons = json.loads(gaps) if gaps else {}
        yield Stored(numbers[meter_id], instant(ts), instant(read_at), values, reasons)


def audit(database: sqlite3.Connection, log: Log) -> Account:
    """Every stored value against the log."""
    account, used = Account(), set[tuple[int, int]]()
    for reading in stored(database):
        account.polls += bool(reading.values or reading.gaps.keys() - {"backoff_skipped"})
        for reason, slots in reading.gaps.items():
            account.gaps[reason] += len(slots)
        for k, value in reading.values.items():
            problem = _problem(reading, k, value, log)
            if not problem and (value, k) in used:
                problem = "used twice"
            if not problem:
                used.add((value, k))
                account.right += 1
                account.by_meter[reading.meter] += 1
            else:
                account.wrong[reading.meter, problem] += 1
    return account


def _problem(reading: Stored, k: int, value: Any, log: Log) -> str:
    """What is wrong with a value; empty when it is right."""
    if not isinstance(value, int):
        return "not a whole number"
    meter, place = value >> NONCE_BITS + PLACE_BITS, value >> NONCE_BITS & (1 << PLACE_BITS) - 1
    if (meter, place) != (reading.meter, k):
        return "another meter's" if meter != reading.meter else "another register's"
    answer = log.answers.get(value & (1 << NONCE_BITS) - 1)
    if answer is None:
        return "in no answer"
    if not answer.good or answer.meter != reading.meter:
        return "from an answer that was not right"
    request = log.requests[answer.number]
    asked = log.by_place[reading.meter, k]
    last = bisect_right(asked, reading.read_at, key=lambda request: request.at)
    if request not in asked[max(0, last - 1) : last] or request.at < reading.tick - EARLY_US:
        return "of another request"
    return ""


def main(log: str, database: str) -> int:
    with closing(sqlite3.connect(database)) as connection:
        account = audit(connection, read_log(Path(log)))
    wrong = [(*what, count) for what, count in account.wrong.items()]
    facts = {"polls": account.polls, "right": account.right, "wrong": wrong}
    print(json.dumps({**facts, "gaps": account.gaps}))
    return int(bool(account.wrong))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
