"""A sink that keeps nothing: it logs when a meter falls silent, and when it answers again.

A meter that stays as it is stays unmentioned; what each tick gave is in the database.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import datetime

from emdc.reading import Gap, GapReason, MeterReading

log = logging.getLogger(__name__)


class Changes:
    """`problem` gives what is wrong with a meter's connection, or ""; with the reason `meter_held`
    that is what the process says of itself that has it.
    """

    def __init__(self, problem: Callable[[str], str]) -> None:
        self._problem = problem
        self._silent: dict[str, tuple[GapReason, str, datetime]] = {}

    async def write(self, readings: Sequence[MeterReading]) -> None:
        """Compare each meter with how it was."""
        for reading in readings:
            if not reading.answered:
                self._fell_silent(reading)
            elif reading.meter in self._silent:
                *_, since = self._silent.pop(reading.meter)
                away_s = round((reading.read_at - since).total_seconds(), 1)
                log.warning("meter answers again", extra={"meter": reading.meter, "away_s": away_s})

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Ranges without a reading say nothing of the meter itself."""

    def _fell_silent(self, reading: MeterReading) -> None:
        reason = next(iter(reading.gaps.values()), "no metrics")
        problem = self._problem(reading.meter)
        before, known, since = self._silent.get(reading.meter, ("", "", reading.read_at))
        # Not asking for a while is what follows from the reason before, not another one.
        if (reason, problem) == (before, known) or (before and reason == "backoff_skipped"):
            return
        self._silent[reading.meter] = (reason, problem, since)
        facts = {"meter": reading.meter, "reason": reason}
        if problem:
            facts["held_by" if reason == "meter_held" else "error"] = problem
        log.warning("meter does not answer", extra=facts)
