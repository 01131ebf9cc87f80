"""An event loop whose time passes only while nothing happens: hours of waiting in milliseconds.

Real sockets work: time moves on when none of them has anything to say. So a deadline passes
because nobody answered, never because the machine was slow, and no test waits for a clock.
"""

import asyncio
import resource
import selectors
import socket
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")

# What one end of a loopback connection sends is at the other end after this, even on a busy day.
_SETTLE_S = 0.001
_GIVE_UP_S = 7200.0


class _Fence:
    """A socket that hears itself: what was sent before it on this processor has arrived, too.

    A processor delivers what is sent to 127.0.0.1 one after the other, in most cases at once.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.connect(self._socket.getsockname())
        self._switches = -1

    def passed(self) -> bool:
        """Return when it has heard itself; False when that proves nothing.

        That is so when this thread may have run on another processor since the last time.
        """
        used = resource.getrusage(resource.RUSAGE_THREAD)
        stayed = used.ru_nvcsw + used.ru_nivcsw == self._switches
        self._socket.send(b"\0")
        self._socket.recv(1)
        return stayed

    def mark(self) -> None:
        """Everything has arrived now."""
        used = resource.getrusage(resource.RUSAGE_THREAD)
        self._switches = used.ru_nvcsw + used.ru_nivcsw

    def close(self) -> None:
        self._socket.close()


class _Selector(selectors.EpollSelector):
    def __init__(self, settle_s: float | None) -> None:
        super().__init__()
        self.now = 1000.0
        self._settle_s = settle_s
        self._fence = _Fence()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        # Without any timer something outside is awaited: another thread or process.
        ready = super().select(None if timeout is None else self._settled_s())
        self._fence.mark()
        if not ready and timeout is not None:
            self.now += timeout
        return ready

    def close(self) -> None:
        self._fence.close()
        super().close()

    def _settled_s(self) -> float:
        """How long to wait for what may be under way."""
        if self._settle_s is not None:
            return self._settle_s
        return 0 if self._fence.passed() else _SETTLE_S


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self, settle_s: float | None = None) -> None:
        self._clockwork = _Selector(settle_s)
        super().__init__(self._clockwork)

    def time(self) -> float:
        return self._clockwork.now


def run(coroutine: Coroutine[Any, Any, T], *, settle_s: float | None = None) -> T:
    """What the coroutine returns, run in virtual time.

    `settle_s` is how long something may be under way that is not sent to 127.0.0.1: 0 when there
    is nothing. Fails when it has not ended after two virtual hours.
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
