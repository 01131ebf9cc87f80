"""How a meter is learned from: parts of a refused read, second tries, and reads that are too long.

Works between the link and `meter`, which calls it only when something failed or was learned before:
a meter that answers all costs nothing here. Rules to keep: what is learned changes which reads are
made and never a value; no reading is lost to learning, so parts are asked in the same tick while
there is time, and what was refused is asked again only behind a reading that has been handed over.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from emdc.errors import ExceptionResponseError, MeterError
from emdc.meters.learned import SILENT, ZEROS, Lesson, Lessons, Tried, lessons_of, too_long
from emdc.meters.plan import Span, span_of
from emdc.meters.poll import Poll
from emdc.meters.reads import reads_in_parts
from emdc.meters.register_map import Metric
from emdc.meters.zeros import Doubt, Zeros, is_long
from emdc.modbus.exchange import Answer, Exchange
from emdc.reading import GapReason

log = logging.getLogger(__name__)

LONGEST_S: Final = float("inf")
SHORTEST_S: Final = 0.05
"""Nothing is asked again when less than this is left for its answer."""
_CAREFUL: Final = 2
"""Parts are asked when so many times of what they should take is left of the tick."""
_NOT_ASKED: Final = frozenset(
    {
        "daemon_stopped",
        "meter_held",
        "backoff_skipped",
        "connect_refused",
        "connect_timeout",
        "dns_failure",
        "internal_error",
        "identity_mismatch",
    }
)
"""Reasons that say nothing about a read."""
_LONGEST_NUMBER: Final = 4
"""Registers of the longest number: a smaller one may end in zeros and not be zero."""

Ask: TypeAlias = Callable[[Sequence[Span], float, Callable[[Exchange], None]], None]
"""Read these spans, each within so many seconds at most, and call back with the answers."""


class Learner:
    """What one meter teaches. `changed` is called when that is more or less than before."""

    def __init__(
        self, name: str, ask: Ask, clock: Callable[[], datetime], changed: Callable[[], None]
    ) -> None:
        self.lessons = Lessons()
        self.suspect: Span | None = None
        """A long read after which the meter was silent in the last reading."""
        self.zeros = Zeros()
        self._name = name
        self._ask = ask
        self._clock = clock
        self._changed = changed
        self._alive = False
        self._trying = False

    # Parts of what was refused, in the same reading

    def ask_parts(self, poll: Poll, again: Callable[[Poll], None]) -> bool:
        """Ask the parts of refused reads, then call `again`; False when there are none, or no time.

        The poll's plan is then one of the parts.
        """
        if doubted := self._doubted(poll):
            self._ask_short(poll, doubted, again)
            return True
        places = [
            place
            for place, (read, answer) in enumerate(zip(poll.plan.reads, poll.answers, strict=True))
            if _refusal(answer) not in (None, "exception:1") and not read.batch.is_one_value
        ]
        if places:
            places = places[: int(min(self._requests_left(poll) / 2, len(places)))]
        if places:
            self._ask_parts(poll, tuple(places), again)
        return bool(places)

    def _ask_parts(
        self, poll: Poll, places: tuple[int, ...], again: Callable[[Poll], None]
    ) -> None:
        whole, before = poll.plan, poll.answers
        plan, origin = reads_in_parts(whole, places)
        batches = [read.batch for read in plan.reads]
        missing = [place for place in origin if origin[place] in places]
        tried = poll.tried = poll.tried or []
        for old in places:
            parts = tuple(batches[place] for place in missing if origin[place] == old)
            tried.append(Tried(whole.reads[old].batch, _refusal(before[old]) or "", parts))
        poll.zeros.expect(batches[place] for place in missing)

        def merge(second: Exchange) -> None:
            found = dict(zip(missing, second.answers, strict=True))
            poll.plan, poll.requests, poll.failed = plan, plan.requests, True
            poll.answers = [found.get(place, before[origin[place]]) for place in origin]
            again(poll)

        self._ask([batches[place].span for place in missing], LONGEST_S, merge)

    def _doubted(self, poll: Poll) -> dict[int, Doubt]:
        """Place of a read whose answer ends in zeros → the reads that tell whether they are true.

        Rarely asked, and then whatever time is left: a wrong value is worse than a late one.
        """
        now = asyncio.get_running_loop().time()
        if now < poll.zeros.look_at:
            return {}
        found: dict[int, Doubt] = {}
        for place, (read, answer) in enumerate(zip(poll.plan.reads, poll.answers, strict=True)):
            if not isinstance(answer, MeterError):
                doubt = poll.zeros.doubted(read.batch.span, answer, now)
                if doubt is not None:
                    found[place] = doubt
        return found

    def _ask_short(
        self, poll: Poll, doubted: dict[int, Doubt], again: Callable[[Poll], None]
    ) -> None:
        def judge(second: Exchange) -> None:
            now = asyncio.get_running_loop().time()
            answers = iter(second.answers)
            for place, doubt in doubted.items():
                said = [(read, next(answers)) for read in doubt.reads]
                if (error := _verdict(doubt, said)) is None:
                    poll.zeros.believe(poll.plan.reads[place].batch.span, now)
                else:
                    poll.answers[place], poll.failed = error, True
            again(poll)

        self._ask([read for doubt in doubted.values() for read in doubt.reads], LONGEST_S, judge)

    def _requests_left(self, poll: Poll) -> float:
        """How many requests the tick has time for, as fast as this meter answered so far."""
        if poll.until == float("inf"):
            return poll.until
        asked = len(poll.requests) + len(poll.tried or ())
        each_s = _seconds(self._clock, poll) / asked
        left_s = poll.until - asyncio.get_running_loop().time()
        return left_s / max(each_s, 0.001) / _CAREFUL

    # What a reading teaches

    def learn(self, poll: Poll) -> None:
        """Take from a reading that ends what it says about the meter."""
        now = self._clock()
        asked = {
            read.batch.span: answer
            for read, answer in zip(poll.plan.reads, poll.answers, strict=True)
        }
        for span, answer in asked.items():
            if span in self.lessons.refused and not isinstance(answer, MeterError):
                self._forget(self.lessons.refused[span])
        tried = list(poll.tried or ())
        tried += [
            Tried(read.batch, reason)
            for read in poll.plan.reads
            if (reason := _refusal(asked[read.batch.span]))
        ]
        outcome = {span: _reason(answer) for span, answer in asked.items()}
        found = []
        if tried:
            known = {one.batch.span: one.reason for one in tried}
            found = lessons_of(tried, {**outcome, **known}, now)
        if (silent := self._silence(outcome)) is not None:
            found.append(too_long(*silent, now, times=0))
        if new := self.lessons.learn(found):
            facts = {"meter": self._name, "learned": [str(lesson.read) for lesson in new]}
            log.warning("meter refuses reads", extra=facts)
            self._replan()

    def _silence(self, outcome: Mapping[Span, GapReason | None]) -> tuple[Span, GapReason] | None:
        """The long read after which the meter was silent for the second reading in a row, although
        it answered another one in this; None when it may be dead.
        """
        alive, self._alive = self._alive or None in outcome.values(), False
        before, self.suspect = self.suspect, None
        culprit = next(((s, r) for s, r in outcome.items() if r is not None and r in SILENT), None)
        if culprit is None:
            if any(reason in _NOT_ASKED for reason in outcome.values()):
                self.suspect = before
            return None
        if not is_long(culprit[0]):
            return None
        if culprit[0] == before and alive:
            return culprit
        self.suspect = culprit[0]
        return None

    def probe(self, poll: Poll, go_on: Callable[[Poll], None]) -> None:
        """Start a poll with one short read, to tell a meter that is dead from one that is silent
        when a long read comes.
        """
        least = min((m for read in poll.plan.reads for m in read.batch.metrics), key=_size)

        def done(first: Exchange) -> None:
            answer = first.answers[0]
            self._alive = not isinstance(answer, MeterError) or bool(_refusal(answer))
            if isinstance(answer, MeterError) and not self._alive:
                poll.fail(answer)
            else:
                go_on(poll)

        self._ask([span_of([least])], LONGEST_S, done)

    # What was refused, asked again

    def try_again(self, poll: Poll) -> None:
        """Ask one thing again that is due, behind a reading that has been handed over."""
        loop = asyncio.get_running_loop()
        lesson = self.lessons.due(self._clock())
        spare_s = (poll.until - loop.time()) / 2
        well = all(
            isinstance(answer, ExceptionResponseError) or not isinstance(answer, MeterError)
            for answer in poll.answers
        )
        enough = spare_s >= max(SHORTEST_S, _seconds(self._clock, poll))
        if lesson is None or self._trying or not well or not enough:
            return
        self._trying = True
        self._ask([lesson.read], spare_s, lambda done: self._tried(lesson, done))

    def _tried(self, lesson: Lesson, done: Exchange) -> None:
        self._trying = False
        answer, now = done.answers[0], self._clock()
        if (reason := _in_vain(lesson, answer)) is not None:
            self.lessons.confirm(lesson, reason, now)
            self._changed()
        elif not isinstance(answer, MeterError):
            self._forget(lesson)
        elif answer.reason not in _NOT_ASKED:
            self.lessons.put_off(lesson, now)

    def _forget(self, lesson: Lesson) -> None:
        gone = self.lessons.forget(lesson)
        facts = {"meter": self._name, "forgotten": [str(lesson.read) for lesson in gone]}
        log.warning("meter answers reads that it refused", extra=facts)
        self._replan()

    def _replan(self) -> None:
        # Reads that no plan makes any more are never proven.
        self.zeros = Zeros()
        self._changed()


def _verdict(doubt: Doubt, said: Sequence[tuple[Span, Answer]]) -> MeterError | None:
    """Why zeros at the end of a long read are no values; None: short reads have them too.

    A value that is refused there is not zero either: the parts of the long read tell which.
    """
    for read, answer in said:
        if _refusal(answer) or not (isinstance(answer, MeterError) or doubt.is_right(read, answer)):
            return MeterError("decode_error", ZEROS)
    return next((answer for _, answer in said if isinstance(answer, MeterError)), None)


def _refusal(answer: Answer) -> GapReason | None:
    """The exception with which a meter says that it does not give these registers, or that it says
    so by zeros.
    """
    if isinstance(answer, ExceptionResponseError) and answer.code in (1, 2, 3):
        return answer.reason
    return ZEROS if isinstance(answer, MeterError) and answer.detail == ZEROS else None


def _in_vain(lesson: Lesson, answer: Answer) -> GapReason | None:
    """Why a read is still not answered as it should; None: it is, or this says nothing of it."""
    if not isinstance(answer, MeterError):
        zeros = lesson.reason == ZEROS and not any(answer[-2 * _LONGEST_NUMBER :])
        return ZEROS if zeros else None
    silent = lesson.kind == "length" and answer.reason in SILENT
    return answer.reason if silent or _refusal(answer) else None


def _reason(answer: Answer) -> GapReason | None:
    return answer.reason if isinstance(answer, MeterError) else None


def _seconds(clock: Callable[[], datetime], poll: Poll) -> float:
    """How long the poll has taken so far."""
    return max(0.0, (clock() - poll.tick).total_seconds())


def _size(metric: Metric) -> int:
    return metric.size
