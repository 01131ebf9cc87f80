"""The last value of every metric and the state of every meter: a Sink in memory.

Serves `/metric`, `/health` and the first page. A reading that is complete costs one dictionary
entry; only gaps are looked at metric by metric.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from emdc.reading import Gap, GapReason, MeterProfile, MeterReading, Value

_ABSENT: Final = "not_available"
"""Devices say so for ever of what they do not measure: a gap, and nothing that is wrong."""


@dataclass(frozen=True, slots=True)
class LatestValue:
    """The newest value of one metric, and why there is no newer one."""

    value: Value
    tick: datetime
    read_at: datetime
    gap: GapReason | None = None
    """Reason that the newest attempt gave nothing; None when `value` is the newest attempt's."""


@dataclass(slots=True)
class MeterState:
    """What happened to one meter lately."""

    profile: MeterProfile
    last_success: datetime | None = None
    """UTC, when it last answered."""
    last_error: GapReason | None = None
    """Of the meter: that it does not have a value which the map knows is none."""
    last_error_at: datetime | None = None
    failures: int = 0
    """Readings without an answer since the last success."""
    readings: int = 0
    gaps: int = 0
    """Values that were due and missing, since the start."""
    newest: dict[tuple[str, ...], MeterReading] = field(default_factory=dict)
    """The last reading of each plan, by its metrics."""
    kept: dict[str, LatestValue] = field(default_factory=dict)
    """Values older than the newest reading of their plan, which missed them."""

    def take(self, reading: MeterReading) -> None:
        """Let `reading` be the newest of its plan; values that it misses stay known."""
        before = self.newest.get(reading.metrics)
        if before is not None and before.read_at > reading.read_at:
            return
        if before is not None and reading.gaps:
            # Only what goes with `before` is to be kept: a dead meter had nothing before either.
            for name, value in zip(before.metrics, before.values, strict=True):
                known = self.value(name) if value is not None and name in reading.gaps else None
                if known is not None:
                    self.kept[name] = known
        self.newest[reading.metrics] = reading
        self.readings += 1
        self.gaps += len(reading.gaps)
        if reading.answered:
            self.last_success, self.failures = reading.read_at, 0
        else:
            self.failures += 1
        reason = next((why for why in reading.gaps.values() if why != _ABSENT), None)
        if reason is not None:
            # That it was not even asked says less than why it was given up before.
            if reason != "backoff_skipped" or self.last_error is None:
                self.last_error = reason
            self.last_error_at = reading.read_at

    def value(self, metric: str) -> LatestValue | None:
        """The newest value of `metric`; None when it was never read."""
        best: LatestValue | None = self.kept.get(metric)
        gap: GapReason | None = None
        gap_at: datetime | None = None
        for reading in self.newest.values():
            if metric not in reading.metrics:
                continue
            value = reading.values[reading.metrics.index(metric)]
            if value is None:
                if gap_at is None or reading.read_at >= gap_at:
                    gap, gap_at = reading.gaps.get(metric), reading.read_at
            elif best is None or reading.read_at >= best.read_at:
                best = LatestValue(value, reading.tick, reading.read_at)
        if best is not None and gap_at is not None and gap_at > best.read_at:
            return LatestValue(best.value, best.tick, best.read_at, gap)
        return best


class Latest:
    """The state of all configured meters, by topic prefix."""

    def __init__(self, profiles: Iterable[MeterProfile]) -> None:
        self.meters = {profile.name: MeterState(profile) for profile in profiles}
        self.joined = 0
        """Times that a meter has got another profile."""

    def join(self, profile: MeterProfile) -> None:
        """Let a meter that is known have this profile from now on."""
        self.meters[profile.name].profile = profile
        self.joined += 1

    async def write(self, readings: Sequence[MeterReading]) -> None:
        """Take readings; those of meters that are not configured are ignored."""
        for reading in readings:
            state = self.meters.get(reading.meter)
            if state is not None:
                state.take(reading)

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Count ranges without a reading as the meter's last error."""
        for gap in gaps:
            state = self.meters.get(gap.meter)
            if state is not None:
                state.last_error, state.last_error_at = gap.reason, gap.from_ts

    def load(self, readings: Iterable[MeterReading]) -> None:
        """Start from stored readings, oldest first, without counting them."""
        for reading in readings:
            state = self.meters.get(reading.meter)
            if state is not None:
                state.take(reading)
                state.readings = state.gaps = state.failures = 0
                state.last_error = state.last_error_at = None
