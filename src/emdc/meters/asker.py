"""The one way on which a probe asks: counted, limited, and nothing twice.

It stands where meters expect their link. Used by `probe`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Final

from emdc.errors import ExceptionResponseError, LinkError, MeterError
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.link import Link
from emdc.modbus.pdu import Request

FATAL: Final = frozenset(
    {"connect_refused", "connect_timeout", "dns_failure", "meter_held", "internal_error"}
)
"""Reasons after which nothing else need be tried."""
LIMIT: Final = "probe_limit"
"""Why a request was not sent: enough were."""
PATIENCE: Final = 4
"""Requests without an answer after which a unit is given up: more than one map takes, since some
meters are silent where they have no register."""
_ABSENT: Final = (10, 11)
"""Exception codes of a gateway behind which no such unit answers."""
_TELLING: Final = 3
"""Answers with data other than zeros that must be the same, beside all others, for two units to be
taken for one meter, which answers whatever unit is asked."""


@dataclass
class UnitState:
    """What one unit did."""

    answers: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    said: dict[tuple[int, int, int], bytes | str] = field(default_factory=dict)
    """Function code, address and count → what came first: data, or the reason why not."""

    @property
    def is_mute(self) -> bool:
        """It has never answered, and further asking is no use."""
        absent = any(f"exception:{code}" in self.failures for code in _ABSENT)
        return not self.answers and (absent or self.failures.total() >= PATIENCE)


@dataclass
class Tally:
    """What was asked so far, and what came of it."""

    units: dict[int, UnitState] = field(default_factory=dict)
    problem: MeterError | None = None
    """Why nothing else need be tried."""
    requests: int = 0
    limited: bool = False
    """The most requests were sent before everything was tried."""

    def twin(self, unit: int) -> int | None:
        """The unit asked before it that gave just the same for all that this one was asked."""
        said = self.units[unit].said if unit in self.units else {}
        telling = [answer for answer in said.values() if isinstance(answer, bytes) and any(answer)]
        before = takewhile(unit.__ne__, self.units if len(telling) >= _TELLING else ())
        return next((one for one in before if said.items() <= self.units[one].said.items()), None)

    @property
    def has_answers(self) -> bool:
        """Some unit has answered, be it with a refusal."""
        return any(state.answers for state in self.units.values())


class Asker:
    """The link as meters see it: counts, remembers, and refuses when enough was asked."""

    def __init__(self, link: Link, most_requests: int, tally: Tally) -> None:
        self._link = link
        self._most = most_requests
        self.tally = tally
        self._known: dict[Request, Answer] = {}

    def forget(self) -> None:
        """Ask anew for what was asked before."""
        self._known = {
            request: answer for request, answer in self._known.items() if _is_refusal(answer, {1})
        }

    def exchange(self, exchange: Exchange) -> None:
        """As `Link.exchange` does, without asking twice."""
        missing = [one for one in dict.fromkeys(exchange.requests) if one not in self._known]
        for request in [one for one in missing if self._is_no_function(one)]:
            self._known[request] = ExceptionResponseError(1)
            missing.remove(request)
        loop = asyncio.get_running_loop()
        if not missing:
            loop.call_soon(self._finish, exchange)
        elif self.tally.requests + len(missing) > self._most:
            self.tally.limited = True
            loop.call_soon(exchange.fail, LinkError(LIMIT))
        else:
            self.tally.requests += len(missing)
            done = _taker(self, exchange)
            self._link.exchange(Exchange(missing, exchange.timeout_s, done))

    def _is_no_function(self, request: Request) -> bool:
        """Whether the unit has said that it does not know this function code."""
        return any(
            (known.unit, known.function_code) == (request.unit, request.function_code)
            and _is_refusal(answer, {1})
            for known, answer in self._known.items()
        )

    def take(self, asked: Exchange, exchange: Exchange) -> None:
        """Note what came for one exchange, and answer it."""
        for request, answer in zip(asked.requests, asked.answers, strict=True):
            self._known[request] = answer
        # A failed request fails those behind it with the same error; that is one failure.
        for answer in {id(one): one for one in asked.answers}.values():
            self._note(asked.requests[0].unit, answer)
        for request, answer in zip(asked.requests, asked.answers, strict=True):
            if (state := self.tally.units.get(request.unit)) is not None:
                key = request.function_code, request.address, request.count
                text = answer.reason if isinstance(answer, MeterError) else bytes(answer)
                state.said.setdefault(key, text)
        self._finish(exchange)

    def _note(self, unit: int, answer: Answer) -> None:
        if isinstance(answer, MeterError) and answer.reason in FATAL:
            self.tally.problem = answer
            return
        state = self.tally.units.setdefault(unit, UnitState())
        if not isinstance(answer, MeterError) or _is_refusal(answer, {1, 2, 3, 4}):
            state.answers += 1
        else:
            state.failures[answer.reason] += 1

    def _finish(self, exchange: Exchange) -> None:
        exchange.answers = [self._known[request] for request in exchange.requests]
        exchange.failed = any(isinstance(answer, MeterError) for answer in exchange.answers)
        exchange.done(exchange)


def _taker(asker: Asker, exchange: Exchange) -> Callable[[Exchange], None]:
    return lambda asked: asker.take(asked, exchange)


def _is_refusal(answer: Answer, codes: set[int]) -> bool:
    return isinstance(answer, ExceptionResponseError) and answer.code in codes
