"""Long reads whose answers end in zeros: what a meter says, or what it puts where it has nothing.

A value that is zero cannot be told from one that was left out, but a meter that finds a read too
long gives that value when it is asked for alone. A read that once ended in something else is
trusted for good. Pure.
"""

from collections.abc import Iterable
from typing import Final

from emdc.meters.plan import Batch, Span, span_of

LONG: Final = 16
"""Registers up to which no meter is known to find a read too long."""
BELIEVED_S: Final = (60.0, 600.0, 3600.0, 21600.0, 86400.0)
"""How long zeros are believed that the value alone has too, the first time and later."""


class Zeros:
    """Which long reads of one meter are to be trusted."""

    def __init__(self) -> None:
        self.unproven: dict[Span, Span] = {}
        """Long reads that have ended in nothing but zeros so far, or were not answered yet → the
        last value of each."""
        self._proven: set[Span] = set()
        self._believed: dict[Span, tuple[float, int]] = {}
        """Until when, and how often it was found so."""

    def expect(self, batches: Iterable[Batch]) -> None:
        """Look at the answers of those that are long until one of them is trusted."""
        for batch in batches:
            if is_long(batch.span) and batch.span not in self._proven:
                last = (m for m in batch.metrics if m.address + m.size == batch.span.end)
                self.unproven[batch.span] = span_of([min(last, key=lambda metric: metric.size)])

    def doubted(self, span: Span, data: bytes | bytearray, now: float) -> Span | None:
        """The value to be asked alone before this answer is believed; None: it is believed."""
        last = self.unproven.get(span)
        if last is None:
            return None
        if any(data[-2 * last.count :]):
            del self.unproven[span]
            self._proven.add(span)
            return None
        return last if now >= self._believed.get(span, (0.0, 0))[0] else None

    def believe(self, span: Span, now: float) -> None:
        """The last value is zero alone too: not asked again for a while, each time a longer one."""
        _, times = self._believed.get(span, (0.0, 0))
        pause_s = BELIEVED_S[min(times, len(BELIEVED_S) - 1)]
        self._believed[span] = (now + pause_s, times + 1)


def is_long(span: Span) -> bool:
    """Whether a meter may find it too long."""
    return span.count > LONG and span.function_code in (3, 4)
