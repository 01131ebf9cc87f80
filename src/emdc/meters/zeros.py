"""Long reads whose answers end in zeros: what a meter says, or what it puts where it has nothing.

A value that is zero cannot be told from one that was left out, but a meter that finds a read too
long gives that value when it is asked with few others. So all zeros at the end are asked again in
short reads. A read that once ended in something else is trusted for good. Pure.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from emdc.meters.plan import Avoid, Batch, Span, plan

LONG: Final = 16
"""Registers up to which no meter is known to find a read too long."""
BELIEVED_S: Final = (60.0, 600.0, 3600.0, 21600.0, 86400.0)
"""How long zeros are believed that short reads have too, the first time and later."""
_NEVER: Final = float("inf")


class Doubt(NamedTuple):
    """Zeros at the end of a long read, and the short reads that tell whether they are true."""

    zero_from: int
    """Address from which on all registers are zero."""
    reads: tuple[Span, ...]
    """All values that have such a register; at most LONG registers each, or one longer value."""

    def is_right(self, read: Span, data: bytes | bytearray) -> bool:
        """Whether the answer to one of `reads` has the zeros too."""
        return not any(data[2 * max(0, self.zero_from - read.address) :])


class Zeros:
    """Which long reads of one meter are to be trusted."""

    def __init__(self) -> None:
        self.unproven: dict[Span, Batch] = {}
        """Long reads that have ended in nothing but zeros so far, or were not answered yet."""
        self.look_at = _NEVER
        """Loop time from which on the answer to one of them is to be looked at."""
        self._proven: set[Span] = set()
        self._believed: dict[Span, tuple[float, int]] = {}
        """Until when, and how often it was found so."""

    def expect(self, batches: Iterable[Batch]) -> None:
        """Look at the answers of those that are long until one of them is trusted."""
        for batch in batches:
            if is_long(batch.span) and batch.span not in self._proven:
                self.unproven[batch.span] = batch
        self._look_later()

    def doubted(self, span: Span, data: bytes | bytearray, now: float) -> Doubt | None:
        """What is to be asked before this answer is believed; None: it is believed."""
        batch = self.unproven.get(span)
        if batch is None:
            return None
        last = min(m.size for m in batch.metrics if m.address + m.size == span.end)
        if any(data[-2 * last :]):
            del self.unproven[span]
            self._proven.add(span)
            self._look_later()
            return None
        return None if now < self._until(span) else _doubt(batch, data)

    def believe(self, span: Span, now: float) -> None:
        """Short reads have the zeros too: not asked for a while, each time a longer one."""
        _, times = self._believed.get(span, (0.0, 0))
        pause_s = BELIEVED_S[min(times, len(BELIEVED_S) - 1)]
        self._believed[span] = (now + pause_s, times + 1)
        self._look_later()

    def _until(self, span: Span) -> float:
        return self._believed.get(span, (0.0, 0))[0]

    def _look_later(self) -> None:
        self.look_at = min(map(self._until, self.unproven), default=_NEVER)


def _doubt(batch: Batch, data: bytes | bytearray) -> Doubt:
    zero_from = batch.address + (len(data.rstrip(b"\0")) + 1) // 2
    zeros = [metric for metric in batch.metrics if metric.address + metric.size > zero_from]
    short = plan(zeros, Avoid(LONG), max_registers=batch.count, max_gap=LONG)
    return Doubt(zero_from, tuple(one.span for one in short))


def is_long(span: Span) -> bool:
    """Whether a meter may find it too long."""
    return span.count > LONG and span.function_code in (3, 4)
