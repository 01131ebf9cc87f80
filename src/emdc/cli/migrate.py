"""`emdc migrate`: the schema of a database brought up to date."""

from typing import Final

from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.stored import settings_of
from emdc.cli.terminal import note, say
from emdc.config import Settings
from emdc.config.table import CONFIG, Setting
from emdc.storage import database, migrate
from emdc.storage.engines.sqlite import sqlite_file
from emdc.storage.existing import open_existing

REVISION: Final = Setting("", "revision", "text", "head", "Revision to upgrade to")
ZONE: Final = Setting(
    "",
    "data_timezone",
    "text",
    None,
    "Time zone of the old collector's times, such as America/Los_Angeles, or keep to leave them as "
    "they are; needed when it left readings",
)
OLD_FILE: Final = Setting(
    "", "config_file", "path", None, "File that the old collector's migration needed; not used"
)
DRY_RUN: Final = Setting("", "dry_run", "switch", False, "Say what would happen and change nothing")
OWN: Final = (REVISION, ZONE, DRY_RUN, OLD_FILE)


@takes(*DATABASE, *OWN, CONFIG, *LOG)
def command(**given: object) -> int:
    """Bring a database to this version's schema.

    Every row is kept. On SQLite and PostgreSQL all of it happens or
    nothing; on MySQL and MariaDB an upgrade that was killed goes on when it
    is run again. Databases of the collector before this one are understood,
    also those made by hand. A SQLite file that does not exist is created.

        emdc migrate --db_host=emdc.db
        emdc migrate --db_host=sqlite.db --dry_run
        emdc migrate --db_host=sqlite.db --data_timezone=America/Los_Angeles
    """
    own = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    settings = settings_of(given)
    if own["config_file"] is not None:
        note("emdc: --config_file is not needed any more and is ignored")
    zone = None if own["data_timezone"] is None else str(own["data_timezone"])
    run = _preview if own["dry_run"] else _upgrade
    run(settings, str(own["revision"]), zone)
    return 0


def _preview(settings: Settings, revision: str, zone: str | None) -> None:
    """Print what an upgrade would do; a file that is not there is not created either."""
    address, where = settings.database_url(), settings.redacted_url()
    database.make_engine(address).dispose()
    file = sqlite_file(address)
    if file is not None and not file.exists():
        say(f"{where}: no such file, a new database would be made")
        return
    engine = open_existing(address, tls_ca=settings.database.tls_ca)
    try:
        first, *others = migrate.preview(engine, revision, data_timezone=zone)
    finally:
        engine.dispose()
    say(f"{where}: {first}")
    for line in others:
        say(line)
    say("nothing was changed")


def _upgrade(settings: Settings, revision: str, zone: str | None) -> None:
    engine = database.open_engine(
        settings.database_url(),
        pool_size=1,
        tls_ca=settings.database.tls_ca,
        # A table of the old collector may take an hour to convert, in which a server says nothing.
        silence_s=None,
    )
    try:
        before = migrate.current(engine)
        migrate.upgrade(engine, revision, data_timezone=zone, say=say)
        after = migrate.current(engine)
    finally:
        engine.dispose()
    where = settings.redacted_url()
    if before == after:
        say(f"{where}: is at revision {after} already")
    else:
        say(f"{where}: from revision {before or 'none'} to {after}")
