"""`emdc migrate`: the schema of a database brought up to date."""

import os
from typing import Final

from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.settings import load
from emdc.cli.terminal import note, say
from emdc.config import Settings
from emdc.config.table import CONFIG, PANEL, Setting
from emdc.errors import ConfigError
from emdc.storage import database, migrate

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
OWN: Final = (REVISION, ZONE, OLD_FILE)


@takes(*DATABASE, *OWN, CONFIG, *LOG)
def command(**given: object) -> int:
    """Bring a database to this version's schema.

    All of it happens or nothing, and every row is kept. Databases of the
    collector before this one are understood, also those made by hand. A
    SQLite file that does not exist is created.

        emdc migrate --db_host=emdc.db
        emdc migrate --db_host=sqlite.db --data_timezone=America/Los_Angeles
    """
    own = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    settings = load(given, _without_meters())
    if settings.database.in_memory:
        raise ConfigError("no database is named, expected --db_host=FILE or --db_type and the like")
    if own["config_file"] is not None:
        note("emdc: --config_file is not needed any more and is ignored")
    zone = own["data_timezone"]
    _upgrade(settings, str(own["revision"]), None if zone is None else str(zone))
    return 0


def _without_meters() -> dict[str, str]:
    """The environment without what it says of a meter: a half described one is no matter here."""
    meters = {name for row in PANEL for name in row.names}
    return {name: value for name, value in os.environ.items() if name not in meters}


def _upgrade(settings: Settings, revision: str, zone: str | None) -> None:
    engine = database.open_engine(settings.database_url(), pool_size=1)
    try:
        before = migrate.current(engine)
        migrate.upgrade(engine, revision, data_timezone=zone)
        after = migrate.current(engine)
    finally:
        engine.dispose()
    where = settings.redacted_url()
    if before == after:
        say(f"{where}: is at revision {after} already")
    else:
        say(f"{where}: from revision {before or 'none'} to {after}")
