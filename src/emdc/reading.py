"""The types that travel from a meter to a database: readings, gaps, and what a meter can say.

Everything here is plain data. This module imports nothing of ours but `digits`, so that every other
package may speak of readings without knowing where they come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal, NamedTuple, TypeAlias

from emdc.digits import Digits

Value: TypeAlias = float | int | str | None
"""One value of one metric: in the metric's unit, a text, or None when it was not read."""

GapReason: TypeAlias = str
"""Why a value is missing: one of GAP_REASONS, or `exception:N` with the meter's exception code."""

GAP_REASONS: Final = frozenset(
    {
        "connect_refused",
        "connect_timeout",
        "connection_reset",
        "read_timeout",
        "dns_failure",
        "meter_held",  # another process has the one connection that the meter may have
        "protocol_error:tid",
        "protocol_error:pid",
        "protocol_error:length",
        "protocol_error:unit",
        "protocol_error:fc",
        "protocol_error:count",
        "protocol_error:crc",
        "decode_error",
        "not_discovered",  # the registers that a device describes itself are not known, or moved
        "not_available",  # NaN, infinity or the map's Invalid pattern
        "out_of_range",  # outside the map's Minimum and Maximum
        "identity_mismatch",  # another meter answers than the one that is meant
        "overrun",  # the tick before was not finished
        "backoff_skipped",  # the meter failed before and is asked again later
        "queue_full",  # the database took nothing for too long
        "spool_overflow",  # the database took nothing, and the spool for its readings was full
        "poison_row",  # the database refuses this row for good: set aside, see docs
        "retention",  # deleted by emdc retention
        "clock_step",
        "clock_back",
        "daemon_stopped",
        "daemon_killed",
        "internal_error",  # a fault of this program, logged with its trace
    }
)

Kind: TypeAlias = Literal["gauge", "counter", "text"]


class MeterReading(NamedTuple):
    """What one meter said in one tick.

    A metric that was due and not read is None, and `gaps` says why.
    """

    meter: str
    """Topic prefix, such as `UW/Mercer/nexus_meter`."""
    tick: datetime
    """UTC; the slot that it was due for, or the cycle's start for a manual reading."""
    read_at: datetime
    """UTC; when the last answer came."""
    metrics: tuple[str, ...]
    """Names; one tuple shared by all readings of a plan, so it may be compared with `is`."""
    values: tuple[Value, ...]
    """In the order of `metrics`, in the metric's unit, not rounded yet (see `digits`)."""
    gaps: Mapping[str, GapReason]
    """Metric name → reason; empty when complete."""
    scheduled: bool = True
    """False: asked for by hand, owes no slot."""

    @property
    def answered(self) -> bool:
        """The meter was there: it gave a value, or an answer that holds none."""
        return len(self.gaps) < len(self.metrics) or any(
            map(is_answer, set(self.gaps.values()))  # a dead meter has one reason for all
        )


@dataclass(frozen=True, slots=True)
class Gap:
    """Ticks of one meter for which no reading could exist: from_ts ≤ tick < to_ts, both UTC."""

    meter: str
    from_ts: datetime
    to_ts: datetime
    reason: GapReason


@dataclass(frozen=True, slots=True)
class Topic:
    """One metric of one meter as the rest of the program sees it."""

    name: str
    """Metric name, unique within the meter."""
    unit: str = ""
    kind: Kind = "gauge"
    digits: Digits = None
    """How many digits of a value mean anything."""
    description: str = ""
    interval_s: float | None = None
    """Seconds between its readings when it has an interval of its own."""
    modulus: float | int | None = None
    """Where a counter begins again at 0, in the topic's unit; None: not known, or no counter."""


@dataclass(frozen=True, slots=True)
class MeterProfile:
    """What a meter's readings hold, and since when they are due how often."""

    name: str
    """Topic prefix; a topic's full name is `<prefix>/<metric name>`."""
    topics: tuple[Topic, ...]
    interval_s: float | None = None
    """Seconds between scheduled readings; None: only when asked."""
    settings: Mapping[str, str | float] = field(default_factory=dict)
    """What values depend on: map, map_hash, ct_ratio and pt_ratio (a number, or `meter` when it is
    read there), invert when signs are turned; and what energy depends on: timezone (IANA name) and
    max_power (kW, when it is known). Recorded with its time."""


def is_answer(reason: GapReason) -> bool:
    """Whether a meter that gave this instead of a value was there."""
    if reason in {"exception:10", "exception:11"}:  # a gateway says that the meter is not there
        return False
    return reason.startswith("exception:") or reason in _ANSWERS


_ANSWERS: Final = frozenset({"not_available", "out_of_range", "decode_error"})
