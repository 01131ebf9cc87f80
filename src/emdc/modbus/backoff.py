"""When to try again what has failed: once more at once, then later and later. Pure.

A connection that fails makes everything behind it wait; a unit that does not answer waits alone,
because behind a gateway the others do.
"""

from collections.abc import Callable
from typing import TypeGuard

from emdc.errors import ExceptionResponseError, LinkError, MeterError, ProtocolError

HELD_RETRY_S = 0.5

FAILURES_TO_RESTART = 10
"""Failures in a row after which a link starts anew, whatever they were."""


class Backoff:
    """The pause after failures in a row: capped, jittered, growing.

    `first_s` is the pause after the second failure, which doubles up to `most_s`; `jitter` gives
    random numbers from 0 to 1 and takes up to half of a pause away.
    """

    __slots__ = ("_error", "_first_s", "_jitter", "_most_s", "failures", "retry_at")

    def __init__(self, first_s: float, most_s: float, jitter: Callable[[], float]) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self._error: MeterError | None = None
        self.failures = 0
        """Failures since the last success."""
        self.retry_at = float("-inf")
        """Loop time before which nothing is tried."""

    def failed(self, error: MeterError, now: float) -> None:
        """Count one failure at loop time `now`."""
        self._error = error
        if error.reason == "meter_held":
            # The holder may end at any moment; asking the kernel again costs nobody anything.
            self.retry_at = now + HELD_RETRY_S
            return
        self.failures += 1
        if self.failures > 1:
            pause = min(self._first_s * 2.0 ** min(self.failures - 2, 16), self._most_s)
            self.retry_at = now + pause * (1 - self._jitter() / 2)

    def hold(self, error: MeterError, until: float) -> None:
        """Try nothing before loop time `until`, whatever failures there were."""
        self._error = error
        self.retry_at = max(self.retry_at, until)

    def refusal(self, now: float) -> MeterError | None:
        """What a request gets that comes too early; None when it may be tried."""
        if now < self.retry_at:
            return LinkError("backoff_skipped", str(self._error))
        return None


class Backoffs:
    """The backing off of one connection and of each unit behind it."""

    __slots__ = ("_first_s", "_jitter", "_most_s", "connection", "ended", "on_line", "units")

    def __init__(self, first_s: float, most_s: float, jitter: Callable[[], float]) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self.connection = self._new()
        self.ended: MeterError | None = None
        """What every request gets when nothing is to be tried any more."""
        self.on_line = False
        """A wrong answer is that of its unit: nothing but units can be heard on a line."""
        self.units: dict[int, Backoff] = {}
        """Only those that did not answer when they were asked last."""

    def failed(self, error: MeterError, now: float, unit: int | None = None) -> None:
        """Count a failure: of `unit` when it says something of that alone, else of everything."""
        silent = error.reason == "read_timeout" or isinstance(error, ExceptionResponseError)
        alone = silent or (self.on_line and isinstance(error, ProtocolError))
        backoff = self.connection if unit is None or not alone else self._of(unit)
        backoff.failed(error, now)

    def hold(self, error: MeterError, until: float, unit: int) -> None:
        """Ask `unit` nothing before loop time `until`."""
        self._of(unit).hold(error, until)

    def refusal(self, now: float, unit: int | None = None) -> MeterError | None:
        """What a request gets that comes too early for its unit, or else for the connection."""
        backoff = self.connection if unit is None else self.units.get(unit)
        return self.ended or (backoff.refusal(now) if backoff else None)

    def answered(self, unit: int) -> bool:
        """Forget the failures of the connection and of `unit`; True when no other waits."""
        self.connection.failures = 0
        self.units.pop(unit, None)
        return not self.units

    def failures(self) -> int:
        """Failures in a row of the connection, or of the worst unit behind it."""
        return max(backoff.failures for backoff in (self.connection, *self.units.values()))

    def _of(self, unit: int) -> Backoff:
        return self.units.setdefault(unit, self._new())

    def _new(self) -> Backoff:
        return Backoff(self._first_s, self._most_s, self._jitter)


def is_absence(answer: object) -> TypeGuard[ExceptionResponseError]:
    """Whether a gateway says that it has no path to the unit (10), or no answer from it (11)."""
    return isinstance(answer, ExceptionResponseError) and answer.code in (10, 11)
