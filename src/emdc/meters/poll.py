"""One reading that is asked for, on its way through a link and back."""

from collections.abc import Callable, Sequence
from datetime import datetime

from emdc.meters.learned import Tried
from emdc.meters.reads import Plan, Wanted
from emdc.meters.zeros import Zeros
from emdc.modbus.exchange import Exchange
from emdc.modbus.pdu import Request
from emdc.reading import MeterReading


class Poll(Exchange):
    """One reading that is asked for: which metrics, for which slot, and who gets it."""

    __slots__ = (
        *("plan", "retries", "scheduled", "take", "tick", "tried", "until", "wanted", "zeros"),
    )

    requests: Sequence[Request]
    plan: Plan
    zeros: Zeros
    """Which of its answers are to be trusted: those of its plan, also when that changes."""
    tried: list[Tried] | None
    """Reads that were refused and asked in parts; None: no part was asked."""

    def __init__(
        self,
        wanted: Wanted,
        take: Callable[[MeterReading], None],
        tick: datetime,
        *,
        scheduled: bool,
        until: float = float("inf"),
    ) -> None:
        # Not Exchange.__init__: a plant makes one of these for each meter and tick.
        self.answers = []
        self.failed = False
        self.resent = -1
        self.tried = None
        self.wanted = wanted
        self.take = take
        self.tick = tick
        """UTC: the slot of a scheduled reading, the start of a manual one."""
        self.scheduled = scheduled
        self.until = until
        """Loop time after which no retry starts."""
        self.retries = 0
