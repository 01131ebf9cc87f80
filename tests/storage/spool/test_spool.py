import json
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from emdc.errors import StorageError
from emdc.reading import Gap
from emdc.storage.spool import aside
from emdc.storage.spool.parcel import Entries, Event, Started, Stopped
from emdc.storage.spool.spool import Head, Spool, SpoolStatus
from tests.storage.plant import METER, NOON, profile, reading, rows, tick
from tests.storage.spool_victim import numbered

ROOT = Path(__file__).parents[3]
MIB = 1024 * 1024


def new_spool(path: Path, limit_bytes: int = 10**9) -> Spool:
    spool = Spool(path, limit_bytes=limit_bytes, clock=lambda: NOON)
    spool.open()
    return spool


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    with closing(new_spool(path)) as opened:
        yield opened


def group(at: float, count: int = 1) -> Entries:
    return Entries(tuple(reading(at + step) for step in range(count)))


def heads(spool: Spool, most: int = 1) -> Iterator[Head]:
    """Head after head, each removed when the next is asked for."""
    while (head := spool.head(most)) is not None:
        yield head
        spool.remove(head)


def drained(spool: Spool) -> list[Event]:
    return [event for head in heads(spool) for event in head.events]


def test_events_come_out_as_they_were_put(spool: Spool) -> None:
    events: list[Event] = [
        Started((profile(), profile("other")), NOON, True),
        group(0, 3),
        Entries((Gap(METER, tick(3), tick(5), "overrun"), reading(5))),
        Stopped(tick(6)),
        Started((profile(),), tick(9), False),
    ]
    for event in events:
        spool.put(event)
    assert drained(spool) == events
    assert spool.head(1) is None


def test_head_gives_whole_events_up_to_so_many_readings(spool: Spool) -> None:
    events: list[Event] = [Stopped(NOON), group(0, 3), group(3, 2), Stopped(tick(5)), group(5, 1)]
    for event in events:
        spool.put(event)
    for most, count in ((0, 1), (3, 2), (4, 2), (5, 4), (6, 5), (100, 5)):
        head = spool.head(most)
        assert head is not None
        assert list(head.events) == events[:count]


def test_head_gives_an_event_that_is_larger_than_was_asked_for(spool: Spool) -> None:
    spool.put(group(0, 50))
    spool.put(group(50, 1))
    head = spool.head(10)
    assert head is not None
    assert (head.events, head.readings) == ((group(0, 50),), 50)


def test_head_is_the_same_until_it_is_removed(spool: Spool) -> None:
    spool.put(group(0))
    first = spool.head(1)
    assert first is not None
    spool.put(group(1))
    assert spool.head(1) == first
    spool.remove(first)
    spool.remove(first)
    assert drained(spool) == [group(1)]


def test_a_head_never_removes_what_was_put_after_it(spool: Spool) -> None:
    spool.put(group(0))
    head = spool.head(1)
    assert head is not None
    spool.remove(head)
    spool.put(group(1))
    spool.remove(head)
    assert drained(spool) == [group(1)]


def test_events_without_a_reading_do_not_make_a_head_without_end(spool: Spool, path: Path) -> None:
    spool.put(Stopped(NOON))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
            " INSERT INTO events (kind, put_at, readings, body)"
            " SELECT kind, put_at, readings, body FROM events, n"
        )
    assert [len(head.events) for head in heads(spool)] == [1000, 501]


def test_what_was_put_is_there_after_reopening(path: Path) -> None:
    with closing(new_spool(path)) as first:
        for at in range(5):
            first.put(group(at))
        head = first.head(2)
        assert head is not None
        first.remove(head)
        before = first.status()
    with closing(new_spool(path)) as second:
        assert second.status() == before
        assert drained(second) == [group(at) for at in range(2, 5)]


def test_status_counts_what_waits(path: Path) -> None:
    now = [NOON]
    spool = Spool(path, limit_bytes=10**6, clock=lambda: now[0])
    assert spool.status() == SpoolStatus()
    spool.open()
    assert spool.status() == SpoolStatus()
    for seconds in (1.0, 2.5):
        now[0] = tick(seconds)
        spool.put(group(seconds, 4))
    size = rows(path, "SELECT sum(length(body)) FROM events")[0][0]
    assert spool.status() == SpoolStatus(2, 8, size, tick(1))
    head = spool.head(1)
    assert head is not None
    spool.remove(head)
    status = spool.status()
    assert (status.events, status.readings, status.oldest) == (1, 4, tick(2.5))
    spool.close()


def test_a_closed_spool_takes_and_gives_nothing(path: Path) -> None:
    spool = Spool(path, limit_bytes=10**6, clock=lambda: NOON)
    with pytest.raises(StorageError, match=r"emdc\.db: the spool is not open"):
        spool.put(group(0))
    spool.open()
    spool.open()
    spool.put(group(0))
    spool.close()
    spool.close()
    with pytest.raises(StorageError, match="not open"):
        spool.head(1)


def test_what_the_database_refuses_is_kept_as_readable_text(spool: Spool, path: Path) -> None:
    refused = reading(0, (float("nan"), 2**64, "\ud800"), gaps={"Serial": "decode_error"})
    spool.set_aside(refused, "no such meter \ud800")
    spool.set_aside(Gap(METER, tick(1), tick(2), "overrun"), "gap refused")
    spool.set_aside(reading(3, (1.0,)), "one value, expected 3")
    (first, second, third) = rows(path, "SELECT at, meter, tick, reason, entry FROM aside")
    noon = "2026-03-01 12:00:00.000000"
    assert first[:4] == (noon, METER, noon, "no such meter \\ud800")
    kept = json.loads(first[4])
    assert kept["values"]["Wh_delivered"] == 2**64
    assert (kept["gaps"], kept["scheduled"]) == ({"Serial": "decode_error"}, True)
    assert json.loads(second[4])["reason"] == "overrun"
    assert json.loads(third[4])["values"] == [["Voltage_AN", "Wh_delivered", "Serial"], [1.0]]
    assert spool.status().aside == 3


def test_only_the_newest_rows_stay_aside(
    spool: Spool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert aside.ROWS == 10_000
    monkeypatch.setattr(aside, "ROWS", 5)
    for at in range(8):
        spool.set_aside(reading(at), f"refused {at}")
    kept = [reason for (reason,) in rows(path, "SELECT reason FROM aside ORDER BY id")]
    assert kept == [f"refused {at}" for at in range(3, 8)]
    assert spool.status().aside == 5


def test_an_empty_spool_gives_the_disk_back(spool: Spool, path: Path) -> None:
    noise = random.Random(1)
    for at in range(20):
        spool.put(Entries((reading(at, (1.0, at, noise.randbytes(2 * MIB).hex())),)))
    assert path.stat().st_size > 16 * MIB
    assert sum(head.readings for head in heads(spool, 5)) == 20
    assert path.stat().st_size < MIB
    assert path.with_name(f"{path.name}-wal").stat().st_size < MIB
    spool.put(group(0))
    assert drained(spool) == [group(0)]


def test_two_threads_lose_nothing_and_keep_the_order(spool: Spool) -> None:
    count = 2000
    found: list[Event] = []
    problems: list[BaseException] = []
    done = threading.Event()

    def put_all() -> None:
        try:
            for at in range(count):
                spool.put(group(at))
        except BaseException as error:  # noqa: BLE001  # shown by the test's own thread
            problems.append(error)
        finally:
            done.set()

    putting = threading.Thread(target=put_all)
    putting.start()
    while not (last := done.is_set()) or spool.status().events:
        for head in heads(spool, 7):
            found += head.events
        if last:
            break
        done.wait(0.001)
    putting.join()
    assert problems == []
    assert found == [group(at) for at in range(count)]
    assert spool.status() == SpoolStatus()


def test_a_killed_process_loses_nothing_that_it_said_is_durable(path: Path) -> None:
    chance = random.Random(7)
    expected = 0
    for _ in range(20):
        command = [sys.executable, "-m", "tests.storage.spool_victim", str(path), str(expected)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
            assert victim.stdout is not None
            for _ in range(chance.randint(1, 25)):
                durable = int(victim.stdout.readline())
            victim.kill()
        with closing(new_spool(path)) as spool:
            # One more may be on disk than the victim lived to say.
            assert spool.status().events > durable >= expected
            expected = spool.status().events
        assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    with closing(new_spool(path)) as spool:
        assert drained(spool) == [numbered(number) for number in range(expected)]


def test_the_oldest_of_a_spool_with_a_strange_time_is_unknown(path: Path) -> None:
    with closing(new_spool(path)) as first:
        first.put(group(0))
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE events SET put_at = 'noon'")
    with closing(new_spool(path)) as spool:
        status = spool.status()
        assert (status.events, status.oldest) == (1, None)
        assert drained(spool) == [group(0)]


def test_instants_are_kept_in_utc(path: Path) -> None:
    local = datetime.fromisoformat("2026-03-01T04:00:00-08:00")
    spool = Spool(path, limit_bytes=10**6, clock=lambda: local)
    spool.open()
    spool.put(group(0))
    spool.close()
    assert rows(path, "SELECT put_at FROM events") == [("2026-03-01 12:00:00.000000",)]
