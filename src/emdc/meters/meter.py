"""One meter: run what is due as few batch reads, and return one MeterReading.

A meter that refuses a read is asked for its parts, and `learner` keeps what that teaches: the
plans of a meter are those of its map and settings, but for what it has refused.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from emdc.errors import ConfigError, ExceptionResponseError, LinkError, MeterError
from emdc.meters.identity import Identity
from emdc.meters.invert import inverted
from emdc.meters.learned import Lesson
from emdc.meters.learner import Learner
from emdc.meters.plan import Batch, Span, names_by_span
from emdc.meters.poll import Poll
from emdc.meters.profile import profile_of
from emdc.meters.reads import Limits, Plan, Wanted, limits_of, reads_of, reads_without, want
from emdc.meters.register_map import RegisterMap
from emdc.meters.words import NO_RATIOS, Ratios
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.link import Link
from emdc.modbus.pdu import read_request
from emdc.reading import GapReason, MeterReading, Value

log = logging.getLogger(__name__)

_FINAL: Final = frozenset({"daemon_stopped", "meter_held"})
"""Reasons that asking again within the same reading does not change."""


@dataclass(frozen=True, slots=True)
class MeterSettings:
    """One installation of a meter: what its map cannot know."""

    unit: int = 1
    interval_s: float | None = None
    timeout_s: float = 3.0
    retries: int = 3
    retry_wait_s: float = 1.0
    ratios: Ratios = NO_RATIOS
    max_registers: int | None = None
    """Registers in one read; None: the map's."""
    max_gap: int | None = None
    """Unmapped registers that a read may cross; None: the map's."""
    invert: tuple[str, ...] = ()
    """Metrics whose sign is turned, or the word `power`; see `meters.invert`."""
    timezone: str = "UTC"
    """IANA name of the zone whose days and months its energy is counted in."""
    max_power_kw: float | None = None
    """Most that it can measure; None: not known."""
    identity: str = ""
    """What the metric that the map names for it must say; empty: it is not asked."""


class Meter:
    """Reads one meter over its link, which takes one reading after the other.

    Raises ConfigError when the settings do not allow to read the map.
    """

    def __init__(
        self,
        name: str,
        register_map: RegisterMap,
        link: Link,
        settings: MeterSettings,
        *,
        clock: Callable[[], datetime],
    ) -> None:
        try:
            register_map = inverted(register_map, settings.invert)
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from error
        self.name = name
        self.register_map = register_map
        self.link = link
        self.settings = settings
        self.profile = profile_of(name, register_map, settings)
        self.learned: Callable[[], None] = lambda: None
        """Called when the meter has taught something, or is believed again."""
        self._learner = Learner(name, self._ask, clock, self._changed)
        self._plans: dict[Wanted, Plan] = {}
        self._names = names_by_span(register_map)
        self._clock = clock
        try:
            self._whole(want(metric.name for metric in register_map.metrics))
            self._exchange = self._identity().exchange if settings.identity else link.exchange
        except ValueError as error:
            raise ConfigError(f"{name}: {error}") from error

    @property
    def lessons(self) -> tuple[Lesson, ...]:
        """What the meter taught, and is not asked in vain since."""
        return self._learner.lessons.all

    def remember(self, lessons: Iterable[Lesson]) -> None:
        """Begin with what the meter taught before."""
        self._learner.lessons.learn(lessons)
        self._plans.clear()

    def batches(self, wanted: Wanted) -> tuple[Batch, ...]:
        """The batch reads that `start` uses for these metrics now."""
        return tuple(read.batch for read in self._plan(wanted).reads)

    def start(self, poll: Poll) -> None:
        """Read what the poll wants and call its `take` with the reading.

        Never raises for what a meter does: what could not be read is None with a reason in `gaps`.
        """
        poll.plan = found = self._plan(poll.wanted)
        poll.requests, poll.zeros = found.requests, self._learner.zeros
        poll.timeout_s = self.settings.timeout_s
        poll.done = self._answered
        if self._learner.suspect is None:
            self._exchange(poll)
        else:
            self._learner.probe(poll, self._exchange)

    async def read(self, wanted: Wanted) -> MeterReading:
        """The metrics named in `wanted`, read now: a manual reading, whose slot is its start."""
        future: asyncio.Future[MeterReading] = asyncio.get_running_loop().create_future()

        def take(reading: MeterReading) -> None:
            if not future.done():  # the caller may have gone
                future.set_result(reading)

        self.start(Poll(wanted, take, self._clock(), scheduled=False))
        return await future

    def _identity(self) -> Identity:
        metric = self.register_map.identity
        if metric not in {known.name for known in self.register_map.metrics}:
            raise ValueError(
                "identity is given, and the map names no metric for it: sheet Meter, key identity"
            )
        plan = self._whole(want([metric]))
        return Identity(self.name, self.link, plan, self.settings.identity)

    def _plan(self, wanted: Wanted) -> Plan:
        found = self._plans.get(wanted)
        if found is None:
            found = self._plans[wanted] = self._taught(wanted)
            self._learner.zeros.expect(read.batch for read in found.reads)
        return found

    def _whole(self, wanted: Wanted) -> Plan:
        """The plan for a meter that refuses nothing."""
        return reads_of(
            self.register_map,
            wanted,
            unit=self.settings.unit,
            ratios=self.settings.ratios,
            limits=self._limits(),
        )

    def _taught(self, wanted: Wanted) -> Plan:
        whole, lessons = self._whole(wanted), self._learner.lessons
        if not lessons.all:
            return whole
        return reads_without(whole, self._limits(), lessons.avoid, frozenset(lessons.refused))

    def _limits(self) -> Limits:
        return limits_of(self.register_map, self.settings.max_registers, self.settings.max_gap)

    def _changed(self) -> None:
        self._plans.clear()
        self.learned()

    def _answered(self, poll: Poll) -> None:
        learner = self._learner
        # Most meters answer everything, and most readings end here.
        doubt = poll.zeros.unproven and poll.zeros.look_at <= asyncio.get_running_loop().time()
        plain = not (poll.failed or doubt or learner.lessons.all or learner.suspect)
        if not plain and (self._safely(self._asks_parts, poll) or self._retry(poll)):
            return
        try:
            reading = self._reading(poll)
        except Exception:
            log.exception("decoding failed", extra={"meter": self.name})
            poll.answers, poll.failed = [LinkError("internal_error")] * len(poll.requests), True
            reading = self._reading(poll)
        if not plain:
            self._safely(learner.learn, poll)
        poll.take(reading)
        if learner.lessons.all and (poll.scheduled or self.settings.interval_s is None):
            self._safely(learner.try_again, poll)

    def _ask(
        self, spans: Sequence[Span], within_s: float, done: Callable[[Exchange], None]
    ) -> None:
        requests = [
            read_request(self.settings.unit, span.function_code, span.address, span.count)
            for span in spans
        ]
        self._exchange(Exchange(requests, min(within_s, self.settings.timeout_s), done))

    def _asks_parts(self, poll: Poll) -> bool:
        return self._learner.ask_parts(poll, self._answered)

    def _safely(self, learn: Callable[[Poll], Any], poll: Poll) -> Any:
        """What `learn` gives; a fault in it costs no reading."""
        try:
            return learn(poll)
        except Exception:
            log.exception("learning failed", extra={"meter": self.name})
            return None

    def _retry(self, poll: Poll) -> bool:
        """Ask again later for what the link could not bring, if that is still allowed."""
        failed = [place for place, answer in enumerate(poll.answers) if _may_pass(answer)]
        loop = asyncio.get_running_loop()
        again = loop.time() + self.settings.retry_wait_s
        if not failed or poll.retries == self.settings.retries or again >= poll.until:
            return False
        poll.retries += 1
        loop.call_at(again, self._ask_again, poll, failed)
        return True

    def _ask_again(self, poll: Poll, failed: Sequence[int]) -> None:
        def merge(second: Exchange) -> None:
            for place, answer in zip(failed, second.answers, strict=True):
                # Not asked for a while says less than why it was not answered before.
                if not isinstance(answer, LinkError) or answer.reason != "backoff_skipped":
                    poll.answers[place] = answer
            self._answered(poll)

        requests = [poll.requests[place] for place in failed]
        self._exchange(Exchange(requests, self.settings.timeout_s, merge))

    def _reading(self, poll: Poll) -> MeterReading:
        plan = poll.plan
        if plan.decode is None or poll.failed:
            values, gaps = self._each(poll, plan)
        else:
            values, gaps = plan.decode(b"".join(poll.answers))  # type: ignore[arg-type]
        if plan.finish is not None:
            values = plan.finish(values, gaps)
        metrics = plan.metrics
        if plan.of is not None:
            # Readings of one set of metrics have them in one order, whatever was learned.
            known, metrics = dict(zip(metrics, values, strict=True)), plan.of.metrics
            values = [known.get(name) for name in metrics]
            gaps = {name: gaps[name] for name in metrics if name in gaps}
        return MeterReading(
            self.name,
            poll.tick,
            self._clock(),
            metrics,
            tuple(values),
            gaps,
            poll.scheduled,
        )

    def _each(self, poll: Poll, plan: Plan) -> tuple[list[Value], dict[str, GapReason]]:
        values: list[Value] = []
        gaps: dict[str, GapReason] = {} if plan.of is None else self._not_asked(poll, plan.of)
        for read, answer in zip(plan.reads, poll.answers, strict=True):
            if isinstance(answer, MeterError):
                values += [None] * len(read.decoder.names)
                gaps.update(dict.fromkeys(read.decoder.names, answer.reason))
            else:
                found, missing = read.decode(answer)
                values += found
                gaps.update(missing)
        return values, gaps

    def _not_asked(self, poll: Poll, whole: Plan) -> dict[str, GapReason]:
        """Reasons of the metrics that the plan leaves out: the meter's refusal; when the meter gave
        no answer at all, why not, so that nobody takes it for being there.
        """
        away = _away(poll.answers)
        refused = {
            name: lesson.reason
            for span, lesson in self._learner.lessons.refused.items()
            for name in self._names.get(span, ())
        }
        left_out = set(whole.names).difference(poll.plan.names)
        # One that is believed again since this reading began was just not asked.
        return {name: away or refused.get(name, "backoff_skipped") for name in left_out}


def _away(answers: Sequence[Answer]) -> GapReason | None:
    """Why the meter was not there; None when it gave an answer, be it a refusal."""
    errors = [answer for answer in answers if isinstance(answer, MeterError)]
    if len(errors) < len(answers) or any(isinstance(e, ExceptionResponseError) for e in errors):
        return None
    return errors[0].reason


def _may_pass(answer: object) -> bool:
    """Whether asking again soon may help: the link failed, or the meter said busy (5, 6)."""
    if isinstance(answer, ExceptionResponseError):
        return answer.code in (5, 6)
    return isinstance(answer, LinkError) and answer.reason not in _FINAL
