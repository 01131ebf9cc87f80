"""Instants on a command line: ISO 8601 with a zone, or a bare date, which is midnight UTC."""

import re
from datetime import UTC, datetime
from typing import Final

from emdc.config.table import Setting
from emdc.errors import ConfigError
from emdc.storage.instants import to_text
from emdc.storage.past.samples import Span

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_EXPECTED: Final = "expected such as 2026-03-01T12:00:00Z, 2026-03-01T12:00:00-08:00 or 2026-03-01"

START: Final = Setting(
    "",
    "start",
    "text",
    None,
    "First instant: ISO 8601 with a zone (Z is UTC), or a date, which is midnight UTC",
)
END: Final = Setting("", "end", "text", None, "End, which is not part of it; as --start")


def moment(flag: str, text: object) -> datetime | None:
    """The instant in UTC; None for None. Raises ConfigError for text that leaves it open."""
    if text is None:
        return None
    given = str(text)
    try:
        at = datetime.fromisoformat(given)
        if at.tzinfo is None:
            if not _DATE.fullmatch(given):
                raise ConfigError(
                    f"--{flag}: {given!r} has no time zone, expected {given}Z for UTC or "
                    f"{given}-08:00 for a zone 8 hours behind it"
                )
            return at.replace(tzinfo=UTC)
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ConfigError(f"--{flag}: {given!r} is beyond the calendar, {_EXPECTED}") from error
    except ValueError as error:
        raise ConfigError(f"--{flag}: {given!r}, {_EXPECTED}") from error


def span(start: object, end: object, now: datetime) -> Span:
    """The range that --start and --end name. Raises ConfigError for one that holds nothing."""
    first, last = moment("start", start), moment("end", end)
    if first is not None and first > now:
        raise ConfigError(f"--start: {start} lies in the future, expected at most {now:%FT%TZ}")
    if first is not None and last is not None and first >= last:
        raise ConfigError(f"--start: {start} is not before --end {end}, expected it to be")
    return Span(to_text(first) if first else "", to_text(last) if last else "")
