"""`emdc retention`: old readings deleted, in small steps and never silently."""

import sys
from datetime import datetime, timedelta
from time import sleep
from typing import Final

from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.stored import counting, existing, settings_of
from emdc.cli.terminal import note, say
from emdc.config import Settings
from emdc.config.table import CONFIG, Setting
from emdc.daemon import utc_now
from emdc.errors import ConfigError, StorageError
from emdc.storage.database import Database
from emdc.storage.retention import Old, older, remove

DAYS: Final = Setting("", "days", "whole", None, "Keep the readings of so many days", 1, 36500)
METER: Final = Setting("", "meter", "text", None, "Only this meter, by its name")
DRY_RUN: Final = Setting("", "dry_run", "switch", False, "Say what would go and delete nothing")
YES: Final = Setting("", "yes", "switch", False, "Do not ask; needed where nobody can answer")
WITHOUT: Final = Setting(
    "",
    "without_intervals",
    "switch",
    False,
    "Delete also readings whose quarter hours are not made yet, and then never can be",
)
OWN: Final = (DAYS, METER, DRY_RUN, YES, WITHOUT)

_PAUSE_S: Final = 0.02
"""Between two transactions: the collector's writer has the database most of the time."""


@takes(*OWN, *DATABASE, CONFIG, *LOG)
def command(**given: object) -> int:
    """Delete readings older than so many days.

    They go in small steps while the collector runs, up to midnight UTC of
    that day. What was deleted stands in the table gaps with the reason
    retention, and emdc check does not miss it. The quarter hours that were
    made of them stay: history and energy answer as before. Keep a copy first:

        emdc export --end=2025-01-01 --output=2024.csv --db_host=emdc.db
        emdc retention --days=365 --db_host=emdc.db

    On a server the user must be the owner: the collector's writer may not
    delete. Rows of the old collector (data_old) stay.
    """
    own = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    if own["days"] is None:
        raise ConfigError("--days: missing, expected how many days to keep, such as --days=365")
    settings = settings_of(given)
    # A clock in another century would delete everything.
    utc_now.check()
    midnight = utc_now().replace(hour=0, minute=0, second=0, microsecond=0)
    cut = midnight - timedelta(days=int(str(own["days"])))
    meter = None if own["meter"] is None else str(own["meter"])
    with existing(settings, write=not own["dry_run"]) as engine:
        found = older(engine, cut, meter=meter, made=not own["without_intervals"])
        if not found:
            say(f"no reading before {cut:%Y-%m-%d} UTC{f' of {meter}' if meter else ''}")
            return 0
        _tell(found, cut)
        _check_made(found)
        if own["dry_run"]:
            say("nothing was deleted")
            return 0
        if not own["yes"] and not _agreed():
            say("nothing was deleted")
            return 1
        _remove(engine, found)
    _advise(settings)
    return 0


def _tell(found: list[Old], cut: datetime) -> None:
    say(f"readings before {cut:%Y-%m-%d} UTC:")
    for old in found:
        say(f"  {old.meter}: {old.readings:,}, from {old.first[:19]} to {old.last[:19]}")


def _check_made(found: list[Old]) -> None:
    """Raise StorageError when quarter hours would be lost for good."""
    lost = [old for old in found if old.unmade is not None]
    if not lost:
        return
    lines = (f"  {old.meter}: {_since(old.unmade)}" for old in lost)
    raise StorageError(
        "nothing was deleted: these quarter hours are not made yet and could never be again\n"
        + "\n".join(lines)
        + "\nrun emdc intervals with the same flags first, or add --without_intervals to lose them"
    )


def _since(unmade: str | None) -> str:
    return f"from {unmade[:16]} UTC on" if unmade else "none is made"


def _agreed() -> bool:
    """Raises ConfigError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise ConfigError("nobody is there to ask, expected --yes to delete without a question")
    note("delete them for good? Type yes:")
    return sys.stdin.readline().strip().lower() == "yes"


def _remove(engine: Database, found: list[Old]) -> None:
    total = sum(old.readings for old in found)
    gone = 0
    try:
        with counting("deleting", total) as tell:
            for old in found:
                for some in remove(engine, old, pause=lambda: sleep(_PAUSE_S)):
                    gone += some
                    tell(some)
    except KeyboardInterrupt:
        note("emdc: ended early; start it again for the rest")
        raise
    except StorageError as error:
        if "denied" not in str(error):
            raise
        raise StorageError(
            f"{error}; only the owner of the tables may delete, expected --db_user=emdc_owner"
        ) from error
    say(f"{gone:,} readings deleted; gaps with the reason retention say so")


def _advise(settings: Settings) -> None:
    if settings.database.type == "sqlite":
        note("the file keeps its size and uses the room again; VACUUM in sqlite3 makes it smaller")
