"""The oracle of `bench truth` finds each way in which a stored value can be wrong."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from bench.truth_oracle import Account, audit, read_log
from bench.truth_sabotage import SABOTAGES, uncaught

SECOND = 1_000_000
SCHEMA = """
CREATE TABLE meters (meter_id INTEGER, name TEXT);
CREATE TABLE topics (meter_id INTEGER, slot INTEGER, topic_name TEXT);
CREATE TABLE readings (meter_id INTEGER, ts TEXT, read_at TEXT, vals TEXT, gaps TEXT);
"""
PLACES = (0, 1, 2, 3, 25, 26, 27, 28, 64, 65, 66, 67)
"""Three requests: function code 3 at 0 and at 100, 4 at 0, four values each."""
SPANS = ((3, 0, 16), (3, 100, 16), (4, 0, 16))
METERS, TICKS = 2, 2


def nonce(meter: int, tick: int, span: int) -> int:
    return 7919 * (100 * meter + 10 * tick + span + 1)


def values(meter: int, tick: int) -> list[int]:
    return [
        meter << 43 | k << 36 | nonce(meter, tick, place // 4) for place, k in enumerate(PLACES)
    ]


def at(tick: int, micros: int) -> str:
    return f"1970-01-01 00:00:{tick + 10:02}.{micros:06}"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    lines, number = [], 0
    for meter in range(METERS):
        for tick in range(TICKS):
            for span, facts in enumerate(SPANS):
                number += 1
                asked_at = (tick + 10) * SECOND + 1000 * (span + 1)
                lines.append(" ".join(map(str, ("Q", number, meter, asked_at, *facts, "-"))))
                lines.append(f"A {nonce(meter, tick, span)} {number} {meter} 1")
                lines.append(f"A {nonce(meter, tick, span) + 1} {number} {meter} 0")
    path = tmp_path / "log"
    path.write_text("\n".join(lines), "ascii")
    return path


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        for meter in range(METERS):
            connection.execute("INSERT INTO meters VALUES (?, ?)", (meter + 1, f"bench/{meter}"))
            for slot, k in enumerate(PLACES):
                topic = (meter + 1, slot, f"bench/{meter}/k{k:02}")
                connection.execute("INSERT INTO topics VALUES (?, ?, ?)", topic)
            for tick in range(TICKS):
                row = (meter + 1, at(tick, 0), at(tick, 50_000), json.dumps(values(meter, tick)))
                connection.execute("INSERT INTO readings VALUES (?, ?, ?, ?, NULL)", row)
        connection.commit()
        yield connection


def store(database: sqlite3.Connection, found: list[Any]) -> None:
    """As what meter 0 said in the second tick."""
    where = (json.dumps(found), at(1, 0))
    database.execute("UPDATE readings SET vals = ? WHERE meter_id = 1 AND ts = ?", where)


def problems(account: Account) -> dict[str, int]:
    return {problem: count for (_, problem), count in account.wrong.items()}


def test_right_values_are_right(database: sqlite3.Connection, log: Path) -> None:
    account = audit(database, read_log(log))
    assert (account.polls, account.right, problems(account)) == (4, 48, {})


def test_each_sabotage_is_found_and_taken_back(database: sqlite3.Connection, log: Path) -> None:
    assert uncaught(database, read_log(log)) == []
    assert len(SABOTAGES) == 7
    assert audit(database, read_log(log)).right == 48


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda _: values(1, 1)[0], "another meter's"),
        (lambda found: found[1], "another register's"),
        (lambda _: values(0, 0)[0], "of another request"),
        (lambda found: found[0] + 1, "from an answer that was not right"),
        (lambda found: found[0] + 2, "in no answer"),
        (lambda found: str(found[0]), "not a whole number"),
    ],
)
def test_a_wrong_value_is_named(
    database: sqlite3.Connection, log: Path, change: Any, problem: str
) -> None:
    found: list[Any] = [*values(0, 1)]
    found[0] = change(found)
    store(database, found)
    assert problems(audit(database, read_log(log))) == {problem: 1}


def test_the_answer_to_the_request_before_in_the_same_cycle_is_of_another_request(
    database: sqlite3.Connection, log: Path
) -> None:
    again = f"\nQ 99 0 {11 * SECOND + 9000} 3 0 16 -"
    log.write_text(log.read_text("ascii") + again, "ascii")
    assert problems(audit(database, read_log(log))) == {"of another request": 4}


def test_a_gap_is_no_poll_when_nothing_was_tried(database: sqlite3.Connection, log: Path) -> None:
    skipped = json.dumps({"backoff_skipped": [*range(12)]})
    database.execute(
        "INSERT INTO readings VALUES (1, ?, ?, ?, ?)",
        (at(5, 0), at(5, 1), json.dumps([None] * 12), skipped),
    )
    account = audit(database, read_log(log))
    assert account.polls == 4
    assert account.gaps == {"backoff_skipped": 12}
