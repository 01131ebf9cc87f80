"""Readings that come late, or go, let the quarter hours of their time be made again."""

from collections.abc import Mapping

import pytest
from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DBAPIError

from emdc.reading import Value
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import to_text
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.lateness import reopen
from emdc.storage.merge import Keep, Replace, merge
from emdc.storage.places import place
from emdc.storage.schema import interval_progress
from tests.storage.filled import KINDS, fill
from tests.storage.metering import clear, tables
from tests.storage.plant import tick

TOPIC = "UW/Elm/eaton_meter/W"
HOUR = {float(at): at / 2 for at in range(0, 3600, 60)}
READ_AT = to_text(tick(1e6))


@pytest.fixture
def engine(emptied_engine: Engine) -> Engine:
    """A database with an hour of readings from noon on, made into four quarter hours."""
    fill(emptied_engine, {TOPIC: HOUR})
    advance(emptied_engine)
    return emptied_engine


def advance(engine: Engine) -> None:
    accounts = Accounts(engine)
    for meter_id in accounts.meters().values():
        accounts.advance(meter_id, tick(3600 + 60))


def at(seconds: float) -> str:
    return to_text(tick(seconds))


def next_ts(engine: Engine) -> str | None:
    with connected(engine) as connection:
        return connection.execute(select(interval_progress.c.next_ts)).scalar()


def meter_of(connection: Connection) -> int:
    return place(connection, [TOPIC])[TOPIC].meter_id


def opened_from(engine: Engine, seconds: float) -> bool:
    with connected(engine, write=True) as connection:
        return reopen(connection, meter_of(connection), at(seconds))


def merged(engine: Engine, policy: Keep | Replace, values: Mapping[float, Value]) -> None:
    with connected(engine, write=True) as connection:
        rows = {at(seconds): {0: value} for seconds, value in values.items()}
        merge(connection, meter_of(connection), rows, policy=policy)


def made_at_once(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """What is stored when all is made from the beginning."""
    clear(engine)
    advance(engine)
    return tables(engine)


def test_quarter_hours_are_made_again_from_that_of_the_reading(engine: Engine) -> None:
    assert next_ts(engine) == at(3600)
    assert opened_from(engine, 1799.999999)
    assert next_ts(engine) == at(900)


def test_a_later_reading_does_not_take_that_back(engine: Engine) -> None:
    assert opened_from(engine, 1000)
    assert not opened_from(engine, 2000)
    assert not opened_from(engine, 1000)
    assert next_ts(engine) == at(900)


def test_reading_of_a_time_to_come_changes_nothing(engine: Engine) -> None:
    assert not opened_from(engine, 3600)
    assert next_ts(engine) == at(3600)


def test_meter_of_which_nothing_is_made_stays_so(engine: Engine) -> None:
    clear(engine)
    assert not opened_from(engine, 0)
    assert next_ts(engine) is None


def test_what_was_made_of_deleted_readings_stays(engine: Engine) -> None:
    with connected(engine, write=True) as connection:
        span = (meter_of(connection), at(0), at(1000), "retention")
        dialect_of(connection).insert_gaps(connection, [span])
    assert opened_from(engine, 100)
    assert next_ts(engine) == at(1800)


def test_imported_values_show_in_their_quarter_hour(engine: Engine) -> None:
    merged(engine, Keep(READ_AT), {1230: 7.5, 2000: 5e3})
    assert next_ts(engine) == at(900)
    advance(engine)
    now = tables(engine)
    assert "5000" in str(now["interval_rows"][2])
    assert now == made_at_once(engine)


def test_values_that_are_there_already_change_nothing(engine: Engine) -> None:
    merged(engine, Keep(READ_AT), {60: HOUR[60.0]})
    assert next_ts(engine) == at(3600)


def test_made_up_values_that_go_leave_their_quarter_hour(engine: Engine) -> None:
    merged(engine, Replace({0}, at(0.5), at(0.6)), {0.5: 5e3})
    advance(engine)
    assert "5000" in str(tables(engine)["interval_rows"][0])
    merged(engine, Replace({0}, at(0.5), at(0.6)), {})
    assert next_ts(engine) == at(0)
    advance(engine)
    assert "5000" not in str(tables(engine)["interval_rows"])
    assert tables(engine) == made_at_once(engine)


@pytest.mark.parametrize("lasting_engine", KINDS[1:], indirect=True)
def test_who_makes_quarter_hours_meanwhile_must_wait(engine: Engine) -> None:
    query = select(interval_progress).with_for_update(nowait=True)
    with connected(engine, write=True) as storing:
        assert not reopen(storing, meter_of(storing), at(4000))
        with engine.connect() as other, pytest.raises(DBAPIError):
            other.execute(query)
    with engine.connect() as other:
        assert other.execute(query).first()
