"""Whether the meter at an address is still the one that is meant: addresses move, meters stay.

What tells it, such as its serial number, is read once after each connection. What came over a
connection whose meter says something else, or does not say it, is no value of this meter.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

from emdc.errors import ExceptionResponseError, LinkError, MeterError
from emdc.meters.reads import Plan
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.link import Link

log = logging.getLogger(__name__)

_NONE: Final = -1


class Identity:
    """Stands between a meter and its link.

    `plan` reads the one metric that tells meters apart, `expected` is what it must say.
    Raises ValueError when the metric is not one that is read by itself.
    """

    def __init__(self, meter: str, link: Link, plan: Plan, expected: str) -> None:
        if len(plan.reads) != 1 or plan.finish is not None:
            raise ValueError(f"{plan.metrics[0]} cannot be the identity: it depends on others")
        self._meter = meter
        self._link = link
        self._read = plan.reads[0]
        self._expected = expected
        self._found: str | None = None
        self._connection = _NONE  # number of the one behind which it was found right

    def exchange(self, exchange: Exchange) -> None:
        """As that of the link, but the data of another meter becomes `identity_mismatch`."""
        done = exchange.done
        exchange.done = lambda asked: self._came(asked, done)
        self._link.exchange(exchange)

    def _came(self, asked: Exchange, done: Callable[[Any], None]) -> None:
        connection = self._link.connects
        if asked.resent > 0 and self._connection not in (connection - 1, connection):
            # Nobody can be asked any more whose answers the first ones are.
            _deny(asked, _lost(), asked.resent)
        if connection == self._connection or not any(map(_is_data, asked.answers)):
            done(asked)
            return

        def judged(reply: Exchange) -> None:
            error = self._judge(reply.answers[0])
            if error is None and self._link.connects != connection:
                error = _lost()
            if error is None:
                self._connection = connection
            else:
                _deny(asked, error, len(asked.answers))
            done(asked)

        self._link.exchange(Exchange([self._read.request], asked.timeout_s, judged))

    def _judge(self, answer: Answer) -> MeterError | None:
        """Why this is not the meter that is meant; None when it is."""
        if isinstance(answer, ExceptionResponseError):
            # Not as such: it is no refusal of the metrics that were read.
            return MeterError(answer.reason, "when asked for its identity")
        if isinstance(answer, MeterError):
            return answer
        (value,), gaps = self._read.decode(answer)
        found = str(value).strip() if value is not None else next(iter(gaps.values()))
        if found == self._expected:
            self._found = None
            return None
        if found != self._found:
            self._found = found
            facts = {"meter": self._meter, "found": found, "expected": self._expected}
            log.error("another meter answers", extra=facts)
        return MeterError("identity_mismatch", f"{found!r}, expected {self._expected!r}")


def _lost() -> LinkError:
    return LinkError("connection_reset", "before it was known which meter answers")


def _deny(asked: Exchange, error: MeterError, end: int) -> None:
    """Put the error in the place of the data before `end`."""
    asked.answers[:end] = [error if _is_data(one) else one for one in asked.answers[:end]]
    asked.failed = True


def _is_data(answer: Answer) -> bool:
    return not isinstance(answer, MeterError)
