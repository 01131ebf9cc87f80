"""What meters taught, kept in a file from one start to the next.

The file lies beside the spool and is small; it is written in a thread, soon after something
changed, and never half: a new file takes the place of the old one. It is only ever a help: one that
is damaged is set aside, and when none can be read or written the meters teach the same again.
Called by the daemon and by the commands that ask meters or show their plans.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from emdc import keepsake
from emdc.config import MeterSettings, Settings
from emdc.keepsake import Keepsake, Kept
from emdc.meters.learned import Lesson
from emdc.meters.meter import Meter
from emdc.meters.register_map import RegisterMap

log = logging.getLogger(__name__)

WAIT_S: Final = 1.0
"""From a change to writing it: a reading may bring several."""


class Taught(Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one meter taught with one map."""

    map_hash: str
    lessons: tuple[Lesson, ...]

    def __post_init__(self) -> None:
        for lesson in self.lessons:
            if not lesson.is_sound:
                raise ValueError(f"no meter can have taught {lesson}")


FILE: Final = Keepsake("learned", Taught, what="what meters taught")


def remember(settings: Settings, meters: Iterable[Meter], now: datetime, *, mend: bool) -> None:
    """Let the meters of these settings begin with what they taught before; `mend` as `read`."""
    known = read(FILE.path(settings), now, mend=mend)
    for its, meter in zip(settings.meters, meters, strict=True):
        meter.remember(of(known, its, meter.register_map))


def of(known: Mapping[str, Taught], meter: MeterSettings, own: RegisterMap) -> tuple[Lesson, ...]:
    """What this meter taught with this map."""
    taught = keepsake.of(known, meter)
    return taught.lessons if taught is not None and taught.map_hash == own.hash else ()


async def keep(settings: Settings, meters: Sequence[Meter]) -> None:
    """Write what the meters of these settings teach, until cancelled, whatever goes wrong."""
    path = FILE.path(settings)
    of_name = {its.name: its for its in settings.meters}
    changed = asyncio.Event()
    for meter in meters if path else ():
        meter.learned = changed.set
    problem = ""
    while path:
        try:
            await changed.wait()
            await asyncio.sleep(WAIT_S)
        finally:
            if changed.is_set():
                changed.clear()
                known = {
                    meter.name: _taught(of_name[meter.name], meter)
                    for meter in meters
                    if meter.lessons
                }
                problem = await _written(path, known, problem)


async def _written(path: Path, known: Mapping[str, Taught], told: str) -> str:
    """Write; gives the problem, which is told unless it is the one that was `told` before."""
    try:
        await asyncio.to_thread(FILE.write, path, known)
    except OSError as error:
        if str(error) != told:
            facts = {"file": str(path), "error": str(error)}
            log.warning(f"{FILE.what} is not kept", extra=facts)
        return str(error)
    except Exception:
        log.exception(f"{FILE.what} is not kept")
    return ""


def _taught(its: MeterSettings, meter: Meter) -> Taught:
    return Taught(
        address=its.place,
        unit=its.unit,
        map_hash=meter.register_map.hash,
        lessons=meter.lessons,
    )


def read(path: Path | None, now: datetime, *, mend: bool) -> dict[str, Taught]:
    """What the file says, by the meters' names; a damaged one says nothing.

    `mend`: this process writes it, and sets a damaged one aside.
    """
    known = FILE.read(path, now, mend=mend)
    return {name: _until(taught, now) for name, taught in known.items()}


def _until(taught: Taught, now: datetime) -> Taught:
    """The same with nothing later than `now`: a clock that was wrong must not put off a trial."""
    lessons = (
        msgspec.structs.replace(lesson, asked=min(lesson.asked, now)) for lesson in taught.lessons
    )
    return msgspec.structs.replace(taught, lessons=tuple(lessons))
