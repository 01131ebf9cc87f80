"""What the web needs from the rest of the program, handed over in one piece by the daemon.

The web asks the collector for readings and never a meter or a database itself; what it needs of
the storage is a small picture of its state and the points of a sparkline.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

from litestar import Response

from emdc import __version__
from emdc.collector.cycle import Collector
from emdc.collector.latest import Latest
from emdc.web.exchange import Ask, Parameter
from emdc.web.names import Names
from emdc.web.past import Past

Points: TypeAlias = Mapping[str, Sequence[tuple[float, float | None]]]
"""Metric name → (seconds since 1970, value), oldest first."""


class StorageStatus(Protocol):
    """How the storage is doing; a picture, taken without waiting for the database."""

    @property
    def url(self) -> str:
        """The database, without its password."""

    @property
    def in_memory(self) -> bool:
        """Whether samples are lost when the program ends."""

    @property
    def ok(self) -> bool:
        """Whether the last write was taken."""

    @property
    def last_commit_at(self) -> datetime | None:
        """UTC, when readings were last made durable."""

    @property
    def last_error(self) -> str | None:
        """Why the last write was not taken."""

    @property
    def queued(self) -> int:
        """Readings that wait to be written."""

    @property
    def stored(self) -> int:
        """Readings written since the start."""

    @property
    def conflicts(self) -> int:
        """Readings whose place held other values already, which were kept."""

    @property
    def dropped(self) -> int:
        """Readings that were lost because the queue was full."""

    @property
    def spooled(self) -> int:
        """Readings that wait in the spool."""

    @property
    def spool_bytes(self) -> int:
        """What they take of the spool."""

    @property
    def spool_limit_bytes(self) -> int:
        """What the spool may hold; 0: there is none."""

    @property
    def spool_since(self) -> datetime | None:
        """UTC, when the oldest waiting reading was put there; None: the spool is empty."""

    @property
    def spool_path(self) -> str:
        """The spool's file."""

    @property
    def replayed(self) -> int:
        """Readings that came back from the spool into the database since the start."""

    @property
    def overflowed(self) -> int:
        """Readings that the spool's bound dropped; each is a gap `spool_overflow`."""

    @property
    def refused(self) -> int:
        """Readings that the database refuses for good, set aside with their reason."""


class IntervalsStatus(Protocol):
    """How far the quarter hours are that are made of readings."""

    @property
    def made_until(self) -> datetime | None:
        """UTC; those that ended by then are made. None: nobody knows yet."""

    @property
    def waiting(self) -> int:
        """Meters whose quarter hours are still to be looked at."""

    @property
    def last_error(self) -> str | None:
        """Why the last try failed; None: it did not."""


@dataclass(frozen=True)
class Service:
    """The parts that the routes work on."""

    collector: Collector
    storage: Callable[[], StorageStatus]
    sparklines: Callable[[str], Awaitable[Points]]
    """Meter → points of its last hour. Raises StorageError."""
    past: Past
    """What is stored."""
    clock: Callable[[], datetime]
    """Now, in UTC."""
    started: datetime
    token: str | None = None
    """Asked of every request but /ping; None: everybody may."""
    link_restarts: Callable[[], int] = lambda: 0
    """Times that a connection to a meter had to start anew, since the start."""
    intervals: Callable[[], IntervalsStatus | None] = lambda: None
    """None: nobody makes any."""
    version: str = __version__

    @property
    def names(self) -> Names:
        """All metric names."""
        latest = self.collector.latest
        return _names(latest, latest.joined)


@lru_cache(maxsize=1)
def _names(latest: Latest, _joined: int) -> Names:
    """One object until a meter joins."""
    return Names(state.profile for state in latest.meters.values())


@dataclass(frozen=True, slots=True)
class Route:
    """One address: its method, the function that answers, its parameters, what the answer holds."""

    method: str
    path: str
    answer: Callable[[Service, Ask], Awaitable[Response[bytes]]]
    parameters: tuple[Parameter, ...] = ()
    gives: Any = None
    """The type of the JSON answer; None: an empty one, a page or a file."""
    text: bool = False
    """Plain text when JSON is not asked for."""
    csv: bool = False
    """CSV when it is asked for."""
    errors: tuple[int, ...] = ()
    """The statuses of its problems, beside 400 and 401, which every route has."""
    also: int = 200
    """A second status that comes with the same JSON as 200."""
