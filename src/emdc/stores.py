"""From settings to where readings go and are asked for: the database, and the spool beside it.

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
from emdc.storage.engines.sqlite import sqlite_file
from emdc.storage.past.chronicle import Chronicle, Zones
from emdc.storage.spool.spool import Spool
from emdc.zone import machine_zone


@dataclass(frozen=True)
class Stores:
    """Where readings go; a database in memory has no spool."""

    engine: Database
    chronicle: Chronicle
    """What answers questions about the past."""
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
    chronicle = open_chronicle(engine, settings, clock=clock)
    try:
        if spool is not None and settings.database.type != "sqlite":
            spool.open()
        yield Stores(engine, chronicle, spool)
    finally:
        chronicle.close()
        if spool is not None:
            spool.close()
        engine.dispose()


def open_chronicle(
    engine: Database, settings: Settings, *, clock: Callable[[], datetime]
) -> Chronicle:
    """What answers questions about the past, with the time zones of the configured meters."""
    here = machine_zone(os.environ)
    zones = {meter.name: meter.timezone or here for meter in settings.meters}
    return Chronicle(engine, clock=lambda: clock().timestamp(), zones=Zones(zones, here))


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
