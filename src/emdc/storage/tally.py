"""How the storage is doing, counted by its two threads and read by the rest of the program."""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from emdc.storage.store import Outcome

log = logging.getLogger(__name__)

_REFUSALS_LOGGED: Final = 3


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """How the database is doing; counts are of readings since the start."""

    url: str
    """Without a password."""
    in_memory: bool
    """Readings are lost at exit."""
    ok: bool
    """Whether the last attempt to write succeeded."""
    last_commit_at: datetime | None = None
    last_error: str | None = None
    """What the last failure was; it stays after the database has recovered."""
    queued: int = 0
    """Readings and gaps that are not on disk yet."""
    stored: int = 0
    conflicts: int = 0
    """Readings whose tick had other values already; those stay."""
    dropped: int = 0
    """Readings that are lost: no room in the queue, refused without a spool, too old for memory."""
    spooled: int = 0
    """Readings that wait in the spool."""
    spool_bytes: int = 0
    spool_limit_bytes: int = 0
    """0: no spool, as with a database in memory."""
    spool_since: datetime | None = None
    """UTC, when the oldest waiting reading was put there; None when empty."""
    spool_path: str = ""
    replayed: int = 0
    """Readings that came back from the spool into the database."""
    overflowed: int = 0
    """Readings that the spool's bound dropped; each is a gap `spool_overflow`."""
    refused: int = 0
    """Readings that the database refuses for good, set aside with their reason."""


class Tally:
    """The counts, safe to use from any thread; changes of the state are logged once."""

    def __init__(self, url: str, *, in_memory: bool, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._status = StorageStatus(url, in_memory, ok=True)

    @property
    def status(self) -> StorageStatus:
        """The counts as they are now, without those of queue and spool."""
        with self._lock:
            return self._status

    def committed(self, outcome: Outcome, *, replayed: int = 0, aside: bool) -> None:
        """A transaction is done; `aside`: what it refused is kept elsewhere and not lost."""
        refused = len(outcome.refused)
        with self._lock:
            before = self._status
            self._status = replace(
                before,
                ok=True,
                last_commit_at=self._clock(),
                stored=before.stored + outcome.stored,
                conflicts=before.conflicts + outcome.conflicts,
                dropped=before.dropped + outcome.trimmed + (0 if aside else refused),
                replayed=before.replayed + replayed,
                refused=before.refused + (refused if aside else 0),
            )
        if not before.ok:
            log.info("database writes again", extra={"url": before.url})
        self._log_refusals(before.url, outcome.refused.values())

    def failed(self, why: str) -> None:
        """The database took nothing."""
        with self._lock:
            before = self._status
            self._status = replace(before, ok=False, last_error=why)
        if before.ok:
            log.error("database does not write", extra={"url": before.url, "error": why})

    def lost(self, readings: int) -> None:
        """Nobody will ever write these."""
        with self._lock:
            before = self._status
            self._status = replace(before, dropped=before.dropped + readings)
        if not before.dropped:
            log.error("readings are lost", extra={"url": before.url, "readings": readings})

    @staticmethod
    def _log_refusals(url: str, reasons: Iterable[str]) -> None:
        for why in list(reasons)[:_REFUSALS_LOGGED]:
            log.error("reading refused", extra={"url": url, "error": why})
