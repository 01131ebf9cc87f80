"""The collector's own writer tells of readings that come after their quarter hour was made."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, select

from emdc.storage.database import connected
from emdc.storage.instants import to_text
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.lateness import Frontier
from emdc.storage.schema import interval_progress
from tests.storage.filled import KINDS, opened
from tests.storage.plant import METER, NOON, profile, reading, recording, tick

OTHER = "UW/Elm/eaton_meter"


@pytest.fixture(params=KINDS)
def made(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A database with a half hour of two meters, whose quarter hours are made."""
    with opened(request.param, request) as engine:
        record(engine, range(0, 1801, 60))
        accounts = Accounts(engine)
        for meter_id in accounts.meters().values():
            accounts.advance(meter_id, tick(1815))
        yield engine


def record(engine: Engine, seconds: range, *, meters: tuple[str, ...] = (METER, OTHER)) -> None:
    """A whole run of a recorder half an hour and a minute after noon."""

    async def run() -> None:
        profiles = [profile(name, interval_s=None) for name in (METER, OTHER)]
        async with recording(engine, *profiles, ends=tick(1860)) as recorder:
            for at in seconds:
                await recorder.write([reading(at, meter=name, scheduled=False) for name in meters])

    asyncio.run(run())


def begins(engine: Engine) -> list[str]:
    """Where the quarter hours of each meter are made from next."""
    query = select(interval_progress.c.next_ts).order_by(interval_progress.c.meter_id)
    with connected(engine) as connection:
        return list(connection.execute(query).scalars())


def test_late_ones_are_told_by_meter(made: Engine) -> None:
    before = begins(made)
    assert to_text(NOON) not in before
    record(made, range(1801, 1860, 20))
    assert begins(made) == before
    record(made, range(100, 30, -30), meters=(OTHER,))
    assert sorted(begins(made)) == sorted([before[0], to_text(NOON)])


def test_frontier_waits_for_readings_and_never_goes_back() -> None:
    times = iter((tick(914), tick(915), tick(20), tick(1900)))
    frontier = Frontier(lambda: next(times))
    found = [frontier.ts() for _ in range(4)]
    assert found == [to_text(tick(at)) for at in (0, 900, 900, 1800)]
