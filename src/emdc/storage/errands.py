"""Work that several threads want done on one, and who waits for what comes of it.

Used by `delivery`, whose thread alone takes errands. There is room for one urgent and one spare
errand: whoever finds the place taken is told so at once and is not kept waiting.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

_T = TypeVar("_T")


class Errand:
    """Something to do, and what came of it."""

    def __init__(self, work: Callable[[], Any], *, spare: bool) -> None:
        self.spare = spare
        self.done = threading.Event()
        self._work = work
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        """Do it; whatever it raises is for whoever waits."""
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001  # whoever waits for it raises it
            self._error = error

    def refuse(self) -> None:
        """It will never be done."""
        self._error = TimeoutError()
        self.done.set()

    def outcome(self) -> Any:
        """What it gave, or raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class Errands:
    """The two places, safe to use from any thread."""

    def __init__(self) -> None:
        self.closing = False
        self._changed = threading.Condition()
        self._urgent: Errand | None = None
        self._spare: Errand | None = None
        self._running: Errand | None = None

    def call(self, work: Callable[[], _T], patience_s: float | None, *, spare: bool = False) -> _T:
        """What `work` gives, run on the thread; raises what it raises.

        A spare one is begun when nothing else is to be done there. Raises TimeoutError when it is
        not done in time: one that was begun goes on all the same, a spare one that was not begun
        never will be.
        """
        errand = Errand(work, spare=spare)
        with self._changed:
            if self.closing or (self._spare if spare else self._urgent) is not None:
                raise TimeoutError
            if spare:
                self._spare = errand
            else:
                self._urgent = errand
            self._changed.notify()
        if not errand.done.wait(patience_s):
            if spare:
                self._withdraw(errand)
            raise TimeoutError
        result: _T = errand.outcome()
        return result

    @property
    def waiting(self) -> bool:
        """Whether a spare one has not been begun."""
        with self._changed:
            return self._spare is not None and self._spare is not self._running

    def wake(self) -> None:
        """There may be something else to do."""
        with self._changed:
            self._changed.notify()

    def close(self) -> None:
        """Take no more; a spare one that was not begun is told that it is too late."""
        with self._changed:
            self.closing = True
            late = self._spare if self._spare is not self._running else None
            if late is not None:
                self._spare = None
            self._changed.notify()
        if late is not None:
            late.refuse()

    def _withdraw(self, errand: Errand) -> None:
        with self._changed:
            if self._spare is errand and self._running is not errand:
                self._spare = None

    # On the thread

    def next(
        self, wait_s: float | None, also: Callable[[], bool], free: Callable[[], bool]
    ) -> Errand | None:
        """What to do now; None: nothing, or `also` holds, or it is time to end.

        Waits for one of these, at most `wait_s`. A spare one is only given while `free` holds.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._urgent or self.closing or also() or (self._spare and free()), wait_s
            )
            if self._urgent is not None:
                self._running = self._urgent
            elif self._spare is not None and not self.closing and not also() and free():
                self._running = self._spare
            return self._running

    def run(self, errand: Errand) -> None:
        """Do what `next` gave."""
        errand.run()
        with self._changed:
            # Before anybody knows that it is done: the next one may follow at once.
            self._running = None
            if errand.spare:
                self._spare = None
            else:
                self._urgent = None
        errand.done.set()
