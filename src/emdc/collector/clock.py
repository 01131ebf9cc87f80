"""The wall clock, as far as it can be believed.

A machine without a battery starts in 1970, and a bad time server may say 2106. A reading filed
there is lost to every query, and a schedule that has once been in the next century stays there.
"""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from emdc.errors import EmdcError

log = logging.getLogger(__name__)

EARLIEST: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""Older than the first release: no machine that runs this can be there."""
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)


class Clock:
    """Gives the time in UTC.

    While `wall` is outside of EARLIEST to LATEST, time goes on from the last instant that was
    believed, by the seconds of `monotonic`.
    """

    def __init__(self, wall: Callable[[], datetime], monotonic: Callable[[], float]) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._believed: datetime | None = None
        self._at = 0.0
        self._doubted = False

    def __call__(self) -> datetime:
        """Now; before anything was believed what the wall clock says, whatever that is."""
        now, at = self._wall(), self._monotonic()
        if EARLIEST <= now < LATEST:
            self._believed, self._at, self._doubted = now, at, False
            return now
        if self._believed is None:
            return now
        if not self._doubted:
            self._doubted = True
            log.error("the clock cannot be right and is not followed", extra={"says": str(now)})
        return self._believed + timedelta(seconds=at - self._at)

    def check(self) -> None:
        """Raise EmdcError when the time that would be given cannot be right."""
        now = self()
        if not EARLIEST <= now < LATEST:
            raise EmdcError(
                f"the clock of this machine says {now:%Y-%m-%d}, expected a day from "
                f"{EARLIEST:%Y-%m-%d} to {LATEST:%Y-%m-%d}: set it, or start after it was set"
            )
