"""An event loop whose time passes only while nothing happens: hours of waiting in milliseconds.

Real sockets work: time moves on when none of them has anything to say. So a deadline passes
because nobody answered, never because the machine was slow, and no test waits for a clock.
"""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

# What one end of a loopback connection sends is at the other end after this, even on a busy day.
_SETTLE_S = 0.001
_GIVE_UP_S = 7200.0


class _Selector(selectors.EpollSelector):
    def __init__(self, settle_s: float) -> None:
        super().__init__()
        self.now = 1000.0
        self._settle_s = settle_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        # Without any timer something outside is awaited: another thread or process.
        ready = super().select(None if timeout is None else self._settle_s)
        if not ready and timeout is not None:
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self, settle_s: float = _SETTLE_S) -> None:
        self._clockwork = _Selector(settle_s)
        super().__init__(self._clockwork)

    def time(self) -> float:
        return self._clockwork.now


def run(coroutine: Coroutine[Any, Any, T], *, settle_s: float = _SETTLE_S) -> T:
    """What the coroutine returns, run in virtual time; `settle_s` 0 when no socket is used.

    Fails when it has not ended after two virtual hours.
    """

    async def bounded() -> T:
        async with asyncio.timeout(_GIVE_UP_S):
            return await coroutine

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(settle_s)) as runner:
        return runner.run(bounded())


class WallClock:
    """A wall clock that goes with the loop's time, and that a test may set."""

    def __init__(self, start: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)) -> None:
        self._time: Callable[[], float] = asyncio.get_running_loop().time
        self._start = start - timedelta(seconds=self._time())

    def __call__(self) -> datetime:
        return self._start + timedelta(seconds=self._time())

    def step(self, seconds: float) -> None:
        self._start += timedelta(seconds=seconds)
