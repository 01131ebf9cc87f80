"""A server may end the commit of a killed collector long after the next one has started."""

import threading

from sqlalchemy import Engine

from emdc.storage import known
from emdc.storage.conservation import conservation
from emdc.storage.database import connected, dialect_of
from emdc.storage.layout import ReadingRow
from tests.storage.plain import ask
from tests.storage.plant import METER, reading, store, tick


def row(engine: Engine, seconds: float) -> ReadingRow:
    with connected(engine) as connection:
        return known.layouts(connection, {METER})[METER].row(reading(seconds))


def test_start_waits_for_a_commit_that_is_under_way(server_engine: Engine) -> None:
    store(server_engine, reading(0))
    late, started = row(server_engine, 1), threading.Event()

    def start_again() -> None:
        store(server_engine, reading(3), now=tick(3))
        started.set()

    thread = threading.Thread(target=start_again)
    with server_engine.connect() as killed, killed.begin():
        dialect_of(killed).writing(killed)
        dialect_of(killed).insert_readings(killed, [late])
        thread.start()
        assert not started.wait(0.5)
    thread.join()
    found = conservation(server_engine, until=tick(4))
    assert (found.missing, found.doubled) == (0, 0)
    ranges = ask(server_engine, "SELECT count(*) FROM gaps WHERE from_ts < to_ts")
    assert ranges == [(1,)]
