"""When to try again what has failed: once more at once, then later and later. Pure.

A connection that fails makes everything behind it wait; a unit that does not answer waits alone,
because behind a gateway the others do.
"""

from collections.abc import Callable

from emdc.errors import LinkError, MeterError

HELD_RETRY_S = 0.5


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

    def refusal(self, now: float) -> MeterError | None:
        """What a request gets that comes too early; None when it may be tried."""
        if now < self.retry_at:
            return LinkError("backoff_skipped", str(self._error))
        return None


class Backoffs:
    """The backing off of one connection and of each unit behind it."""

    __slots__ = ("_first_s", "_jitter", "_most_s", "connection", "ended", "units")

    def __init__(self, first_s: float, most_s: float, jitter: Callable[[], float]) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._jitter = jitter
        self.connection = self._new()
        self.ended: MeterError | None = None
        """What every request gets when nothing is to be tried any more."""
        self.units: dict[int, Backoff] = {}
        """Only those that did not answer when they were asked last."""

    def failed(self, error: MeterError, now: float, unit: int | None = None) -> None:
        """Count a failure: of `unit` when it was silent, else of the connection."""
        if unit is not None and error.reason == "read_timeout":
            self.units.setdefault(unit, self._new()).failed(error, now)
        else:
            self.connection.failed(error, now)

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

    def _new(self) -> Backoff:
        return Backoff(self._first_s, self._most_s, self._jitter)
