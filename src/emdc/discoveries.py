"""Meters that describe themselves: looked for until they are found, and again when they change.

What was found is kept in a small file beside the spool, so that the next start knows such a meter
before it answers, and its missing values are gaps. Each value has a guard (see `meters.sunspec`):
readings say themselves that the registers are others than was thought, and then the device is
asked anew. Called by the daemon and by the commands that ask meters.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from emdc import keepsake
from emdc.config import MeterSettings, Settings
from emdc.errors import ConfigError, MeterError
from emdc.keepsake import Keepsake, Kept
from emdc.meters import discovery, sunspec, sunspec_models
from emdc.meters.meter import Meter
from emdc.meters.register_map import RegisterMap
from emdc.meters.sunspec import Layout
from emdc.reading import Gap, MeterReading

log = logging.getLogger(__name__)

AWAY_S: Final = 2.0
"""Pause after an attempt that the device did not answer; its link has pauses of its own."""
UNUSABLE_S: Final = 30.0
"""Pause after an attempt that found nothing to read."""
DOUBT_S: Final = 60.0
"""A meter that gives no value at all is asked what it is no more often than so."""

Join: TypeAlias = Callable[[Meter, Meter], Coroutine[Any, Any, None]]
"""Let the second take the place of the first. Raises ConfigError."""
Tell: TypeAlias = Callable[[Sequence[Gap]], Coroutine[Any, Any, None]]


class Found(Kept, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one device said."""

    layout: Layout

    def __post_init__(self) -> None:
        if not self.layout.is_sound:
            raise ValueError(f"no device has the layout {self.layout}")


FILE: Final = Keepsake("sunspec", Found, what="what devices said of themselves")


def known(settings: Settings, now: datetime, *, mend: bool) -> dict[str, Found]:
    """What those devices that were found before said, by their meters' names.

    `mend`: this process writes the file, and sets a damaged one aside.
    """
    meters = [meter for meter in settings.meters if meter.map == sunspec.NAME]
    kept = FILE.read(FILE.path(settings), now, mend=mend) if meters else {}
    found = {meter.name: keepsake.of(kept, meter) for meter in meters}
    return {name: one for name, one in found.items() if one is not None}


def maps_of(found: Mapping[str, Found]) -> dict[str, RegisterMap]:
    """The maps of these devices, but of those that have no value."""
    maps = {}
    for name, one in found.items():
        with suppress(MeterError):
            maps[name] = sunspec_models.map_of(one.layout)
    return maps


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

    `open_meter` makes a meter with another map; `mend`: this process keeps what is found.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        open_meter: Callable[[MeterSettings, RegisterMap], Meter],
        clock: Callable[[], datetime],
        mend: bool,
    ) -> None:
        self._settings = settings
        self._open_meter = open_meter
        self._clock = clock
        self._devices: dict[str, _Device] = {}
        self._found = known(settings, clock(), mend=mend)
        self._kept = dict(self._found)
        self._keeping = asyncio.Lock()

    def open(self, meters: Sequence[MeterSettings], maps: Sequence[RegisterMap]) -> list[Meter]:
        """The meters; `maps` has one for each, those that are known have their own."""
        own = maps_of(self._found)
        opened = []
        for settings, register_map in zip(meters, maps, strict=True):
            meter = self._open_meter(settings, own.get(settings.name, register_map))
            opened.append(meter)
            if settings.map == sunspec.NAME:
                self._devices[meter.name] = _Device(settings, meter)
        return opened

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

    async def run(self, join: Join, tell: Tell) -> None:
        """Find all devices and keep finding them, until cancelled, whatever goes wrong.

        `tell` hears why a device is not known yet.
        """
        devices = self._devices.values()
        await asyncio.gather(*(self._watch(device, join, tell) for device in devices))

    async def _watch(self, device: _Device, join: Join, tell: Tell) -> None:
        while True:
            if device.is_known:
                await device.look.wait()
            device.look.clear()
            try:
                pause_s = await self._ask(device, join, tell)
            except Exception:
                log.exception("discovery failed", extra={"meter": device.settings.name})
                pause_s = UNUSABLE_S
            await asyncio.sleep(pause_s)

    async def _ask(self, device: _Device, join: Join, tell: Tell) -> float:
        """Ask one device what it is, and act on it; gives how long not to ask it again."""
        try:
            new, found = await self._discover(device)
            if new is not device.meter:
                await join(device.meter, new)
                log.log(
                    logging.WARNING if device.is_known else logging.INFO,
                    "meter discovered",
                    extra={"meter": new.name, "found": new.register_map.notes},
                )
                device.meter = new
            self._found[new.name] = found
        except (MeterError, ConfigError) as error:
            await self._explain(device, error, tell)
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
                found[device.settings.name], _ = await self._discover(device)
            except MeterError as error:
                problems[device.settings.name] = error

        await asyncio.gather(*map(ask, self._devices.values()))
        return found, problems

    async def _discover(self, device: _Device) -> tuple[Meter, Found]:
        """The meter as the device describes it now; the same one when that is as before.

        Raises MeterError, or ConfigError when the settings do not fit what is found.
        """
        settings, meter = device.settings, device.meter
        read = discovery.reader(meter.link, settings.unit, settings.timeout)
        layout = await discovery.discover(read)
        register_map = sunspec_models.map_of(layout)
        found = Found(address=settings.place, unit=settings.unit, layout=layout)
        same = register_map.hash == meter.register_map.hash
        return meter if same else self._open_meter(settings, register_map), found

    async def _explain(self, device: _Device, error: MeterError | ConfigError, tell: Tell) -> None:
        name, text = device.settings.name, str(error)
        if text != device.told:
            log.warning("meter not discovered", extra={"meter": name, "error": text})
            device.told = text
        if not device.is_known:
            reason = error.reason if isinstance(error, MeterError) else "not_discovered"
            now = self._clock()
            await tell([Gap(name, now, now, reason)])

    async def _keep(self) -> None:
        """Write what was found, unless it is what was written last."""
        async with self._keeping:
            path = FILE.path(self._settings)
            if path is None or self._found == self._kept:
                return
            self._kept = dict(self._found)
            try:
                await asyncio.to_thread(FILE.write, path, self._kept)
            except OSError as error:
                facts = {"file": str(path), "error": str(error)}
                log.warning(f"{FILE.what} is not kept", extra=facts)
