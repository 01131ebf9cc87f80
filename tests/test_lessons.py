"""What meters taught, from one start to the next: the file, and the daemon that keeps it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from emdc.config import MeterSettings, Settings
from emdc.config.database import Database
from emdc.daemon import collecting, plan, utc_now
from emdc.lessons import FILE, Taught, read
from emdc.meters.learned import Lesson
from emdc.meters.plan import Span
from emdc.stores import open_stores
from tests import misbehaving
from tests.meters import sheets
from tests.meters.picky import refuses, script
from tests.program import PATIENCE_S
from tests.settings import settings_for

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LESSONS = (
    Lesson(kind="value", read=Span(3, 7, 1), reason="exception:2", learned=NOW, asked=NOW),
    Lesson(
        kind="apart",
        read=Span(3, 0, 40),
        reason="exception:2",
        learned=NOW,
        asked=NOW,
        times=3,
        apart=Span(3, 9, 6),
    ),
    Lesson(
        kind="length", read=Span(4, 0, 125), reason="read_timeout", learned=NOW, asked=NOW, limit=62
    ),
)
TAUGHT = {"site/m": Taught(map_hash="ab", unit=1, address="10.0.0.1:502", lessons=LESSONS)}


def test_what_is_written_is_read_again_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "learned.json"
    for _ in range(2):
        FILE.write(path, TAUGHT)
        assert read(path, NOW, mend=True) == TAUGHT
        assert list(path.parent.iterdir()) == [path]


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert read(tmp_path / "learned.json", NOW, mend=True) == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"",
        lambda text: text[: len(text) // 2],
        lambda text: text.replace(b'"version": 1', b'"version": 2'),
        lambda text: text.replace(b'"address": 7', b'"address": 70000'),
        lambda text: text.replace(b'"count": 125', b'"count": 126'),
        lambda text: text.replace(b'"limit": 62', b'"limit": 0'),
        lambda text: text.replace(b'"limit": 62', b'"limit": null'),
        lambda text: text.replace(b'"function_code": 4', b'"function_code": 5'),
        lambda text: text.replace(b'"kind": "value"', b'"kind": "rumour"'),
        lambda text: text.replace(b"12:00:00Z", b"12:00:00"),
        lambda text: b"\xff\xfe" + text,
    ],
)
def test_a_damaged_file_is_set_aside_with_a_warning(
    change: Callable[[bytes], bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "learned.json"
    FILE.write(path, TAUGHT)
    damaged = change(path.read_bytes())
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    assert read(path, NOW, mend=True) == {}
    (kept,) = tmp_path.iterdir()
    assert kept.name == "learned.json.damaged-20260301T120000Z"
    assert kept.read_bytes() == damaged
    assert [record.message for record in caplog.records] == [
        "what meters taught is damaged and forgotten"
    ]


def test_a_file_that_cannot_be_read_is_left_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "learned.json"
    path.mkdir()
    assert read(path, NOW, mend=True) == {}
    assert path.is_dir()
    assert [record.message for record in caplog.records] == ["what meters taught cannot be read"]


def test_a_clock_that_was_wrong_puts_off_no_trial(tmp_path: Path) -> None:
    path = tmp_path / "learned.json"
    FILE.write(path, TAUGHT)
    before = NOW - timedelta(days=400)
    (taught,) = read(path, before, mend=True).values()
    assert {lesson.asked for lesson in taught.lessons} == {before}


def test_the_file_lies_beside_the_spool_and_there_is_none_for_a_database_in_memory(
    tmp_path: Path,
) -> None:
    assert FILE.path(settings_for(tmp_path / "emdc.db")) == (
        tmp_path / "emdc.db-spool-learned.json"
    )
    server = Database(type="postgresql", host="db", spool=tmp_path / "spool.db")
    assert FILE.path(Settings(database=server)) == tmp_path / "spool.db-learned.json"
    assert FILE.path(Settings()) is None


# The daemon

HEADER = ("Interval (s)",)


def described(folder: Path, port: int, *, names: int = 20) -> Settings:
    rows = [(f"m{a}", "", a, 1, 1, "UINT16", None) for a in range(names)]
    book = sheets.written(folder, "map.xlsx", sheets.data(*rows, extra=HEADER))
    meter = MeterSettings(
        name="site/m", host="127.0.0.1", port=port, map=str(book), interval=0.2, retries=0
    )
    return msgspec.structs.replace(settings_for(folder / "emdc.db"), meters=(meter,))


async def collected(settings: Settings, until: Callable[[], bool]) -> None:
    """Run a daemon until that is so, and end it in order."""
    with open_stores(settings, clock=utc_now) as stores:
        async with collecting(plan(settings), stores, holder="a test"):
            async with asyncio.timeout(PATIENCE_S):
                while not until():
                    await asyncio.sleep(0.05)


def spans(peer: misbehaving.Meter) -> list[tuple[int, int]]:
    return [(int.from_bytes(r[8:10]), int.from_bytes(r[10:12])) for r in peer.requests]


def running(folder: Path, check: Callable[[misbehaving.Meter, Settings], Awaitable[None]]) -> None:
    async def run() -> None:
        async with misbehaving.meter(script(refuses({7}))) as peer:
            await check(peer, described(folder, peer.port))

    asyncio.run(run())


def test_after_a_restart_the_daemon_sends_no_read_that_was_refused(tmp_path: Path) -> None:
    async def check(peer: misbehaving.Meter, settings: Settings) -> None:
        await collected(settings, lambda: len(peer.requests) > 20)
        assert any(7 in range(first, first + count) for first, count in spans(peer))
        peer.requests.clear()
        await collected(settings, lambda: len(peer.requests) > 10)
        assert set(spans(peer)) == {(0, 7), (8, 12)}

    running(tmp_path, check)


def test_another_map_under_the_same_name_begins_anew(tmp_path: Path) -> None:
    async def check(peer: misbehaving.Meter, settings: Settings) -> None:
        await collected(settings, lambda: len(peer.requests) > 20)
        peer.requests.clear()
        await collected(described(tmp_path, peer.port, names=21), lambda: bool(peer.requests))
        assert spans(peer)[0] == (0, 21)

    running(tmp_path, check)


def test_what_cannot_be_written_is_told_once_and_the_meters_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "emdc.db-spool-learned.json.new").mkdir()

    async def check(peer: misbehaving.Meter, settings: Settings) -> None:
        await collected(settings, lambda: len(peer.requests) > 30)

    with caplog.at_level(logging.WARNING, "emdc.lessons"):
        running(tmp_path, check)
    told = [r.message for r in caplog.records if r.name == "emdc.lessons"]
    assert told == ["what meters taught is not kept"]
