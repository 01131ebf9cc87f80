"""`emdc probe`: which unit, map, addresses and order a meter is to be read with."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from emdc.cli import verdict
from emdc.cli.flags import DEBUG, MAPS_DIR, takes
from emdc.cli.lookup import find_map, maps_dir, own_values
from emdc.cli.terminal import note, say
from emdc.config.hosts import PORT, split_host
from emdc.config.sources import FLAG, Given, Notes
from emdc.config.table import PANEL, RTU_OVER_TCP, Setting
from emdc.config.transport import check_transport
from emdc.daemon import open_links, utc_now
from emdc.errors import ConfigError, RegisterMapError
from emdc.logs import configure
from emdc.meters import library, sunspec
from emdc.meters.probe import SHIFTS, UNITS, Outcome, Prober, Tries, open_link
from emdc.meters.register_map import RegisterMap
from emdc.system import ending_signals

HOST: Final = Setting("", "host", "host", None, "Address of the meter, host or host:port")

OWN: Final = (
    Setting("", "map", "text", None, "Try this map alone: a name or a path; by default every map"),
    Setting(
        "", "units", "text", None,
        "Try these units, such as 1,2,247; by default "
        f"{','.join(map(str, UNITS))} until one fits",
    ),
    Setting("", "pace", "number", 0.2, "Seconds of rest between two requests", 0, 60),
    Setting("", "timeout", "number", 1.0, "Seconds that one request may take", 0.05, 300),
    Setting("", "max_requests", "whole", 500, "Requests that are sent at most", 1, 100_000),
)  # fmt: skip
_OF_WAY: Final = ("transport", "baudrate", "parity", "stop_bits")
WAY: Final = tuple(replace(row, key="", flag=row.field) for row in PANEL if row.field in _OF_WAY)
"""How a meter is reached: what the settings of the same names say."""


@takes(*OWN, *WAY, MAPS_DIR, DEBUG, argument=HOST)
def command(host: str, /, **given: Any) -> int:
    r"""Find out how a meter is to be read.

    Tries unit ids, addresses one lower and one higher, and the orders of
    words and bytes on a map's values, and weighs how believable they are:

        emdc probe 192.168.1.50
        emdc probe 192.168.1.50:502 --map nexus-1272 --units 1,2,247

    Without --map it tries every map. It only reads, one request after the
    other. A meter that a daemon reads is left alone. Ctrl-C ends it with
    what is known so far. Exit code 0 when something fits, else 1.
    """
    own = own_values((*OWN, *WAY), given)
    tries = _tries(own)
    name, port = split_host(str(own_values((HOST,), {"host": host})["host"]))
    _check_way(name, tries, given)
    place = verdict.Place(name, port or PORT, _way(own))
    maps = _maps(own["map"], given)
    configure("ERROR")
    outcome = Outcome()
    announcement = _announcement(place, list(maps), tries)
    whole = asyncio.run(_probe(place, list(maps), tries, outcome, announcement))
    _clear_line()
    if not whole:
        note("emdc: interrupted, not everything was tried: this is what is known so far")
    verdict.show(outcome, place, maps)
    return 0 if outcome.has_fit and whole else 1


async def _probe(
    place: verdict.Place,
    maps: Sequence[RegisterMap],
    tries: Tries,
    outcome: Outcome,
    announcement: str,
) -> bool:
    """Whether it came to its end; a signal to end stops it where it is."""
    links = open_links(f"emdc probe, process {os.getpid()}")
    link = open_link(links, place.host, place.port, tries)
    probing = asyncio.create_task(Prober(link, tries, outcome, clock=utc_now, tell=_tell).run(maps))
    for number in ending_signals():
        asyncio.get_running_loop().add_signal_handler(number, probing.cancel)
    say(announcement)
    try:
        await probing
    except asyncio.CancelledError:
        return False
    finally:
        outcome.held_by = link.dial.held_by
        links.close()
    return True


def _tries(own: dict[str, Any]) -> Tries:
    units = UNITS if own["units"] is None else _units(own["units"])
    return Tries(
        units,
        every_unit=own["units"] is not None,
        shifts=SHIFTS,
        timeout_s=own["timeout"],
        pace_s=own["pace"],
        most_requests=own["max_requests"],
        sunspec=own["map"] in (None, sunspec.NAME),
        rtu=own["transport"] == RTU_OVER_TCP,
        baudrate=own["baudrate"],
        parity=own["parity"],
        stop_bits=own["stop_bits"],
    )


def _way(own: dict[str, Any]) -> dict[str, object]:
    """What differs from the defaults in how the meter is reached."""
    return {row.flag: own[row.flag] for row in WAY if own[row.flag] != row.default}


def _check_way(host: str, tries: Tries, given: dict[str, Any]) -> None:
    """Raise ConfigError for flags with which EMDC would not read this host either."""
    notes = Notes()
    read = own_values(WAY, given)
    flags = {
        f"meters.{flag}": Given(read[flag], f"--{flag}", FLAG)
        for flag in read
        if given.get(flag) is not None
    }
    if 0 in tries.units:
        flags["meters.unit"] = Given(0, "--units", FLAG)
    fields = {key.removeprefix("meters."): one.value for key, one in flags.items()}
    check_transport({"host": host, **fields}, flags, notes)
    notes.end()


def _units(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isascii() and word.isdigit() and int(word) <= 255 for word in words):
        raise ConfigError(f"--units: {text!r}, expected numbers from 0 to 255 such as 1,2,247")
    return tuple(dict.fromkeys(int(word) for word in words))


def _maps(name: str | None, given: dict[str, Any]) -> dict[RegisterMap, str]:
    """The maps to try, each with what names it in a setting.

    Of those of the user's folder the ones that can be used.
    """
    if name == sunspec.NAME:
        return {}
    if name is not None:
        origin = dict(library.names(maps_dir(given))).get(name)
        named = name if origin in (None, library.SHIPPED) else origin
        return {find_map(named, given): named}
    found = {}
    for known, origin in library.names(maps_dir(given)):
        named = known if origin == library.SHIPPED else origin
        try:
            found[find_map(named, given)] = named
        except RegisterMapError as error:
            note(f"emdc: {origin} is left out: {len(error.faults)} faults, see emdc map check")
    return found


def _announcement(place: verdict.Place, maps: Sequence[RegisterMap], tries: Tries) -> str:
    names = [one.name for one in maps] or [sunspec.NAME]
    what = names[0] if len(names) == 1 else f"{len(names)} maps"
    units = ", ".join(map(str, tries.units))
    return (
        f"{place}: trying {what} on unit {units}. Reads only, at most {tries.most_requests} "
        f"requests, {tries.pace_s:g} s between two; Ctrl-C ends it"
    )


def _tell(text: str) -> None:
    """Say where it is, on one line that the next one replaces; only to people."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _clear_line() -> None:
    _tell("")
