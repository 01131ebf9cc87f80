"""Meters that describe themselves: looked for until they are found, and again when they change.

What was found is kept in a small file beside the spool, so that the next start knows such a meter
before it answers, and its missing values are gaps. Each value has a guard (see `meters.sunspec`):
readings say themselves that the registers are others than was thought, and then the device is
asked anew. Called by the daemon and by the commands that ask meters.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import msgspec

from emdc import keepsake
from emdc.config import MeterSettings, Settings
from emdc.errors import ConfigError, MeterError
from emdc.meters import discovery, sunspec, sunspec_models
from emdc.meters.meter import Meter
from emdc.meters.register_map import RegisterMap
from emdc.meters.sunspec import Layout
from emdc.reading import Gap, MeterReading
from emdc.stores import spool_path

log = logging.getLogger(__name__)

AWAY_S: Final = 2.0
"""Pause after an attempt that the device did not answer; its link has pauses of its own."""
UNUSABLE_S: Final = 30.0
"""Pause after an attempt that found nothing to read."""
DOUBT_S: Final = 60.0
"""A meter that gives no value at all is asked what it is no more often than so."""
_WHAT: Final = "what devices said of themselves"

Join: TypeAlias = Callable[[Meter, Meter], Coroutine[Any, Any, None]]
"""Let the second take the place of the first. Raises ConfigError."""
Tell: TypeAlias = Callable[[Sequence[Gap]], Coroutine[Any, Any, None]]


class Found(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one device said, and what it is known by: another unit or address is another."""

    address: str
    """host:port"""
    unit: int
    layout: Layout


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1] = 1
    meters: dict[str, Found]


def file_of(settings: Settings) -> Path | None:
    """The file of what was found; None with a database in memory, which leaves nothing behind."""
    spool = spool_path(settings)
    return spool and spool.with_name(f"{spool.name}-sunspec.json")


def described(settings: Settings) -> list[MeterSettings]:
    """The meters that describe themselves."""
    return [meter for meter in settings.meters if meter.map == sunspec.NAME]


def known(settings: Settings, now: datetime) -> dict[str, RegisterMap]:
    """The maps of those meters that were found before, by name."""
    found = _known(settings, now)
    return {name: sunspec_models.map_of(one.layout) for name, one in found.items()}


def _known(settings: Settings, now: datetime) -> dict[str, Found]:
    meters, path = described(settings), file_of(settings)
    if not meters or path is None:
        return {}
    found = keepsake.read(path, _parse, now, what=_WHAT) or {}
    return {
        meter.name: found[meter.name]
        for meter in meters
        if meter.name in found and found[meter.name] == _found(meter, found[meter.name].layout)
    }


def _parse(text: bytes) -> Mapping[str, Found]:
    found = msgspec.json.decode(text, type=_File).meters
    for name, one in found.items():
        if not one.layout.is_sound:
            raise ValueError(f"no device has the layout of {name}")
    return found


def _found(meter: MeterSettings, layout: Layout) -> Found:
    return Found(address=meter.place, unit=meter.unit, layout=layout)


@dataclass
class _Device:
    """One of them."""

    settings: MeterSettings
    meter: Meter
    look: asyncio.Event = field(default_factory=asyncio.Event)
    """It is to be asked what it is."""
    asked_at: float = float("-inf")
    """Loop time when it was asked last."""
    told: str = ""

    @property
    def is_known(self) -> bool:
        return bool(self.meter.register_map.metrics)


class Discoveries:
    """Asks devices what they are. A sink that keeps nothing: it looks where readings come from.

    `meters` are those of `settings`; `open_meter` makes one with another map; `tell` hears why a
    device is not known yet.
    """

    def __init__(
        self,
        settings: Settings,
        meters: Sequence[Meter],
        *,
        open_meter: Callable[[MeterSettings, RegisterMap], Meter],
        tell: Tell,
        clock: Callable[[], datetime],
    ) -> None:
        self._path = file_of(settings)
        self._open_meter = open_meter
        self._tell = tell
        self._clock = clock
        by_name = {meter.name: meter for meter in meters}
        self._devices = {one.name: _Device(one, by_name[one.name]) for one in described(settings)}
        self._found = _known(settings, clock())
        self._kept = dict(self._found)
        self._keeping = asyncio.Lock()

    async def write(self, readings: Sequence[MeterReading]) -> None:
        """Look whether each still came from where it should."""
        for reading in readings if self._devices else ():
            if (device := self._devices.get(reading.meter)) is None or not reading.gaps:
                continue
            quiet_s = asyncio.get_running_loop().time() - device.asked_at
            nothing = len(reading.gaps) == len(reading.metrics) and quiet_s > DOUBT_S
            if nothing or "not_discovered" in reading.gaps.values():
                device.look.set()

    async def write_gaps(self, gaps: Sequence[Gap]) -> None:
        """Ranges without a reading say nothing of a device."""

    async def run(self, join: Join) -> None:
        """Find all devices and keep finding them, until cancelled, whatever goes wrong."""
        await asyncio.gather(*(self._watch(device, join) for device in self._devices.values()))

    async def _watch(self, device: _Device, join: Join) -> None:
        while True:
            if device.is_known:
                await device.look.wait()
            device.look.clear()
            try:
                pause_s = await self._ask(device, join)
            except Exception:
                log.exception("discovery failed", extra={"meter": device.settings.name})
                pause_s = UNUSABLE_S
            await asyncio.sleep(pause_s)

    async def _ask(self, device: _Device, join: Join) -> float:
        """Ask one device what it is, and act on it; gives how long not to ask it again."""
        try:
            new = await self._discover(device)
            if new is not device.meter:
                log.log(
                    logging.WARNING if device.is_known else logging.INFO,
                    "meter discovered",
                    extra={"meter": new.name, "found": new.register_map.notes},
                )
                await join(device.meter, new)
                device.meter = new
        except (MeterError, ConfigError) as error:
            await self._explain(device, error)
            away = isinstance(error, MeterError) and error.reason != "not_discovered"
            return AWAY_S if away else UNUSABLE_S
        finally:
            device.asked_at = asyncio.get_running_loop().time()
        device.told = ""
        await self._keep()
        return AWAY_S

    async def once(self) -> tuple[dict[str, Meter], dict[str, MeterError]]:
        """Each meter as it describes itself now, and why others do not, by name.

        Raises ConfigError when settings do not fit what is found.
        """
        found: dict[str, Meter] = {}
        problems: dict[str, MeterError] = {}

        async def ask(device: _Device) -> None:
            try:
                found[device.settings.name] = await self._discover(device)
            except MeterError as error:
                problems[device.settings.name] = error

        await asyncio.gather(*map(ask, self._devices.values()))
        return found, problems

    async def _discover(self, device: _Device) -> Meter:
        """The meter as the device describes it now; the same one when that is as before.

        Raises MeterError, or ConfigError when the settings do not fit what is found.
        """
        settings, meter = device.settings, device.meter
        read = discovery.reader(meter.link, settings.unit, settings.timeout)
        layout = await discovery.discover(read)
        self._found[settings.name] = _found(settings, layout)
        register_map = sunspec_models.map_of(layout)
        if register_map.hash == meter.register_map.hash:
            return meter
        return self._open_meter(settings, register_map)

    async def _explain(self, device: _Device, error: MeterError | ConfigError) -> None:
        name, text = device.settings.name, str(error)
        if text != device.told:
            log.warning("meter not discovered", extra={"meter": name, "error": text})
            device.told = text
        if not device.is_known:
            reason = error.reason if isinstance(error, MeterError) else "not_discovered"
            now = self._clock()
            await self._tell([Gap(name, now, now, reason)])

    async def _keep(self) -> None:
        """Write what was found, unless it is what was written last."""
        async with self._keeping:
            if self._path is None or self._found == self._kept:
                return
            self._kept = dict(self._found)
            try:
                await asyncio.to_thread(keepsake.write, self._path, _File(meters=self._kept))
            except OSError as error:
                facts = {"file": str(self._path), "error": str(error)}
                log.warning(f"{_WHAT} is not kept", extra=facts)
