"""The thread that keeps the quarter hours while the collector runs.

It reads on a connection of its own and writes on the one that writes readings, when those leave it
time: never while any wait in the spool or the database is away. Much to do, as after an upgrade,
takes a fifth of a core at most. Whatever fails is tried again with the next quarter hour; the
readings are there, and nothing of it is lost.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from emdc.energy.answers import CELL_S, cell_of
from emdc.errors import StorageError
from emdc.reading import MeterProfile
from emdc.storage import registry
from emdc.storage.database import connected
from emdc.storage.delivery import Delivery
from emdc.storage.intervals.accounts import Accounts, Advanced
from emdc.storage.intervals.commit import Work
from emdc.storage.lateness import GRACE_S
from emdc.storage.urls import reason

log = logging.getLogger(__name__)

_APART_S: Final = 1.0
"""At most so long from one meter's turn to the next one's."""
_REST: Final = 4.0
"""Rest after each piece of work, as a multiple of what it took of the processor."""
_TURN_S: Final = 1.0
"""A meter with much to do is left after so long, for the others' turn."""
_LEAST_REST_S: Final = 0.001
_PATIENCE_S: Final = 5.0
"""Readings go first; so long a transaction waits for its turn."""
_LOOK_S: Final = 5.0
"""How often it looks at the clock, which may be set, and whether the database is back."""


@dataclass(frozen=True, slots=True)
class IntervalsStatus:
    """How far the quarter hours of all meters are."""

    made_until: datetime | None = None
    """UTC; those that ended by then are made. None: not all were looked at since the start."""
    waiting: int = 0
    """Meters that are still to be looked at, or looked at again."""
    last_error: str | None = None
    """Why the last one failed; None: none has since the last success of all."""


class _StoppedError(Exception):
    """It is time to end."""


class _AwayError(Exception):
    """Readings come first: the database is away, or some wait in the spool."""


class Accountant:
    """One thread. `profiles` are the meters of this process; `clock` gives the time in UTC.

    The meters' turns begin over `spread_s` seconds of the quarter hour, if they are short enough.
    """

    def __init__(
        self,
        engine: Engine,
        delivery: Delivery,
        profiles: Sequence[MeterProfile],
        *,
        clock: Callable[[], datetime],
        spread_s: float = 600.0,
    ) -> None:
        self._spread_s = spread_s
        self._engine = engine
        self._delivery = delivery
        self._profiles = profiles
        self._clock = clock
        self._accounts = Accounts(
            engine, write=self._write, pause=self._rest, tell=lambda _cells: self._has_time()
        )
        self._stopping = threading.Event()
        self._busy_s = self._begun_s = 0.0
        self._behind: dict[str, int] = {}
        """Meters with more to do than was done in their turn."""
        self._failing: set[str] = set()
        self._status = IntervalsStatus()
        self._thread = threading.Thread(target=self._work, name="emdc-intervals", daemon=True)

    async def run(self) -> None:
        """Work until cancelled."""
        self.start()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(self.stop)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self, patience_s: float = 2.0) -> None:
        """End at the next pause, some ten milliseconds away; a hung database is left."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(patience_s)

    def status(self) -> IntervalsStatus:
        """How it is going."""
        return self._status

    def _work(self) -> None:
        try:
            while True:
                self._wait_ready()
                until = cell_of(self._now() - GRACE_S)
                self._round(until)
                self._wait_until(until + CELL_S + GRACE_S)
        except _StoppedError:
            log.debug("quarter hours: stopped")

    def _round(self, until: float) -> None:
        """Look at every meter once, and then in turns at those with much to do."""
        found: dict[str, int] = {}
        if not self._try("", lambda: found.update(self._meters())):
            return
        behind = {name: found.pop(name) for name in self._behind if name in found}
        self._behind = behind
        apart_s = min(self._spread_s / max(1, len(found)), _APART_S)
        for number, (name, meter_id) in enumerate(found.items()):
            self._tell(waiting=len(found) - number + len(behind))
            self._look_at(name, meter_id)
            self._sleep(max(self._begun_s + apart_s - time.monotonic(), 0.0))
        while self._behind and self._now() < until + CELL_S + GRACE_S:
            name = next(iter(self._behind))
            self._tell(waiting=len(self._behind))
            self._look_at(name, self._behind.pop(name))
        self._failing &= {*found, *behind}
        left = len(self._failing) + len(self._behind)
        if left:
            self._tell(waiting=left)
        else:
            self._status = IntervalsStatus(datetime.fromtimestamp(until, UTC))

    def _look_at(self, name: str, meter_id: int) -> None:
        """Give a meter its turn: a day or more of what is to be made of it."""
        done: list[Advanced] = []
        self._begun_s = time.monotonic()
        self._try(name, lambda: done.append(self._accounts.advance(meter_id, self._clock())))
        if done and done[0].more:
            self._behind[name] = meter_id

    def _has_time(self) -> bool:
        return time.monotonic() < self._begun_s + _TURN_S

    def _meters(self) -> Mapping[str, int]:
        """All meters of the database, but for those that other processes record."""
        self._accounts.adopt()
        known = self._accounts.meters()
        with connected(self._engine) as connection:
            others = registry.of_others(connection, self._profiles, known)
        return {name: meter_id for name, meter_id in known.items() if meter_id not in others}

    def _try(self, name: str, work: Callable[[], object]) -> bool:
        """Do something for a meter; gives whether that worked."""
        self._busy_s = time.thread_time()
        try:
            work()
        except _AwayError:
            self._failed(name, "readings wait to be stored first")
            self._wait_ready()
        except (StorageError, SQLAlchemyError, TimeoutError) as error:
            self._failed(name, reason(error) or type(error).__name__)
        except _StoppedError:
            raise
        except Exception as error:
            if name not in self._failing:
                log.exception("intervals failed by a fault of this program", extra={"meter": name})
            self._failed(name, repr(error))
        else:
            self._succeeded(name)
            return True
        return False

    def _failed(self, name: str, why: str) -> None:
        """Keep it, and log the first of several."""
        if not self._failing:
            log.warning("intervals wait", extra={"meter": name, "error": why})
        self._failing.add(name)
        self._tell(waiting=self._status.waiting, error=why)

    def _succeeded(self, name: str) -> None:
        if name in self._failing:
            self._failing.discard(name)
            if not self._failing:
                log.info("intervals go on", extra={"meter": name})

    def _tell(self, *, waiting: int, error: str | None = None) -> None:
        before = self._status
        self._status = IntervalsStatus(before.made_until, waiting, error or before.last_error)

    def _write(self, work: Work) -> None:
        self._delivery.spare(work, _PATIENCE_S)

    def _rest(self) -> None:
        """Let others work for several times as long as the last piece took."""
        used_s = time.thread_time() - self._busy_s
        self._sleep(max(_REST * used_s, _LEAST_REST_S))
        if not self._delivery.ready:
            raise _AwayError
        self._busy_s = time.thread_time()

    def _wait_ready(self) -> None:
        while not self._delivery.ready:
            self._sleep(_LOOK_S)

    def _wait_until(self, at: float) -> None:
        while (left_s := at - self._now()) > 0:
            self._sleep(min(left_s, _LOOK_S))

    def _sleep(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise _StoppedError

    def _now(self) -> float:
        return self._clock().timestamp()
