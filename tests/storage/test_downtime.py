import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.reading import Gap, MeterProfile, Topic
from emdc.storage import registry
from emdc.storage.conservation import conservation
from emdc.storage.database import connected
from emdc.storage.store import Store
from tests.storage.plant import METER, profile, reading, recording, rows, store, tick

GAPS = "SELECT from_ts, to_ts, reason FROM gaps WHERE from_ts < to_ts ORDER BY from_ts"


def gaps(path: Path) -> list[tuple[str, str, str]]:
    """Ranges as (minute:second, minute:second, reason)."""
    return [(start[14:19], end[14:19], reason) for start, end, reason in rows(path, GAPS)]


def killed_run(
    engine: Engine, ticks: Sequence[int], now: datetime, profiles: Sequence[MeterProfile] = ()
) -> None:
    """A run that stores readings and ends without a word."""
    with connected(engine, write=True) as connection:
        layouts = registry.register(connection, profiles or [profile()], now)
    writer = Store(engine, layouts, memory_limit=1)
    writer.commit([reading(at) for at in ticks])
    writer.close()


def test_first_run_has_no_gap(engine: Engine, path: Path) -> None:
    store(engine, reading(0))
    assert gaps(path) == []


def test_clean_stop_is_told_from_a_kill(engine: Engine, path: Path) -> None:
    store(engine, reading(0), reading(1))
    store(engine, reading(10), now=tick(10))
    assert gaps(path) == [("00:02", "00:10", "daemon_stopped")]
    killed_run(engine, [20], tick(20))
    store(engine, reading(30), now=tick(30))
    assert gaps(path)[1:] == [
        ("00:11", "00:20", "daemon_stopped"),
        ("00:21", "00:30", "daemon_killed"),
    ]
    assert conservation(engine, until=tick(31)).holds


def test_restart_within_an_interval_has_no_gap(engine: Engine, path: Path) -> None:
    store(engine, reading(0), reading(1))
    store(engine, reading(2), now=tick(1.5))
    assert gaps(path) == []


def test_run_killed_before_its_first_reading_is_covered(engine: Engine, path: Path) -> None:
    store(engine, reading(0))
    killed_run(engine, [], tick(5))
    store(engine, now=tick(9))
    assert gaps(path) == [("00:01", "00:05", "daemon_stopped"), ("00:05", "00:09", "daemon_killed")]
    assert conservation(engine, until=tick(9)).holds


def test_run_stopped_before_its_first_tick_was_stopped(engine: Engine, path: Path) -> None:
    hourly = profile(interval_s=3600)
    store(engine, reading(0), profiles=[hourly])
    store(engine, profiles=[hourly], now=tick(5000))
    store(engine, profiles=[hourly], now=tick(9000))
    assert {reason for _, _, reason in gaps(path)} == {"daemon_stopped"}
    assert conservation(engine, until=tick(10_000)).holds


def test_meter_that_leaves_is_covered_until_then(engine: Engine, path: Path) -> None:
    store(engine, reading(0))
    store(engine, profiles=[profile("other", ("a",))], now=tick(5))
    assert gaps(path) == [("00:01", "00:05", "daemon_stopped")]
    assert conservation(engine, until=tick(5)).holds


@pytest.mark.parametrize("back_at", [61, 75.5, 120, 121.25])
def test_intervals_of_one_meter_are_covered_together(
    engine: Engine, path: Path, back_at: float
) -> None:
    topics = (Topic("a"), Topic("b", interval_s=60), Topic("c", interval_s=7))
    several = MeterProfile(METER, topics, 3.0)
    killed_run(engine, [], tick(0), [several])
    store(engine, profiles=[several], now=tick(back_at))
    found = conservation(engine, until=tick(back_at))
    assert found.holds
    assert found.due == found.gaps > 0


def test_manual_readings_end_no_gap(engine: Engine, path: Path) -> None:
    store(engine, reading(0), reading(4.5, scheduled=False))
    store(engine, now=tick(9))
    assert gaps(path) == [("00:01", "00:09", "daemon_stopped")]


def test_clock_that_went_back_makes_no_gap(engine: Engine, path: Path) -> None:
    store(engine, reading(100), now=tick(100))
    store(engine, now=tick(50))
    assert gaps(path) == []


def test_gap_written_by_the_run_is_not_covered_twice(engine: Engine, path: Path) -> None:
    async def story() -> None:
        async with recording(engine, ends=tick(4.5)) as recorder:
            await recorder.write([reading(0)])
            await recorder.write_gaps([Gap(METER, tick(1), tick(5), "overrun")])

    asyncio.run(story())
    store(engine, now=tick(9))
    assert gaps(path) == [("00:01", "00:05", "overrun"), ("00:05", "00:09", "daemon_stopped")]
