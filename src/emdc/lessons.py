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
from typing import Final, Literal

import msgspec

from emdc import keepsake
from emdc.config import Settings
from emdc.meters.learned import Lesson
from emdc.meters.meter import Meter
from emdc.stores import spool_path

log = logging.getLogger(__name__)

WAIT_S: Final = 1.0
"""From a change to writing it: a reading may bring several."""


class Taught(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one meter taught, and what it is known by: another map, unit or address is another."""

    map_hash: str
    unit: int
    address: str
    """host:port"""
    lessons: tuple[Lesson, ...]


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1] = 1
    meters: dict[str, Taught]


def file_of(settings: Settings) -> Path | None:
    """The file of what is learned; None with a database in memory, which leaves nothing behind."""
    spool = spool_path(settings)
    return spool and spool.with_name(f"{spool.name}-learned.json")


def remember(path: Path | None, meters: Iterable[Meter], now: datetime) -> None:
    """Let the meters begin with what they taught before."""
    known = read(path, now) if path else {}
    for meter in meters if known else ():
        taught = known.get(meter.name)
        if taught is not None and taught == _taught(meter, taught.lessons):
            meter.remember(taught.lessons)


async def keep(path: Path | None, meters: Sequence[Meter]) -> None:
    """Write what these meters teach, until cancelled, whatever goes wrong."""
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
                problem = await _written(path, meters, problem)


async def _written(path: Path, meters: Iterable[Meter], told: str) -> str:
    """Write; gives the problem, which is told unless it is the one that was `told` before."""
    known = {meter.name: _taught(meter, meter.lessons) for meter in meters if meter.lessons}
    try:
        await asyncio.to_thread(write, path, known)
    except OSError as error:
        if str(error) != told:
            facts = {"file": str(path), "error": str(error)}
            log.warning("what meters taught is not kept", extra=facts)
        return str(error)
    except Exception:
        log.exception("what meters taught is not kept")
    return ""


def _taught(meter: Meter, lessons: Sequence[Lesson]) -> Taught:
    dial = meter.link.dial
    return Taught(
        map_hash=meter.register_map.hash,
        unit=meter.settings.unit,
        address=f"{dial.host}:{dial.port}",
        lessons=tuple(lessons),
    )


def read(path: Path, now: datetime, *, mend: bool = True) -> dict[str, Taught]:
    """What the file says, by the meters' names; nothing when there is none.

    One that is damaged is told of, and renamed so that a new one can take its place; that is for
    who writes it: others do not `mend`.
    """
    found = keepsake.read(path, _parse, now, what="what meters taught", mend=mend)
    return {name: _until(taught, now) for name, taught in (found or {}).items()}


def _parse(text: bytes) -> Mapping[str, Taught]:
    found = msgspec.json.decode(text, type=_File).meters
    for lesson in (lesson for taught in found.values() for lesson in taught.lessons):
        if not lesson.is_sound:
            raise ValueError(f"no meter can have taught {lesson}")
    return found


def _until(taught: Taught, now: datetime) -> Taught:
    """The same with nothing later than `now`: a clock that was wrong must not put off a trial."""
    lessons = (
        msgspec.structs.replace(lesson, asked=min(lesson.asked, now)) for lesson in taught.lessons
    )
    return msgspec.structs.replace(taught, lessons=tuple(lessons))


def write(path: Path, meters: Mapping[str, Taught]) -> None:
    """Put this into the file: all of it, or the file stays as it is. Raises OSError."""
    keepsake.write(path, _File(meters=dict(meters)))
