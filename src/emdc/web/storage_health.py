"""The database's part of /health: its state, the spool's, and sentences on what is wrong.

Pure: a picture of the storage and the time come in. A sentence says what to do, names the file and
is true for whoever reads it later, so it has the time since when and not only how long.
"""

import re
from datetime import datetime
from typing import Final

import msgspec

from emdc.web.api import age_s
from emdc.web.service import StorageStatus

ALMOST_FULL: Final = 0.8
"""The part of the spool's limit above which its end is near enough to be a fault."""

_STEADY_S: Final = 60.0
"""Before this age the first readings in the spool say nothing about how fast it fills."""


class Spool(msgspec.Struct, kw_only=True):
    """The file in which readings wait while the database does not take them."""

    path: str
    readings: int
    """Readings that wait."""
    bytes: int
    limit_bytes: int
    """0: there is no spool."""
    oldest_age_s: float | None
    """Seconds since the oldest waiting reading was put there; null: it is empty."""
    replayed: int
    """Readings that came back into the database since the start."""
    dropped: int
    """Readings that the limit dropped since the start; each is a gap `spool_overflow`."""


class Database(msgspec.Struct, kw_only=True):
    """How the storage is doing."""

    url: str
    ok: bool
    in_memory: bool
    last_commit: datetime | None
    last_error: str | None
    queued: int
    stored: int
    conflicts: int
    dropped: int
    refused: int
    """Readings that the database refuses for good, set aside."""
    spool: Spool


def database(storage: StorageStatus, now: datetime) -> Database:
    """The state of the storage as /health gives it."""
    return Database(
        # The storage masks the password already; a URL that came another way must not show it.
        url=re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", storage.url),
        ok=storage.ok,
        in_memory=storage.in_memory,
        last_commit=storage.last_commit_at,
        last_error=storage.last_error,
        queued=storage.queued,
        stored=storage.stored,
        conflicts=storage.conflicts,
        dropped=storage.dropped,
        refused=storage.refused,
        spool=_spool(storage, now),
    )


def is_failing(storage: StorageStatus) -> bool:
    """Whether the storage does not do its work, or soon will not: the database or the spool."""
    return not storage.ok or _is_almost_full(storage)


def is_draining(storage: StorageStatus) -> bool:
    """Whether the database takes readings again and some still wait in the spool."""
    return storage.ok and storage.spooled > 0


def storage_problems(storage: StorageStatus, now: datetime) -> list[str]:
    """Sentences: what is wrong with the storage, and what to do."""
    found = []
    if storage.in_memory:
        found.append(
            "samples are kept in memory only and are lost when the program ends: start it with "
            "--db_host=emdc.db to keep them in that file"
        )
    if not storage.ok:
        found.append(_away(storage, now))
    elif is_draining(storage):
        start = f" from {_since(storage.spool_since, now)} on" if storage.spool_since else ""
        found.append(f"{storage.spooled} readings{start} come back from the spool")
    if _is_almost_full(storage):
        found.append(_almost_full(storage, now))
    return [*found, *_losses(storage)]


def _spool(storage: StorageStatus, now: datetime) -> Spool:
    return Spool(
        path=storage.spool_path,
        readings=storage.spooled,
        bytes=storage.spool_bytes,
        limit_bytes=storage.spool_limit_bytes,
        oldest_age_s=age_s(now, storage.spool_since) if storage.spool_since else None,
        replayed=storage.replayed,
        dropped=storage.overflowed,
    )


def _away(storage: StorageStatus, now: datetime) -> str:
    said = f"the database does not take readings ({storage.last_error or 'no reason known'})"
    mend = "see that the database runs, is reachable and has room"
    if not storage.spooled:
        return f"{said}, {storage.queued} wait: {mend}"
    since = f", since {_since(storage.spool_since, now)}" if storage.spool_since else ""
    size = f"{_mb(storage.spool_bytes)} of {_mb(storage.spool_limit_bytes)}{since}"
    if not storage.overflowed:
        mend = f"nothing is lost until it is full; {mend}"
    return f"{said}: {storage.spooled} readings wait in {storage.spool_path} ({size}): {mend}"


def _is_almost_full(storage: StorageStatus) -> bool:
    return storage.spool_bytes > ALMOST_FULL * storage.spool_limit_bytes > 0


def _almost_full(storage: StorageStatus, now: datetime) -> str:
    part = int(100 * storage.spool_bytes / storage.spool_limit_bytes)
    return (
        f"the spool {storage.spool_path} is {part} % full{_lasts(storage, now)}; beyond its limit "
        "the oldest readings are lost: see to the database, or raise database.spool_mb"
    )


def _lasts(storage: StorageStatus, now: datetime) -> str:
    """How long the rest of the spool lasts; empty when nobody can tell.

    While the database takes nothing, all that is there came since the oldest of it.
    """
    filling_s = age_s(now, storage.spool_since) if storage.spool_since else 0.0
    left = storage.spool_limit_bytes - storage.spool_bytes
    if storage.ok or filling_s < _STEADY_S or left <= 0:
        return ""
    return f" and lasts about {_span(left * filling_s / storage.spool_bytes)} more at this rate"


def _losses(storage: StorageStatus) -> list[str]:
    found = []
    if storage.dropped:
        too_slow = (
            "neither the database nor the spool took them in time"
            if storage.spool_limit_bytes
            else "the database was too slow or away for too long"
        )
        found.append(f"{storage.dropped} readings were lost because {too_slow}")
    if storage.overflowed:
        found.append(
            f"{storage.overflowed} readings were lost because the spool was full, and are gaps "
            "spool_overflow: raise database.spool_mb"
        )
    if storage.refused:
        found.append(
            f"{storage.refused} readings were refused by the database for good and "
            f"{_set_aside(storage)}"
        )
    if storage.conflicts:
        found.append(
            f"{storage.conflicts} readings were left out because the database had others of the "
            "same meter and time: see that no second program records these meters there"
        )
    return found


def _set_aside(storage: StorageStatus) -> str:
    if not storage.spool_path:
        return "are lost: the log says why"
    return f"set aside in {storage.spool_path}, table aside: emdc check lists them"


def _since(then: datetime, now: datetime) -> str:
    """A time of today as `HH:MM UTC`, any other with its date."""
    day = "" if then.date() == now.date() else "%Y-%m-%d "
    return then.strftime(f"{day}%H:%M UTC")


def _mb(size: int) -> str:
    """Bytes as megabytes, with a decimal where it says something."""
    return f"{size / 1e6:.{1 if size < 1e7 else 0}f} MB"


def _span(seconds: float) -> str:
    if seconds < 5400:
        return f"{max(1, round(seconds / 60))} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172800 else f"{seconds / 86400:.0f} days"
