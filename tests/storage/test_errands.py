import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from emdc.storage.errands import Errands
from tests.program import until


class Worker:
    """A thread that does errands; the spare ones while `free` is set."""

    def __init__(self) -> None:
        self.errands = Errands()
        self.free = threading.Event()
        self.free.set()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def end(self) -> None:
        self.errands.close()
        self._thread.join(20)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            errand = self.errands.next(None, bool, self.free.is_set)
            if errand is not None:
                self.errands.run(errand)
            elif self.errands.closing:
                return


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.end()


@contextmanager
def busy(worker: Worker, *, spare: bool = False) -> Iterator[None]:
    """Something is being done for the length of the block."""
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(20)

    caller = threading.Thread(target=lambda: worker.errands.call(slow, 20, spare=spare))
    caller.start()
    assert begun.wait(20)
    try:
        yield
    finally:
        go_on.set()
        caller.join(20)


def test_each_kind_gives_or_raises_what_its_work_does(worker: Worker) -> None:
    for spare in (False, True):
        assert worker.errands.call(lambda: 7, 20, spare=spare) == 7
        with pytest.raises(ZeroDivisionError):
            worker.errands.call(lambda: 1 // 0, 20, spare=spare)


def test_an_urgent_one_waits_for_a_spare_one_that_runs_and_is_not_turned_away(
    worker: Worker,
) -> None:
    done: list[int] = []
    with busy(worker, spare=True):
        caller = threading.Thread(
            target=lambda: worker.errands.call(lambda: done.append(1), 20),
        )
        caller.start()
        assert not done
    caller.join(20)
    assert done == [1]


def test_an_urgent_one_comes_before_a_spare_one_that_waits(worker: Worker) -> None:
    order: list[str] = []
    worker.free.clear()
    spare = threading.Thread(
        target=lambda: worker.errands.call(lambda: order.append("spare"), 20, spare=True)
    )
    spare.start()
    until(lambda: worker.errands.waiting)
    worker.errands.call(lambda: order.append("urgent"), 20)
    worker.free.set()
    worker.errands.wake()
    spare.join(20)
    assert order == ["urgent", "spare"]


def test_a_spare_one_that_is_not_begun_in_time_never_is(worker: Worker) -> None:
    done: list[int] = []
    with busy(worker), pytest.raises(TimeoutError):
        worker.errands.call(lambda: done.append(1), 0.01, spare=True)
    assert worker.errands.call(lambda: len(done), 20, spare=True) == 0


def test_a_spare_one_waits_until_there_is_nothing_else(worker: Worker) -> None:
    worker.free.clear()
    with pytest.raises(TimeoutError):
        worker.errands.call(lambda: 1, 0.01, spare=True)
    assert worker.errands.call(lambda: 2, 20) == 2


def test_at_the_end_a_spare_one_that_waits_is_told_so() -> None:
    worker = Worker()
    worker.free.clear()
    said: list[type] = []

    def ask() -> None:
        try:
            worker.errands.call(lambda: 1, 20, spare=True)
        except TimeoutError as error:
            said.append(type(error))

    caller = threading.Thread(target=ask)
    caller.start()
    until(lambda: worker.errands.waiting)
    worker.end()
    caller.join(20)
    assert said == [TimeoutError]
