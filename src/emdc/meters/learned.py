"""What one meter taught: reads that it did not answer as it should, and what follows for its plans.

A lesson is a fact about one read, so it holds for whatever is due together. It is asked again
rarely, and forgotten when the read is answered. Pure: the clock and the answers come in.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from emdc.meters.plan import Avoid, Batch, Span, span_of
from emdc.meters.zeros import is_long
from emdc.reading import GapReason

Kind: TypeAlias = Literal["value", "apart", "length"]

SILENT: Final = frozenset(
    {"read_timeout", "connection_reset", "protocol_error:count", "protocol_error:length"}
)
"""What a meter does that finds a read too long, beside refusing it."""
ZEROS: Final = "zeros"
"""The reason of a lesson about a read that was answered with zeros, its parts with values."""

_DAY: Final = timedelta(days=1)
_PAUSES: Final[Mapping[Kind, Sequence[timedelta]]] = {
    # The first is short, because a meter that starts may refuse what it has a minute later.
    "value": tuple(timedelta(minutes=minutes) for minutes in (1, 10, 60, 360, 1440)),
    "apart": (_DAY,),
    "length": (_DAY,),
}
_AT_ONCE: Final = datetime.min.replace(tzinfo=UTC)


class Lesson(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One read that was not answered, and how the plan avoids it."""

    kind: Kind
    """value: a value that is refused alone; apart: values that cannot be read together; length: a
    read that is too long."""
    read: Span
    """What was asked, and is asked again."""
    reason: GapReason
    """Why there was no answer, as a gap says it."""
    learned: datetime
    """UTC; lessons of one reading have the same instant."""
    asked: datetime
    """UTC; when it was asked last."""
    times: int = 1
    """How often it was asked in vain; 0: a guess, which is tried as soon as there is time."""
    apart: Span | None = None
    """With kind apart: no read of several values may cover it."""
    limit: int | None = None
    """With kind length: registers that a read may have."""

    @property
    def again_at(self) -> datetime:
        """UTC, when it is due to be asked again."""
        pauses = _PAUSES[self.kind]
        if not self.times:
            return _AT_ONCE
        return self.asked + pauses[min(self.times, len(pauses)) - 1]

    @property
    def is_sound(self) -> bool:
        """Whether the protocol has such a read, and the lesson what its kind needs."""
        spans = [self.read] if self.apart is None else [self.read, self.apart]
        has = {"value": True, "apart": self.apart is not None, "length": self.limit is not None}
        return (
            all(s.function_code in (1, 2, 3, 4) and s.address >= 0 for s in spans)
            and all(s.count >= 1 and s.end <= 65536 for s in spans)
            and self.read.count <= (2000 if self.read.function_code < 3 else 125)
            and has[self.kind]
            and (self.limit is None or self.limit >= 1)
            and self.times >= 0
            and None not in (self.asked.tzinfo, self.learned.tzinfo)
        )


class Lessons:
    """All that one meter taught. What follows for plans is computed when it changes."""

    def __init__(self, lessons: Iterable[Lesson] = ()) -> None:
        self.all: tuple[Lesson, ...] = ()
        self.avoid = Avoid()
        self.refused: Mapping[Span, Lesson] = {}
        """Values that are refused alone."""
        self.due_at: datetime | None = None
        """UTC, when the first of them is due to be asked again."""
        self._set(tuple(lessons))

    def learn(self, found: Iterable[Lesson]) -> list[Lesson]:
        """Add what is new; gives what has changed anything."""
        new = []
        for lesson in found:
            if self._is_known(lesson):
                continue
            kept = [other for other in self.all if not _makes_needless(lesson, other)]
            self._set((*kept, lesson))
            new.append(lesson)
        return new

    def due(self, now: datetime) -> Lesson | None:
        """The one that waits longest to be asked again; None when none is due."""
        if self.due_at is None or now < self.due_at:
            return None
        return min(self.all, key=lambda lesson: lesson.again_at)

    def forget(self, lesson: Lesson) -> list[Lesson]:
        """It was answered. Other values that were refused in the same reading are believed too:
        they came of one cause, or are learned again. Gives what is forgotten.
        """
        gone = [
            other
            for other in self.all
            if other.read == lesson.read
            or (other.kind == lesson.kind != "apart" and other.learned == lesson.learned)
        ]
        self._set(tuple(other for other in self.all if other not in gone))
        return gone

    def confirm(self, lesson: Lesson, reason: GapReason, now: datetime) -> None:
        """It was asked again in vain."""
        self._replace(
            lesson,
            msgspec.structs.replace(lesson, reason=reason, asked=now, times=lesson.times + 1),
        )

    def put_off(self, lesson: Lesson, now: datetime) -> None:
        """It was asked again, and what came says nothing of it: the same pause once more."""
        self._replace(lesson, msgspec.structs.replace(lesson, asked=now))

    def _replace(self, lesson: Lesson, again: Lesson) -> None:
        self._set(tuple(again if other == lesson else other for other in self.all))

    def _is_known(self, lesson: Lesson) -> bool:
        if lesson.kind == "length":
            most = self.avoid.max_registers
            return most is not None and lesson.limit is not None and most <= lesson.limit
        if lesson.kind == "value":
            return lesson.read in self.refused
        return any(lesson.apart is not None and lesson.apart.covers(s) for s in self.avoid.apart)

    def _set(self, lessons: tuple[Lesson, ...]) -> None:
        self.all = lessons
        limits = [lesson.limit for lesson in lessons if lesson.limit is not None]
        self.refused = {lesson.read: lesson for lesson in lessons if lesson.kind == "value"}
        apart = [lesson.apart for lesson in lessons if lesson.apart is not None]
        unclear = tuple(lesson.read for lesson in lessons if lesson.apart == lesson.read)
        kept_apart = tuple(sorted((*self.refused, *apart)))
        self.avoid = Avoid(min(limits, default=None), kept_apart, tuple(sorted(unclear)))
        self.due_at = min((lesson.again_at for lesson in lessons), default=None)


def _makes_needless(new: Lesson, old: Lesson) -> bool:
    """Whether plans that respect `new` respect `old` by that."""
    if new.kind == "length":
        longer = new.limit is not None and old.read.count > new.limit
        return old.kind == "length" or (old.kind == "apart" and _of_registers(old) and longer)
    span = new.read if new.kind == "value" else new.apart
    return old.apart is not None and span is not None and old.apart.covers(span)


def _of_registers(lesson: Lesson) -> bool:
    # A cut at one place is no matter of length, whatever was read over it.
    return lesson.read.function_code in (3, 4) and lesson.apart == lesson.read


class Tried(NamedTuple):
    """One read of several values, or of one, that was refused."""

    batch: Batch
    reason: GapReason
    parts: tuple[Batch, ...] = ()
    """What was asked in its place in the same reading; empty: nothing."""


def lessons_of(
    tried: Iterable[Tried], outcome: Mapping[Span, GapReason | None], now: datetime
) -> list[Lesson]:
    """What refused reads teach, shortest read first.

    `outcome` says of every read that was asked whether it was answered (None), or why not. A
    refusal that one part of the read explains teaches nothing more.
    """
    longest = max((span.count for span, reason in outcome.items() if reason is None), default=0)
    found: list[Lesson] = []
    for batch, reason, parts in sorted(tried, key=lambda one: one.batch.count):
        if reason == "exception:1":  # the function code, so that no part would be answered
            values = {span_of([metric]) for metric in batch.metrics}
            found += [_lesson("value", span, reason, now) for span in sorted(values)]
        elif batch.is_one_value:
            found.append(_lesson("value", batch.span, reason, now))
        elif any(_is_refusal(outcome.get(part.span)) for part in parts):
            continue
        elif reason == ZEROS:
            found.append(too_long(batch.span, reason, now))
        elif not parts or any(outcome.get(part.span, "unknown") for part in parts):
            found.append(_lesson("apart", batch.span, reason, now, apart=batch.span))
        elif _is_too_long(batch, reason, parts, longest):
            found.append(too_long(batch.span, reason, now, longest_part=_longest(parts)))
        else:
            found.append(_lesson("apart", batch.span, reason, now, apart=_between(batch, parts)))
    return found


def too_long(
    read: Span, reason: GapReason, now: datetime, *, longest_part: int = 0, times: int = 1
) -> Lesson:
    """That this read is too long for the meter; the limit is half of it, or what was answered."""
    limit = max(read.count // 2, longest_part)
    return msgspec.structs.replace(_lesson("length", read, reason, now), limit=limit, times=times)


def _lesson(
    kind: Kind, read: Span, reason: GapReason, now: datetime, *, apart: Span | None = None
) -> Lesson:
    return Lesson(kind=kind, read=read, reason=reason, learned=now, asked=now, apart=apart)


def _is_refusal(reason: GapReason | None) -> bool:
    return reason in {"exception:1", "exception:2", "exception:3", ZEROS}


def _is_too_long(batch: Batch, reason: GapReason, parts: Sequence[Batch], longest: int) -> bool:
    """Whether it is the length and not the place where it was cut.

    A meter that answered a longer read in the same reading has nothing against the length.
    """
    if not is_long(batch.span) or batch.count <= longest:
        return False
    hole = parts[1].address - parts[0].span.end
    return hole <= 0 or reason != "exception:2"


def _longest(parts: Iterable[Batch]) -> int:
    return max(part.count for part in parts)


def _between(batch: Batch, parts: Sequence[Batch]) -> Span:
    """The least that no read may cover: a register on each side of the cut."""
    end, start = parts[0].span.end, parts[1].address
    if start < end:
        return batch.span
    return Span(batch.function_code, end - 1, start - end + 2)
