import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from emdc.storage.store import Outcome
from emdc.storage.tally import Tally
from tests.storage.plant import NOON

URL = "sqlite:///emdc.db"


def tally(clock: Callable[[], datetime] = lambda: NOON) -> Tally:
    return Tally(URL, in_memory=False, clock=clock)


def test_nothing_is_wrong_before_the_first_write() -> None:
    status = tally().status
    assert (status.url, status.in_memory, status.ok) == (URL, False, True)
    assert (status.last_commit_at, status.last_error) == (None, None)


def test_outcomes_are_added_up() -> None:
    counts = tally()
    counts.committed(Outcome(stored=3, conflicts=1, refused={0: "thirteen"}), aside=True)
    counts.committed(Outcome(stored=2, trimmed=4), replayed=2, aside=True)
    status = counts.status
    assert (status.stored, status.conflicts, status.replayed) == (5, 1, 2)
    assert (status.refused, status.dropped) == (1, 4)
    assert status.last_commit_at == NOON


def test_refused_reading_is_lost_only_when_nobody_keeps_it() -> None:
    for aside, expected in ((True, (2, 0)), (False, (0, 2))):
        counts = tally()
        counts.committed(Outcome(refused={0: "a", 5: "b"}), aside=aside)
        assert (counts.status.refused, counts.status.dropped) == expected


def test_last_error_stays_after_the_database_has_recovered() -> None:
    counts = tally()
    counts.failed("connection refused")
    assert (counts.status.ok, counts.status.last_error) == (False, "connection refused")
    counts.committed(Outcome(stored=1), aside=True)
    assert (counts.status.ok, counts.status.last_error) == (True, "connection refused")


def test_each_change_of_the_state_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    counts = tally()
    with caplog.at_level(logging.INFO, "emdc.storage.tally"):
        for _ in range(2):
            for _ in range(3):
                counts.failed("connection refused")
            for _ in range(3):
                counts.committed(Outcome(stored=1), aside=True)
    said = [record.msg for record in caplog.records]
    assert said == ["database does not write", "database writes again"] * 2


def test_first_loss_is_logged_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    counts = tally()
    for _ in range(3):
        counts.lost(5)
    assert counts.status.dropped == 15
    assert [record.msg for record in caplog.records] == ["readings are lost"]


def test_a_few_of_many_refusals_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    tally().committed(Outcome(refused={n: f"no {n}" for n in range(100)}), aside=True)
    assert [vars(record)["error"] for record in caplog.records] == ["no 0", "no 1", "no 2"]


def test_counts_of_several_threads_are_all_there() -> None:
    counts = tally()

    def count(_: int) -> None:
        for _ in range(500):
            counts.committed(Outcome(stored=1), aside=True)
            counts.lost(1)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(count, range(8)))
    assert (counts.status.stored, counts.status.dropped) == (4000, 4000)
