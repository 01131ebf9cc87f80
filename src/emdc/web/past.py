"""What the web asks of stored history, and how: off the event loop, two questions at a time.

The storage satisfies `History` by shape; the daemon joins the two. Its methods block, so they run
on threads of their own: meters are read on time however long a database takes to answer.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeAlias, TypeVar

from emdc.energy.answers import EnergyAnswer, EpochRow, GapRange, Per, Series, TopicFacts
from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.web.exchange import refuse
from emdc.web.meant import missing, topic_of

AT_ONCE: Final = 2
"""Questions that are worked on at the same time; others wait."""

Sample: TypeAlias = tuple[float, Value]
"""Seconds since 1970, and the value as it is stored."""

_T = TypeVar("_T")


class History(Protocol):
    """Stored history. Instants are seconds since 1970.

    Every method may raise StorageError; ConfigError for what cannot be answered, which is a
    LookupError too, with the nearest names, where a name is not known.
    """

    def topic(self, name: str) -> TopicFacts:
        """What is known of a topic; its name is in full then."""

    def search(self, text: str, limit: int, offset: int = 0) -> Sequence[TopicFacts]:
        """Stored topics whose names have every word of `text`, in order of name."""

    def readings(self, topic: str, start: float, end: float, limit: int) -> Sequence[Sample]:
        """The first `limit` values of start ≤ t < end, in order of time."""

    def series(
        self, topic: str, start: float, end: float, *, step_s: float | None, points: int = 1000
    ) -> Series:
        """At most `points` steps of a span, from its start on; None: the whole span in so many."""

    def stream(self, topic: str, start: float, end: float) -> Iterator[Sample]:
        """All values of a span, read page by page."""

    def energy(self, topic: str, start: float, end: float, per: Per) -> EnergyAnswer:
        """What was counted, by period."""

    def gaps(self, name: str, start: float, end: float, limit: int) -> Sequence[GapRange]:
        """The first `limit` ranges without values, of a meter or of a topic."""

    def epochs(self, topic: str | None = None) -> Sequence[EpochRow]:
        """Where counters began anew, by topic and time; None: those of all topics."""


def topic_asked(history: History, name: str | None, *, energy: bool = False) -> TopicFacts:
    """What is known of the topic that a request names; with `energy` one is wanted that has one.

    Raises ConfigError, which is a LookupError when no topic has the name.
    """
    if not name:
        raise ConfigError(f"parameter topic is {missing(history, energy=energy)}")
    return topic_of(history, name, energy=energy)


class Past:
    """Stored history for the routes."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="emdc-history")

    async def ask(self, question: Callable[[History], _T]) -> _T:
        """What `question` gives, which may block.

        Raises StorageError, 404 for a name that is not known, 400 for what cannot be answered.
        """
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, question, self._history)
        except ConfigError as error:
            if isinstance(error, LookupError):
                raise refuse(404, f"{error}; GET /topics?search= finds names") from error
            raise refuse(400, str(error)) from error
