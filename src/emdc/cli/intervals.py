"""`emdc intervals`: quarter hours made of stored readings, those that are missing or all again."""

from datetime import UTC, datetime, timedelta
from time import sleep
from typing import Any, Final

from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.moments import START, moment
from emdc.cli.retention import METER
from emdc.cli.stored import counting, existing, meters_named, settings_of
from emdc.cli.terminal import note, say
from emdc.config.table import CONFIG, Setting
from emdc.daemon import utc_now
from emdc.errors import ConfigError
from emdc.storage.intervals.accounts import Accounts, Advanced

AGAIN: Final = Setting(
    "",
    START.flag,
    "text",
    None,
    "Make those from there on again, up to now: there is no --end, as a counter's quarter hours "
    "follow from those before. Without it those that are missing or changed. As in export",
)
DRY_RUN: Final = Setting("", "dry_run", "switch", False, "Say what would be made and write nothing")
OWN: Final = (METER, AGAIN, DRY_RUN)

_PAUSE_S: Final = 0.002
"""Between two pieces of work: the collector's writer has its turn."""
_BEHIND: Final = timedelta(minutes=1)
"""A collector of another machine may have another time, and a transaction under way."""


@takes(*OWN, *DATABASE, CONFIG, *LOG)
def command(**given: object) -> int:
    """Make the quarter hours of what is stored.

    The collector keeps them by itself; this is for a database that no
    collector writes now, after an import, or to make them again after a
    correction. It may run beside a collector. Twice makes the same.

        emdc intervals --db_host=emdc.db
        emdc intervals --meter=UW/Mercer/nexus_meter --start=2026-03-01 --db_host=emdc.db
    """
    own: dict[str, Any] = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    begin = moment(AGAIN.flag, own[AGAIN.flag])
    if begin is not None and begin > datetime.now(UTC):
        raise ConfigError(f"--start: {own[AGAIN.flag]} lies in the future, expected a past instant")
    settings = settings_of(given)
    utc_now.check()
    store = not own["dry_run"]
    done: dict[str, Advanced] = {}
    with existing(settings, write=store) as engine, counting("quarter hours") as tell:
        accounts = Accounts(engine, pause=lambda: sleep(_PAUSE_S), tell=tell)
        if store:
            accounts.adopt()
        for name, meter_id in meters_named(engine, own["meter"]).items():
            done[name] = _make(accounts, meter_id, begin, store=store)
    for name, made in done.items():
        say(f"{name}: {made.cells:,} quarter hours{_began(made.epochs)}")
    if not store:
        say("nothing was written")
    return 0


def _make(accounts: Accounts, meter_id: int, begin: datetime | None, *, store: bool) -> Advanced:
    try:
        return accounts.advance(meter_id, utc_now() - _BEHIND, since=begin, store=store)
    except KeyboardInterrupt:
        note("emdc: ended early; the collector or the next run makes the rest")
        raise


def _began(epochs: int) -> str:
    """Where counters began anew."""
    if not epochs:
        return ""
    return f", {epochs} time{'s' if epochs > 1 else ''} a counter began anew"
