"""Work that the thread of the readings does when it has nothing else to do."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import SQLAlchemyError

from emdc.storage.delivery import Delivery
from emdc.storage.schema import meters
from emdc.storage.spool.spool import Spool
from emdc.storage.tally import Tally
from tests.storage.plant import METER, NOON, profile, reading, rows

NAMES = "SELECT name FROM meters ORDER BY name"


@pytest.fixture
def tally() -> Tally:
    return Tally("a database", in_memory=False, clock=lambda: NOON)


@pytest.fixture
def delivery(engine: Engine, tally: Tally) -> Iterator[Delivery]:
    """One that records a meter."""
    begun = Delivery(engine, None, tally, retry_s=0.01, memory_limit=1000)
    begun.start()
    begun.call(lambda: begun.register([profile()], lambda: NOON, scheduled=True), 20)
    yield begun
    begun.close(5)


def named(connection: Connection, name: str) -> None:
    connection.execute(insert(meters).values(name=name))


def test_it_is_done_in_one_transaction(delivery: Delivery, path: Path) -> None:
    def half(connection: Connection) -> None:
        named(connection, "lost")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        delivery.spare(half, 20)
    delivery.spare(lambda connection: named(connection, "kept"), 20)
    assert rows(path, NAMES) == [(METER,), ("kept",)]


def test_its_failure_says_nothing_of_readings(delivery: Delivery, tally: Tally) -> None:
    with pytest.raises(SQLAlchemyError):
        delivery.spare(lambda connection: connection.execute(text("SELECT * FROM nothing")), 20)
    assert tally.status.ok
    assert delivery.call(lambda: delivery.commit([reading(0)]), 20).stored == 1


def test_it_waits_while_the_database_is_away(delivery: Delivery, tally: Tally, path: Path) -> None:
    tally.failed("it does not answer")
    with pytest.raises(TimeoutError):
        delivery.spare(lambda connection: named(connection, "early"), 0.02)
    assert delivery.call(lambda: delivery.commit([reading(0)]), 20).stored == 1
    delivery.spare(lambda connection: named(connection, "later"), 20)
    assert rows(path, NAMES) == [(METER,), ("later",)]


def test_it_waits_until_meters_are_registered(engine: Engine, tally: Tally, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit_bytes=1_000_000, clock=lambda: NOON)
    begun = Delivery(engine, spool, tally, retry_s=0.01, memory_limit=1000)
    begun.start()
    with pytest.raises(TimeoutError):
        begun.spare(lambda connection: named(connection, "early"), 0.02)
    begun.close(5)
    spool.close()
