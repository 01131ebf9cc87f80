import logging
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import Engine

from emdc.reading import Gap
from emdc.storage import known
from emdc.storage.conservation import conservation
from emdc.storage.database import make_engine
from emdc.storage.delivery import Delivery
from emdc.storage.spool.parcel import Entries, Event, Started, Stopped
from emdc.storage.spool.spool import Spool
from emdc.storage.tally import Tally
from tests.program import free_port, until
from tests.storage.plant import METER, NOON, execute, profile, reading, rows, store, tick

ASIDE = "SELECT meter, reason FROM aside ORDER BY id"
STORED = "SELECT count(*) FROM readings"
CLASHING = (profile("a/b", ("c",)), profile("a", ("b/c",)))


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    opened = Spool(tmp_path / "spool.db", limit_bytes=1_000_000, clock=lambda: NOON)
    opened.open()
    yield opened
    opened.close()


def counts() -> Tally:
    return Tally("a database", in_memory=False, clock=lambda: NOON)


def delivery(
    engine: Engine, spool: Spool | None = None, tally: Tally | None = None, *, retry_s: float = 0.01
) -> Delivery:
    settings: dict[str, Any] = {"retry_s": retry_s, "memory_limit": 1000}
    return Delivery(engine, spool, tally or counts(), **settings)


@pytest.fixture
def running(engine: Engine) -> Iterator[Delivery]:
    """One that has nothing to do."""
    begun = delivery(engine)
    begun.start()
    yield begun
    begun.close(5)


def replayed(engine: Engine, spool: Spool, *events: Event) -> Tally:
    """What an earlier run has left in the spool, brought into the database."""
    for one in events:
        spool.put(one)
    tally = counts()
    begun = delivery(engine, spool, tally)
    begun.start()
    until(lambda: spool.status().events == 0)
    begun.close(5)
    return tally


def test_caller_gets_what_its_work_gives_or_raises(running: Delivery) -> None:
    assert running.call(lambda: threading.current_thread().name, 5) == "emdc-database"
    with pytest.raises(ZeroDivisionError):
        running.call(lambda: 1 // 0, 5)
    assert running.call(lambda: "alive", 5) == "alive"


def test_job_that_takes_too_long_is_not_waited_for_and_goes_on(running: Delivery) -> None:
    go_on, done = threading.Event(), threading.Event()

    def slow() -> None:
        go_on.wait(20)
        done.set()

    with pytest.raises(TimeoutError):
        running.call(slow, 0.02)
    # Nor does anybody wait behind it.
    with pytest.raises(TimeoutError):
        running.call(lambda: None, None)
    go_on.set()
    assert done.wait(20)
    until(lambda: succeeds(running))


def succeeds(running: Delivery) -> bool:
    try:
        return running.call(lambda: True, 5)
    except TimeoutError:
        return False


def test_next_job_may_follow_at_once(running: Delivery) -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        assert sum(running.call(lambda: 1, 5) for _ in range(5000)) == 5000
    finally:
        sys.setswitchinterval(before)


def test_nothing_is_done_after_the_end(engine: Engine) -> None:
    ended = delivery(engine)
    ended.start()
    ended.close(5)
    with pytest.raises(TimeoutError):
        ended.call(lambda: None, None)


def test_end_does_not_wait_for_a_database_that_hangs(engine: Engine) -> None:
    go_on, hung = threading.Event(), delivery(engine)
    hung.start()
    with pytest.raises(TimeoutError):
        hung.call(lambda: go_on.wait(20), 0.01)
    begun = monotonic()
    hung.close(0.05)
    assert monotonic() - begun < 10
    go_on.set()
    hung.close(5)


def attempts(
    spool: Spool, count: int, monkeypatch: pytest.MonkeyPatch, *, retry_s: float
) -> list[float]:
    """When a server that refuses connections was asked, as often as that."""
    spool.put(Entries((reading(0),)))
    engine = make_engine(f"mysql+pymysql://nobody@127.0.0.1:{free_port()}/emdc")
    times: list[float] = []
    real = engine.dialect.connect

    def connect(*given: Any, **named: Any) -> Any:
        times.append(monotonic())
        return real(*given, **named)

    monkeypatch.setattr(engine.dialect, "connect", connect)
    begun = delivery(engine, spool, retry_s=retry_s)
    begun.start()

    def asked_often() -> bool:
        # What comes meanwhile is no reason to ask sooner.
        begun.wake()
        return len(times) >= count

    until(asked_often)
    begun.close(5)
    engine.dispose()
    return times[:count]


def test_pause_between_attempts_doubles(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    times = attempts(spool, 5, monkeypatch, retry_s=0.03)
    pauses = [after - before for before, after in pairwise(times)]
    assert all(pause > 0.025 * 2**n for n, pause in enumerate(pauses))
    assert spool.status().events == 1


@pytest.mark.parametrize(
    ("said", "longest_s"),
    [
        ("connection refused", 5),
        ('password authentication failed for user "emdc"', 60),
        ("Access denied for user 'emdc'@'localhost'", 60),
    ],
)
def test_pause_is_longer_where_knocking_could_lock_an_account(
    engine: Engine, said: str, longest_s: float
) -> None:
    tally = counts()
    tally.failed(said)
    pause_s, mute = 1.0, delivery(engine, tally=tally)
    for _ in range(10):
        pause_s = mute._longer(pause_s)
    assert pause_s == longest_s


def test_whole_run_of_an_earlier_start_comes_back(engine: Engine, path: Path, spool: Spool) -> None:
    gap = Gap(METER, tick(1), tick(3), "overrun")
    run = (
        Started((profile(),), NOON, scheduled=True),
        Entries((reading(0), gap)),
        Entries((reading(3),)),
        Stopped(tick(4)),
    )
    tally = replayed(engine, spool, *run)
    status = tally.status
    assert (status.stored, status.replayed, status.refused, status.ok) == (2, 2, 0, True)
    found = conservation(engine, until=tick(4))
    assert (found.values, found.gaps, found.holds) == (6, 6, True)
    assert rows(path, "SELECT count(*) FROM gaps WHERE from_ts = to_ts") == [(1,)]
    # Once more: a crash before the events were forgotten.
    assert replayed(engine, spool, *run).status.stored == 0
    assert rows(path, STORED) == [(2,)]


def test_readings_of_a_meter_that_the_database_knows_need_no_start(
    engine: Engine, path: Path, spool: Spool
) -> None:
    store(engine, reading(0))
    tally = replayed(engine, spool, Entries((reading(1), reading(2))))
    assert (tally.status.stored, tally.status.refused) == (2, 0)
    assert rows(path, "SELECT count(*) FROM samples WHERE topic_name LIKE '%Serial'") == [(3,)]


def test_readings_of_an_unknown_meter_are_set_aside_and_the_rest_is_stored(
    engine: Engine, path: Path, spool: Spool
) -> None:
    store(engine, reading(0))
    strange = Gap("gone/too", tick(0), tick(1), "overrun")
    entries = (reading(1), reading(1, meter="gone"), strange, reading(2))
    tally = replayed(engine, spool, Entries(entries))
    assert (tally.status.stored, tally.status.refused, tally.status.dropped) == (2, 2, 0)
    assert rows(spool.path, ASIDE) == [
        (name, f"meter {name} is not registered") for name in ("gone", "gone/too")
    ]
    assert rows(path, STORED) == [(3,)]


def test_reading_with_an_unknown_metric_is_set_aside(
    engine: Engine, path: Path, spool: Spool
) -> None:
    store(engine, reading(0))
    strange = reading(1, (1.0,), metrics=("Current_A",))
    tally = replayed(engine, spool, Entries((strange, reading(2))))
    assert (tally.status.stored, tally.status.refused) == (1, 1)
    assert "Current_A" in rows(spool.path, ASIDE)[0][1]
    assert rows(path, "SELECT reason FROM gaps WHERE from_ts < to_ts") == [("poison_row",)]


def test_start_that_the_database_can_never_take_holds_nothing_up(
    engine: Engine, path: Path, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    store(engine, reading(0))
    start = Started(CLASHING, NOON, scheduled=True)
    tally = replayed(engine, spool, start, Entries((reading(1), reading(1, meter="a/b"))))
    assert (tally.status.stored, tally.status.refused) == (1, 1)
    assert "already recorded for another meter" in str(tally.status.last_error)
    assert "meters not registered" in [record.msg for record in caplog.records]
    assert rows(path, "SELECT name FROM meters") == [(METER,)]


def test_start_that_the_database_takes_is_no_recovery_while_it_refuses_the_readings(
    engine: Engine, path: Path, spool: Spool, caplog: pytest.LogCaptureFixture
) -> None:
    execute(
        path,
        "CREATE TRIGGER closed BEFORE INSERT ON readings BEGIN SELECT RAISE(ABORT, 'closed'); END",
    )
    tally = counts()
    spool.put(Started((profile(),), NOON, scheduled=True))
    # So many that it is not the readings' fault.
    spool.put(Entries(tuple(reading(at) for at in range(20))))
    begun = delivery(engine, spool, tally)
    with caplog.at_level(logging.INFO, "emdc.storage.tally"):
        tally.failed("away")
        begun.start()
        until(lambda: tally.status.last_error == "closed")
        execute(path, "DROP TRIGGER closed")
        until(lambda: spool.status().events == 0)
        begun.close(5)
    said = [record.msg for record in caplog.records if record.name == "emdc.storage.tally"]
    assert said == ["database does not write", "database writes again"]


def test_fault_of_the_program_keeps_the_event_and_ends_no_thread(
    engine: Engine,
    spool: Spool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    store(engine, reading(0))
    tally, real, faults = counts(), known.layouts, list[str]()

    def faulty(*arguments: Any) -> Any:
        if len(faults) < 2:
            faults.append("fault")
            raise ZeroDivisionError("a fault of ours")
        assert spool.status().events == 1
        return real(*arguments)

    monkeypatch.setattr(known, "layouts", faulty)
    spool.put(Entries((reading(1),)))
    begun = delivery(engine, spool, tally)
    with caplog.at_level(logging.ERROR, "emdc.storage.delivery"):
        begun.start()
        until(lambda: spool.status().events == 0)
    begun.close(5)
    assert (tally.status.stored, tally.status.ok) == (1, True)
    assert tally.status.last_error == "ZeroDivisionError('a fault of ours')"
    assert [bool(record.exc_info) for record in caplog.records if "fault" in record.msg] == [
        True
    ] * 2
