"""`emdc check`: whether a database is whole, and whether all that was due is there."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import MsgspecError

from emdc import stores
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.moments import moment
from emdc.cli.stored import existing, settings_of
from emdc.cli.terminal import say
from emdc.config import Settings
from emdc.config.table import CONFIG, Setting
from emdc.storage.conservation import Conservation, conservation
from emdc.storage.database import Database
from emdc.storage.integrity import Finding, examine, unchecked
from emdc.storage.spool.spooled import Spooled, look

SINCE: Final = Setting(
    "", "since", "text", None, "Count from here on: ISO 8601 with a zone, or a date, midnight UTC"
)
JSON: Final = Setting("", "json", "switch", False, "Print JSON instead of text")
OWN: Final = (SINCE, JSON)

_UNDER_WAY: Final = timedelta(seconds=5)
"""Ticks so young may still be on their way to the database."""
_SHOWN: Final = 10
_REASONS: Final = 4
"""Reasons that are named of a meter, the most frequent ones."""


@takes(*OWN, *DATABASE, CONFIG, *LOG)
def command(**given: object) -> int:
    """Look whether a database is whole and nothing is missing.

    Counts every value that was due: each must be there, or the reason why
    not. Looks at pages, keys and the form of each row, and at the spool.
    Changes nothing, and may run beside the collector. Exit code 1 when
    something is missing or damaged.

        emdc check --db_host=emdc.db
        emdc check --db_host=emdc.db --since=2026-03-01
    """
    own = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    since = moment("since", own["since"])
    settings = settings_of(given)
    until = datetime.now(UTC) - _UNDER_WAY
    spool = _spooled(settings)
    with existing(settings) as engine:
        found = list(examine(engine))
        skipped = unchecked(engine)
        # Rows that cannot be read cannot be counted.
        unreadable = any(finding.damage for finding in found)
        counted = None if unreadable else _count(engine, found, until, since)
    healthy = counted is not None and not (counted.lost or counted.doubled or counted.strays)
    if own["json"]:
        described = {"ok": healthy, "skipped": skipped, **_described(found, counted, spool)}
        say(json.dumps(described, indent=2, ensure_ascii=False))
    else:
        _print(settings.redacted_url(), found, counted, spool)
        if skipped is not None:
            say(f"  {skipped}")
        fine = "all accounted for" if counted and counted.gaps else "all is well"
        say(fine if healthy else "not all is well")
    return 0 if healthy else 1


def _count(
    engine: Database, found: list[Finding], until: datetime, since: datetime | None
) -> Conservation | None:
    """The count; None, and one more that is found, when a row cannot be read after all."""
    try:
        return conservation(engine, until=until, since=since)
    except (MsgspecError, ValueError, IndexError) as error:
        found.append(Finding(f"a row of readings, gaps or schedules cannot be read: {error}"))
        return None


def _spooled(settings: Settings) -> Spooled | None:
    path = stores.spool_path(settings)
    return look(path) if path is not None else None


def _print(
    where: str, found: list[Finding], counted: Conservation | None, spool: Spooled | None
) -> None:
    say(f"{where}:")
    for finding in found:
        say(f"  {'DAMAGE' if finding.damage else 'strange'}: {finding.what}")
    if not found:
        say("  pages, keys and rows are sound")
    if counted is None:
        say("  what was due is not counted: mend the damage first")
    else:
        _print_count(counted)
    if spool is not None and spool.readings:
        say(
            f"  {spool.readings} readings wait in the spool since {spool.since} UTC: they come when"
            " the collector reaches the database"
        )
    if spool is not None and spool.aside:
        say(f"  {spool.aside} rows were refused for good and set aside in the spool:")
        for example in spool.examples[:_SHOWN]:
            say(f"    {example}")


def _print_count(counted: Conservation) -> None:
    say(
        f"  {counted.due:,} values were due: {counted.values:,} are there,"
        f" {counted.gaps:,} have a reason why not"
    )
    worst = sorted(counted.reasons.items(), key=lambda one: -sum(one[1].values()))
    for meter, reasons in worst[:_SHOWN]:
        most = sorted(reasons.items(), key=lambda one: -one[1])[:_REASONS]
        said = ", ".join(f"{reason} {count:,}" for reason, count in most)
        say(f"    {meter}: {said}{', …' if len(reasons) > _REASONS else ''}")
    if counted.pending:
        say(
            f"  {counted.pending:,} are not recorded yet: the collector writes them, or its next"
            " start says why they are missing"
        )
        for meter, since in sorted(counted.silent.items())[:_SHOWN]:
            say(f"    {meter}: nothing since {since} UTC")
    for count, what in (
        (counted.lost, "have neither a value nor a reason"),
        (counted.doubled, "have a value and a reason, or two reasons"),
        (counted.strays, "readings are at instants that nothing was due at"),
    ):
        if count:
            say(f"  MISSING OR WRONG: {count:,} {what}")
    for example in counted.examples:
        say(f"    {example}")


def _described(
    found: list[Finding], counted: Conservation | None, spool: Spooled | None
) -> Mapping[str, Any]:
    return {
        "findings": [{"what": finding.what, "damage": finding.damage} for finding in found],
        "conservation": None if counted is None else asdict(counted) | {"lost": counted.lost},
        "spool": None if spool is None else asdict(spool),
    }
