import logging
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from emdc.errors import StorageError
from emdc.storage.spool.parcel import Entries, Event, Stopped, pack
from emdc.storage.spool.spool import Spool
from tests.disk import files_of_at_most
from tests.storage.plant import NOON, drained, open_new, reading, rows, tick
from tests.storage.spool_victim import numbered

ROOT = Path(__file__).parents[3]
PAGE = 4096


def spool_at(path: Path) -> Spool:
    return Spool(path, limit_bytes=10**9, clock=lambda: NOON)


@contextmanager
def opened(path: Path) -> Iterator[Spool]:
    spool = spool_at(path)
    spool.open()
    try:
        yield spool
    finally:
        spool.close()


def small(count: int) -> list[Event]:
    return [Entries((reading(at, (at / 7, at, f"A{at}")),)) for at in range(count)]


def large(count: int, size: int = 5000) -> list[Event]:
    """Events of some pages each, that cannot be made smaller."""
    noise = random.Random(count)
    texts = (noise.randbytes(size).hex() for _ in range(count))
    return [Entries((reading(at, (1.0, at, text)),)) for at, text in enumerate(texts)]


def filled(path: Path, events: list[Event]) -> bytes:
    """The file of a spool that holds these events."""
    with opened(path) as spool:
        put_all(spool, events)
    assert not wal(path).exists()
    return path.read_bytes()


def found_in(path: Path) -> list[Event]:
    """What a spool gives on this file, which is left empty and sound."""
    with opened(path) as spool:
        found = drained(spool)
        spool.put(Stopped(NOON))
        assert drained(spool) == [Stopped(NOON)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    return found


def is_part(found: list[Event], events: list[Event]) -> bool:
    """Whether these are some of the events, each once and in order."""
    places = [events.index(event) for event in found]
    return places == sorted(set(places))


def wal(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def kept_beside(path: Path, label: str = "damaged") -> list[Path]:
    """Files that were set aside, without their logs."""
    found = path.parent.glob(f"{path.name}.{label}-*")
    return [one for one in found if not one.name.endswith(("-wal", "-shm"))]


def put_all(spool: Spool, events: list[Event]) -> None:
    for event in events:
        spool.put(event)


# Opening


def test_folder_and_file_are_made_for_the_owner_and_the_group(tmp_path: Path) -> None:
    path = tmp_path / "var" / "emdc" / "spool.db"
    before = os.umask(0o002)
    try:
        with opened(path) as spool:
            spool.put(Stopped(NOON))
            modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o750
    assert set(modes.values()) == {0o640}


def test_a_folder_in_the_way_is_an_error(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StorageError, match=r"emdc\.db is a folder, expected a file"):
        spool_at(path).open()
    assert path.is_dir()


def test_a_file_in_the_way_of_the_folder_is_an_error(path: Path) -> None:
    path.write_text("not a folder")
    below = path / "spool.db"
    with pytest.raises(StorageError, match=f"{below}: "):
        spool_at(below).open()


def test_a_database_of_something_else_is_left_alone(path: Path) -> None:
    open_new(path).dispose()
    before = path.read_bytes()
    with pytest.raises(StorageError, match="a database of something else, expected a spool"):
        spool_at(path).open()
    assert path.read_bytes() == before
    assert kept_beside(path) == []


def test_a_spool_of_a_later_version_is_set_aside_whole(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    filled(path, small(3))
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    assert found_in(path) == []
    (kept,) = kept_beside(path, "format-7")
    assert kept.read_bytes() == before
    assert "spool set aside" in caplog.text


def test_an_empty_file_becomes_a_spool(path: Path) -> None:
    path.touch()
    assert found_in(path) == []
    assert kept_beside(path) == []


# One process


def test_a_second_process_is_told_who_has_the_spool(path: Path) -> None:
    command = [sys.executable, "-m", "tests.storage.spool_victim", str(path), "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        message = f"{path} is in use by another program, process {holder.pid}: end that one"
        with pytest.raises(StorageError, match=message):
            spool_at(path).open()
        holder.kill()
    with opened(path) as spool:
        assert spool.status().events > 0


def test_a_second_spool_of_one_process_is_refused_until_the_first_is_closed(path: Path) -> None:
    with opened(path), pytest.raises(StorageError, match=f"process {os.getpid()}:"):
        spool_at(path).open()
    with opened(path) as spool:
        assert spool.head(1) is None
    assert path.with_name(f"{path.name}.lock").exists()


def test_a_spool_that_could_not_be_opened_is_not_claimed(path: Path) -> None:
    path.mkdir()
    spool = spool_at(path)
    with pytest.raises(StorageError):
        spool.open()
    path.rmdir()
    with opened(path):
        pass
    spool.open()
    spool.close()


# Damage


@pytest.mark.parametrize(
    "content",
    [bytes(3 * PAGE), b"url = sqlite", b"x" * 10_000, b"SQLite format 3\0", bytes(range(256)) * 40],
    ids=["zeros", "short text", "long text", "nothing but the start", "noise"],
)
def test_a_file_that_is_no_database_is_set_aside(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_bytes(content)
    assert found_in(path) == []
    (kept,) = kept_beside(path)
    assert kept.name == "emdc.db.damaged-20260301T120000Z"
    assert kept.read_bytes() == content
    record = next(one for one in caplog.records if one.message == "spool set aside")
    assert record.__dict__["path"] == str(path)
    assert record.__dict__["kept"] == str(kept)


def test_two_damaged_files_of_one_second_are_both_kept(path: Path) -> None:
    for content in (b"first", b"second"):
        path.write_bytes(content)
        assert found_in(path) == []
    assert {one.read_bytes() for one in kept_beside(path)} == {b"first", b"second"}


def test_every_changed_byte_of_an_event_costs_that_event_alone(path: Path, tmp_path: Path) -> None:
    events = small(4)
    content = filled(path, events)
    body = pack(events[1])
    start = content.index(body)
    others = [events[0], *events[2:]]
    for place in range(len(body)):
        damaged = bytearray(content)
        damaged[start + place] ^= 0x10
        copied = tmp_path / f"changed-{place}.db"
        copied.write_bytes(damaged)
        with opened(copied) as spool:
            assert drained(spool) == others
            assert spool.status().aside == 1
        (found,) = rows(copied, "SELECT body, reason FROM aside")
        assert found[0] == bytes(damaged[start : start + len(body)])
        assert found[1].startswith("event 2 of kind entries: ")


def test_a_truncated_file_gives_what_is_left(path: Path, tmp_path: Path) -> None:
    events = large(30)
    content = filled(path, events)
    last = 0
    for length in [*range(0, 3000, 300), *range(3000, len(content), 4999), len(content)]:
        copied = tmp_path / f"of-{length}.db"
        copied.write_bytes(content[:length])
        found = found_in(copied)
        assert is_part(found, events)
        assert len(found) >= last - 1
        last = max(last, len(found))
    assert last == len(events)


def test_any_changed_byte_of_a_file_costs_no_more_than_a_few_events(
    path: Path, tmp_path: Path
) -> None:
    events = [*large(20), *small(60)]
    content = filled(path, events)
    chance = random.Random(3)
    counts = []
    for number in range(150):
        place = chance.choice([chance.randrange(len(content)), chance.randrange(2 * PAGE)])
        damaged = bytearray(content)
        damaged[place] ^= chance.randrange(1, 256)
        copied = tmp_path / f"any-{number}.db"
        copied.write_bytes(damaged)
        found = found_in(copied)
        assert is_part(found, events)
        counts.append(len(found))
    assert sorted(counts)[len(counts) // 10] >= len(events) - 1


def test_a_file_that_seems_to_forbid_writing_is_a_damaged_one(path: Path) -> None:
    events = small(10)
    content = bytearray(filled(path, events))
    content[18] = 9  # the version that may write, section 1.3
    path.write_bytes(content)
    assert found_in(path) == events
    assert len(kept_beside(path)) == 1


@pytest.mark.parametrize("thirds", [(1,), (2,), (1, 2)])
def test_lost_pages_in_the_middle_leave_all_around_them(
    path: Path, thirds: tuple[int, ...]
) -> None:
    events = large(60)
    content = bytearray(filled(path, events))
    for third in thirds:
        start = len(content) // PAGE * third // 3 * PAGE
        content[start : start + 3 * PAGE] = b"\xa5" * (3 * PAGE)
    path.write_bytes(content)
    found = found_in(path)
    assert is_part(found, events)
    assert len(found) >= len(events) - 4 * len(thirds)
    assert found[0] == events[0]
    assert found[-1] == events[-1]


def test_damage_that_shows_while_it_runs_costs_no_call(
    path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = large(40)
    with opened(path) as spool:
        put_all(spool, events)
        head = spool.head(3)
        assert head is not None
        spool.remove(head)
    content = bytearray(path.read_bytes())
    # The first of the free pages, by the file's header (SQLite file format, section 1.3).
    free = int.from_bytes(content[32:36], "big") - 1
    content[free * PAGE : (free + 1) * PAGE] = b"\xff" * PAGE
    path.write_bytes(content)
    monkeypatch.setattr("emdc.storage.spool.file._CHECKED_BYTES", 0)
    more = large(3, 6000)
    with opened(path) as spool:
        held = spool.head(1)
        assert held is not None
        assert kept_beside(path) == []
        for event in more:
            spool.put(event)
        assert len(kept_beside(path)) == 1
        spool.remove(held)
        assert drained(spool) == [*events[4:], *more]
    assert "spool salvaged" in caplog.text


def test_damage_where_nothing_is_stored_is_found_when_it_is_opened(path: Path) -> None:
    events = large(40)
    with opened(path) as spool:
        put_all(spool, events)
        head = spool.head(3)
        assert head is not None
        spool.remove(head)
    content = bytearray(path.read_bytes())
    free = int.from_bytes(content[32:36], "big") - 1
    content[free * PAGE : (free + 1) * PAGE] = b"\xff" * PAGE
    path.write_bytes(content)
    with opened(path) as spool:
        assert len(kept_beside(path)) == 1
        assert drained(spool) == events[3:]


def test_what_was_put_after_damage_is_not_removed_with_what_was_lost(path: Path) -> None:
    events = large(40)
    filled(path, events)
    with opened(path) as spool:
        held = spool.head(100)
        assert held is not None
        spool.close()
        path.write_bytes(b"gone")
        spool.open()
        spool.put(Stopped(tick(1)))
        spool.remove(held)
        assert drained(spool) == [Stopped(tick(1))]


def test_rows_set_aside_are_saved_from_a_damaged_file(path: Path) -> None:
    events = small(10)
    with opened(path) as spool:
        spool.set_aside(reading(0), "no such column")
        put_all(spool, events)
    content = bytearray(path.read_bytes())
    content[60:64] = bytes(4)  # the format, section 1.3
    path.write_bytes(content)
    with opened(path) as spool:
        assert spool.status().aside == 1
        assert drained(spool) == events
    assert rows(path, "SELECT reason FROM aside") == [("no such column",)]


def test_what_the_log_holds_is_saved_with_a_damaged_file(path: Path) -> None:
    command = [sys.executable, "-m", "tests.storage.spool_victim", str(path), "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        for _ in range(9):
            victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
    assert wal(path).stat().st_size > 0
    path.write_bytes(bytes(PAGE))
    found = found_in(path)
    assert found[:9] == [numbered(number) for number in range(9)]
    (kept,) = kept_beside(path)
    assert kept.read_bytes() == bytes(PAGE)


# The disk


def test_what_is_put_is_flushed_to_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def noted(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(connect(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", noted)
    with opened(path):
        (connection,) = made
        names = ("journal_mode", "synchronous", "journal_size_limit")
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]
    assert found == ["wal", 2, 4 * 1024 * 1024]  # 2: FULL, each commit is flushed


def test_a_full_disk_is_an_error_and_later_the_same_spool_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def limited(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute("PRAGMA max_page_count = 50")
        connections.append(connection)
        return connection

    monkeypatch.setattr(sqlite3, "connect", limited)
    events = large(100)
    with opened(path) as spool:
        with pytest.raises(StorageError, match=r"emdc\.db: database or disk is full: make room"):
            put_all(spool, events)
        kept = spool.status().events
        assert 5 < kept < 100
        head = spool.head(1)
        assert head is not None
        spool.remove(head)
        spool.put(events[kept])
        connections[-1].execute("PRAGMA max_page_count = 10000")
        put_all(spool, events[kept + 1 :])
        assert drained(spool) == events[1:]


def test_a_disk_that_refuses_to_write_is_an_error_and_nothing_was_put(path: Path) -> None:
    events = large(100)
    with opened(path) as spool:
        refused = pytest.raises(StorageError, match=r"emdc\.db: .*: see to the disk")
        with files_of_at_most(300_000), refused:
            put_all(spool, events)
        kept = spool.status().events
        assert 5 < kept < 100
        put_all(spool, events[kept:])
        assert drained(spool) == events


def test_a_database_that_another_program_locks_is_an_error_that_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emdc.storage.spool.file._BUSY_S", 0.01)
    with opened(path) as spool:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="locked: end the program that reads or writes"):
                spool.put(Stopped(NOON))
        spool.put(Stopped(NOON))
        assert drained(spool) == [Stopped(NOON)]


def test_a_file_that_is_removed_while_in_use_loses_nothing(path: Path) -> None:
    with opened(path) as spool:
        put_all(spool, small(5))
        for file in (path, wal(path), path.with_name(f"{path.name}-shm")):
            file.unlink()
        spool.put(Stopped(NOON))
        assert spool.status().events == 6
    assert found_in(path) == [*small(5), Stopped(NOON)]


def test_a_folder_that_is_removed_while_in_use_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state" / "spool.db"
    with opened(path) as spool:
        put_all(spool, small(5))
        shutil.rmtree(path.parent)
        spool.put(Stopped(NOON))
        assert drained(spool) == [*small(5), Stopped(NOON)]
    assert path.exists()


def test_a_removed_file_is_made_again(path: Path) -> None:
    filled(path, small(2))
    path.unlink()
    assert found_in(path) == []


def test_what_does_not_fit_when_saved_stays_in_the_damaged_file(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    content = bytearray(filled(path, large(2000, 10_000)))
    content[60:64] = bytes(4)  # the format
    path.write_bytes(content)
    with files_of_at_most(10_000_000), opened(path) as spool:
        assert 0 < spool.status().events < 2000
    assert "spool not salvaged to its end" in caplog.text
    (kept,) = kept_beside(path)
    assert kept.read_bytes() == content
