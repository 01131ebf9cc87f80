import asyncio
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from emdc.errors import ConfigError, StorageError
from emdc.storage import retention
from emdc.storage.conservation import conservation
from emdc.storage.database import connected, open_engine
from emdc.storage.instants import to_text
from emdc.storage.lateness import reopen
from emdc.storage.migrate import prepare
from emdc.storage.retention import Old, older, remove
from emdc.storage.schema import interval_progress
from tests.servers import Server, fresh, mariadb, postgresql
from tests.storage.filled import KINDS
from tests.storage.filled import opened as new
from tests.storage.metering import tables
from tests.storage.plant import METER, profile, reading, recording, rows, store, tick
from tests.storage.reckoned import reckon

OTHER = "UW/Elm/eaton_meter"


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Each kind of database, with a hundred ticks of two meters."""
    with new(request.param, request) as database:
        both = [reading(at, meter=meter) for at in range(100) for meter in (METER, OTHER)]
        store(database, *both, profiles=(profile(), profile(OTHER)))
        yield database


def remove_all(
    engine: Engine, cut: datetime, meter: str | None = None, *, made: bool = False
) -> int:
    found = older(engine, cut, meter=meter, made=made)
    return sum(sum(remove(engine, old, pause=lambda: None)) for old in found)


def test_older_says_what_each_meter_has_before_the_cut(opened: Engine) -> None:
    found = older(opened, tick(40))
    assert [(old.meter, old.readings) for old in found] == [(OTHER, 40), (METER, 40)]
    assert found[0].first == "2026-03-01 12:00:00.000000"
    assert found[0].last == "2026-03-01 12:00:39.000000"
    assert older(opened, tick(0)) == []
    assert [old.meter for old in older(opened, tick(9), meter=METER)] == [METER]


def test_nothing_is_missed_after_a_deletion(opened: Engine) -> None:
    assert remove_all(opened, tick(40)) == 80
    found = conservation(opened, until=tick(100))
    assert (found.holds, found.due, found.values) == (True, 360, 360)
    assert older(opened, tick(40)) == []
    with opened.connect() as connection:
        said = connection.exec_driver_sql("SELECT count(*) FROM gaps WHERE reason = 'retention'")
        assert said.scalar() == 2


def test_a_second_deletion_goes_on_from_the_first(opened: Engine) -> None:
    remove_all(opened, tick(40))
    assert remove_all(opened, tick(60), meter=METER) == 20
    found = conservation(opened, until=tick(100))
    assert (found.holds, found.values) == (True, 3 * 60 + 3 * 40)


def test_many_rows_go_in_small_steps(opened: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 7)
    (old,) = older(opened, tick(40), meter=METER)
    pauses: list[int] = []
    steps = list(remove(opened, old, pause=lambda: pauses.append(1)))
    assert steps == [7, 7, 7, 7, 7, 5]
    assert len(pauses) == 6


def test_deletion_that_was_cut_off_is_consistent_and_is_finished_later(
    opened: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 7)
    (old,) = older(opened, tick(40), meter=METER)
    steps = remove(opened, old, pause=lambda: None)
    assert next(steps) == 7
    del steps
    assert conservation(opened, until=tick(100)).holds
    assert remove_all(opened, tick(40), meter=METER) == 33


def test_quarter_hours_that_are_not_made_are_told(opened: Engine) -> None:
    later = [reading(2 * 86_400 + at, meter=meter) for at in range(9) for meter in (METER, OTHER)]
    store(opened, *later, profiles=(profile(), profile(OTHER)))
    assert [old.unmade for old in older(opened, tick(40))] == ["", ""]
    reckon(opened, tick(3 * 86_400))
    assert [old.unmade for old in older(opened, tick(40))] == [None, None]
    with connected(opened, write=True) as connection:
        assert reopen(connection, 1, to_text(tick(30)))
    found = {old.meter_id: (old.unmade, old.readings) for old in older(opened, tick(43_200))}
    assert found == {1: (to_text(tick(0)), 100), 2: (None, 100)}


def test_last_day_of_a_meter_that_is_read_no_more_stays_while_it_is_open(engine: Engine) -> None:
    days = (*range(0, 7200, 60), *range(86_400, 86_400 + 7200, 60))
    counted = [reading(at, (120.5, at, "A1")) for at in days]
    store(engine, *counted, profiles=(profile(interval_s=60.0),))
    reckon(engine, tick(86_400 + 7200 + 900))
    (old,) = older(engine, tick(5 * 86_400))
    assert (old.until, old.unmade) == (to_text(tick(43_200)), None)
    assert remove_all(engine, tick(5 * 86_400), made=True) == 120
    assert older(engine, tick(5 * 86_400)) == []
    # Had it come late, before what is open, it would be missing in what is made.
    with connected(engine, write=True) as connection:
        connection.execute(update(interval_progress).values(next_ts=to_text(tick(86_400))))
    (old,) = older(engine, tick(5 * 86_400))
    assert (old.until, old.unmade) == (to_text(tick(5 * 86_400)), to_text(tick(86_400)))


def test_quarter_hours_of_deleted_readings_stay(opened: Engine) -> None:
    later = [reading(2 * 86_400 + at, meter=meter) for at in range(9) for meter in (METER, OTHER)]
    store(opened, *later, profiles=(profile(), profile(OTHER)))
    reckon(opened, tick(3 * 86_400))
    before = tables(opened)
    assert len(before["interval_details"]) == 2
    assert remove_all(opened, tick(43_200), made=True) == 200
    # Half minutes are as detailed as readings, and go with them.
    before["interval_details"] = []
    reckon(opened, tick(3 * 86_400))
    assert tables(opened) == before
    with connected(opened, write=True) as connection:
        connection.execute(update(interval_progress).values(next_ts=to_text(tick(0))))
    reckon(opened, tick(3 * 86_400))
    assert tables(opened) == before


def test_meter_that_is_recorded_meanwhile_loses_nothing(engine: Engine, path: Path) -> None:
    store(engine, *(reading(at) for at in range(50)))

    async def story() -> None:
        async with recording(engine, now=tick(50), ends=tick(80)) as recorder:
            old = older(engine, tick(40))[0]
            steps = remove(engine, old, pause=lambda: None)
            for at in range(50, 80):
                next(steps, None)
                await recorder.write([reading(at)])
            assert list(steps) == []

    asyncio.run(story())
    found = conservation(engine, until=tick(80))
    assert (found.holds, found.values) == (True, 120)
    assert rows(path, "SELECT count(*), min(ts) FROM readings") == [
        (40, "2026-03-01 12:00:40.000000")
    ]


def test_user_who_may_not_delete_is_told_so(engine: Engine, path: Path) -> None:
    store(engine, reading(0))
    engine.dispose()
    reader = open_engine(f"sqlite:///file:{path}?mode=rw&uri=true")
    with reader.connect() as connection:
        connection.exec_driver_sql("PRAGMA query_only=1")
    noon, later = to_text(tick(0)), to_text(tick(1))
    old = Old(1, METER, 1, first=noon, last=noon, until=later, unmade=None)
    with pytest.raises(StorageError, match="readonly"):
        list(remove(reader, old, pause=lambda: None))
    reader.dispose()


def test_meter_that_is_not_there_is_an_error_with_the_nearest(engine: Engine) -> None:
    store(engine, reading(0))
    with pytest.raises(ConfigError, match=f"no meter 'UW/Mercer', expected one such as {METER}"):
        older(engine, tick(40), meter="UW/Mercer")


@pytest.mark.parametrize("server", [postgresql, mariadb])
def test_writer_of_a_server_may_not_delete_and_leaves_no_trace(
    server: Callable[[], Server],
) -> None:
    user = f"emdc_writer_{os.getpid()}"
    with fresh(server()) as url:
        owner = open_engine(url)
        prepare(owner)
        store(owner, *(reading(at) for at in range(10)))
        (old,) = older(owner, tick(5))
        grants = [f"CREATE USER {user}", f"GRANT SELECT, INSERT ON gaps TO {user}"]
        grants.append(f"GRANT SELECT ON readings TO {user}")
        if owner.dialect.name != "postgresql":
            grants.append(f"GRANT UPDATE (meter_id) ON gaps TO {user}")
        with owner.begin() as connection:
            for grant in grants:
                connection.exec_driver_sql(grant)
        writer = open_engine(owner.url.set(username=user))
        try:
            with pytest.raises(StorageError, match="denied"):
                list(remove(writer, old, pause=lambda: None))
            with owner.connect() as connection:
                query = "SELECT count(*) FROM gaps WHERE reason = 'retention'"
                assert connection.exec_driver_sql(query).scalar() == 0
        finally:
            writer.dispose()
            with owner.begin() as connection:
                if owner.dialect.name == "postgresql":
                    connection.exec_driver_sql(f"DROP OWNED BY {user}")
                connection.exec_driver_sql(f"DROP USER {user}")
            owner.dispose()
