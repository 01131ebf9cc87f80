"""From settings to where readings go: the database, and the spool for when it is away.

Called by the daemon and by the commands that need a database.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import platformdirs

from emdc.config import Settings
from emdc.storage import database, migrate
from emdc.storage.database import Database
from emdc.storage.spool import Spool
from emdc.storage.sqlite import sqlite_file


@dataclass(frozen=True)
class Stores:
    """Where readings go; a database in memory has no spool."""

    engine: Database
    spool: Spool | None = None


def open_database(settings: Settings) -> Database:
    """The database, at this version's schema. Raises StorageError that says what to run."""
    engine = database.open_engine(**_address(settings))
    try:
        migrate.prepare(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def open_stores(settings: Settings, *, clock: Callable[[], datetime]) -> Iterator[Stores]:
    """Database and spool until the block ends.

    A file must be there and whole; a server may be away for now, which the recorder finds out.
    Raises ConfigError, or StorageError when the spool belongs to another process.
    """
    path = spool_path(settings)
    spool = None
    if path is not None:
        spool = Spool(path, limit_bytes=settings.database.spool_mb * 1_000_000, clock=clock)
    if settings.database.type == "sqlite":
        engine = open_database(settings)
    else:
        engine = database.make_engine(**_address(settings))
    try:
        if spool is not None and settings.database.type != "sqlite":
            spool.open()
        yield Stores(engine, spool)
    finally:
        if spool is not None:
            spool.close()
        engine.dispose()


def spool_path(settings: Settings) -> Path | None:
    """The spool's file: as configured, beside a SQLite file, else in the folder that the service
    manager or the system has for it; None for a database in memory.
    """
    if settings.database.in_memory:
        return None
    if settings.database.spool is not None:
        return settings.database.spool
    file = sqlite_file(settings.database_url())
    if file is not None:
        return file.with_name(f"{file.name}-spool")
    folder = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    return Path(folder or platformdirs.user_state_path("emdc")) / "spool.db"


def _address(settings: Settings) -> dict[str, Any]:
    given = settings.database
    return {
        "url": settings.database_url(),
        "pool_size": given.pool_size,
        "tls_ca": given.tls_ca,
    }
