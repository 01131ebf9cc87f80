"""Time zones by their IANA names: which there are, and which one this machine is in.

Used where a setting names a zone and where none does. The zones are those of the system, and where
it has none, those of the package `tzdata`. This module imports nothing of ours.
"""

import difflib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

UTC_NAME: Final = "UTC"
_FOLDER: Final = "zoneinfo/"
"""In which every system keeps its zones, by name."""
_NO_NAMES: Final = ("posix/", "right/", "posixrules", "localtime", "Factory")
"""Begin what lies there too: the zones once more, some with leap seconds, and no zone at all."""
_LONGEST: Final = 64
"""Characters of a name; the longest there is has 32."""


def zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises ValueError with the nearest name."""
    found = _known(name)
    if found is None:
        raise ValueError(_problem(name))
    return found


def machine_zone(environment: Mapping[str, str], etc: Path = Path("/etc")) -> str:
    """The IANA name of the zone that the clock of this machine shows; UTC when nothing names one.

    Looked for in `TZ` of the environment, in `timezone` of the folder `etc`, and in where its
    `localtime` points to. What is no known name counts as absent.
    """
    return next((name for name in _named(environment, etc) if _known(name)), UTC_NAME)


def _known(name: str) -> ZoneInfo | None:
    if not name or name.startswith(_NO_NAMES) or len(name) > _LONGEST:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _named(environment: Mapping[str, str], etc: Path) -> Iterator[str]:
    yield _of_file(environment.get("TZ", "").removeprefix(":"))
    with suppress(OSError, ValueError):
        yield (etc / "timezone").read_text(encoding="ascii").strip()
    with suppress(OSError):
        yield _of_file(str((etc / "localtime").readlink()))


def _of_file(path: str) -> str:
    """The name in the path of a zone's file; a name is itself."""
    return path.rpartition(_FOLDER)[2].removeprefix("posix/").removeprefix("right/")


def _problem(name: str) -> str:
    shown = repr(name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…")
    known = available_timezones()
    if not known:
        return f"{shown}, and this system knows no time zones: install its package tzdata"
    near = _near(name, known)
    hint = f", did you mean {near}" if near else " such as America/Los_Angeles"
    return f"{shown}, expected a time zone of the IANA list{hint}"


def _near(name: str, known: set[str]) -> str:
    """The name that may be meant; a place counts by its own name too.

    None of a distance to UTC, whose sign is the other one there: Etc/GMT+2 is 2 h behind.
    """
    spelled = {UTC_NAME.casefold(): UTC_NAME}
    for one in sorted(known):
        if "/" in one and not one.startswith(("Etc/", *_NO_NAMES)):
            spelled[one.casefold()] = one
            spelled.setdefault(one.rpartition("/")[2].casefold(), one)
    wanted = "_".join(name[:_LONGEST].casefold().split())
    close = difflib.get_close_matches(wanted, spelled, n=1, cutoff=0.8)
    return spelled[close[0]] if close else ""
