"""One caller's requests to one link, and their answers."""

import logging
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from emdc.errors import MeterError
from emdc.modbus.pdu import Request

log = logging.getLogger(__name__)

Answer: TypeAlias = bytes | bytearray | MeterError
"""The data bytes of a right answer, or why there is none."""


class Exchange:
    """Requests that are sent one after the other; `done` is called with it when all have answers.

    A callback, not a future: waking a coroutine would cost as much as the request itself.
    """

    __slots__ = ("answers", "done", "failed", "requests", "resent", "timeout_s")

    def __init__(
        self,
        requests: Sequence[Request],
        timeout_s: float,
        done: Callable[[Any], None],
    ) -> None:
        self.requests = requests
        self.timeout_s = timeout_s
        self.done = done
        self.answers: list[Answer] = []
        """One for each request, in order, when `done` is called."""
        self.failed = False
        """Some answers are errors."""
        self.resent = -1
        """Place of the request that was sent again on a new connection, the last time that one was;
        the answers before it came over connections that are gone."""

    def fail(self, error: MeterError) -> None:
        """Give every request without an answer this error, and end."""
        self.answers += [error] * (len(self.requests) - len(self.answers))
        self.failed = True
        try:
            self.done(self)
        except Exception:
            # One failure ends many exchanges: a fault of one caller must not stop the others'.
            log.exception("answer not taken")
