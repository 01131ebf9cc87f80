"""Finding out how a meter is to be read: unit, map, address base and order, by trying and weighing.

Asks one request after the other over one link, never more than it was allowed, and only reads. A
map is screened by one or two values before the rest is read, twice; word and byte orders cost no
request, since the same answer is decoded in each. What is found stands in an Outcome that is good
at any moment, so that whoever interrupts it has what is known so far. Never runs by itself: `emdc
probe` calls it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, cast

from emdc.errors import ConfigError, MeterError
from emdc.meters import sunspec, sunspec_models
from emdc.meters.asker import Asker, Tally
from emdc.meters.discovery import discover, reader
from emdc.meters.evidence import Evidence
from emdc.meters.look import believable, chosen, telltales
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.reads import want
from emdc.meters.register_map import RegisterMap
from emdc.meters.score import Score, weigh
from emdc.meters.variants import Turn, turns_of, variant
from emdc.modbus.link import Link
from emdc.modbus.links import Links
from emdc.modbus.settings import Line, LinkSettings, Parity
from emdc.reading import MeterReading, Value

UNITS: Final = (1, 255, 2, 3, 4, 5, 247)
"""Tried one after the other until something fits."""
SHIFTS: Final = (0, -1, 1)
"""What is added to every address of a map: sheets that count from 1 need -1."""

_SECOND_READ: Final = 40
"""Per cent from which a map is worth a second read."""
_MARKER: Final = 20
"""Points for a device that describes itself: it needs little else to fit, but something."""
_SURE: Final = 95
"""Per cent from which a map that is read as written is not tried with other addresses."""


@dataclass(frozen=True)
class Tries:
    """What may be tried, and how gently."""

    units: Sequence[int] = UNITS
    every_unit: bool = False
    """Go on when one unit fits, because each was named."""
    shifts: Sequence[int] = SHIFTS
    timeout_s: float = 1.0
    pace_s: float = 0.2
    """Pause between an answer and the next request."""
    most_requests: int = 500
    sunspec: bool = True
    """Ask too whether the device describes itself."""
    rtu: bool = False
    """RTU frames over the TCP connection."""
    baudrate: int = 19200
    parity: Parity = "even"
    stop_bits: int = 1
    """How the line is set, where the host is the path of a serial device."""


class Candidate(NamedTuple):
    """One way to read the meter, and how believable its values were."""

    register_map: RegisterMap
    """As it was given, without shift and order."""
    unit: int
    shift: int
    order: Turn
    score: Score

    @property
    def is_beyond_doubt(self) -> bool:
        """So good, and just what the map says, that no other base need be tried.

        One register beside the right one a float with swapped words is right to a hundredth: its
        high word is there, and the low one is a neighbour's.
        """
        as_written = self.order == Turn() and not self.shift
        return as_written and self.score.fits and self.score.percent >= _SURE


@dataclass
class Outcome:
    """What is known so far."""

    candidates: list[Candidate] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    """Maps that were given up after a value or two, and why."""
    tally: Tally = field(default_factory=Tally)
    held_by: str = ""
    """What another process says of itself that has the meter's connection."""

    @property
    def best(self) -> list[Candidate]:
        """One candidate for each map and unit, the best first."""
        found: dict[tuple[str, int], Candidate] = {}
        # Equal ones keep their order: what the map itself says was tried first.
        for one in sorted(self.candidates, key=_merit, reverse=True):
            found.setdefault((one.register_map.name, one.unit), one)
        return list(found.values())

    @property
    def has_fit(self) -> bool:
        """Something can be recommended."""
        return any(one.score.fits for one in self.candidates)


def _merit(candidate: Candidate) -> tuple[bool, float]:
    return candidate.score.fits, candidate.score.rank


class Prober:
    """Tries maps on one link; what it finds goes to `outcome`."""

    def __init__(
        self,
        link: Link,
        tries: Tries,
        outcome: Outcome,
        *,
        clock: Callable[[], datetime],
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._tries = tries
        self._outcome = outcome
        self._clock = clock
        self._tell = tell
        self._asker = Asker(link, tries.most_requests, outcome.tally)
        self._link = cast("Link", self._asker)  # it does what is asked of one here

    async def run(self, maps: Sequence[RegisterMap]) -> None:
        """Try every map on every unit, the likely ones first, until something fits."""
        for unit in self._tries.units:
            await self._try_unit(unit, maps)
            fits = any(one.score.fits for one in self._found(unit))
            if self._has_to_end(unit=None) or (fits and not self._tries.every_unit):
                return

    async def _try_unit(self, unit: int, maps: Sequence[RegisterMap]) -> None:
        for number, shift in enumerate(self._tries.shifts):
            for register_map in maps:
                where = f"unit {unit}, {register_map.name}"
                self._tell(f"{where}, addresses {shift:+d}" if shift else where)
                await self._try_map(unit, register_map, shift)
                if self._has_to_end(unit):
                    return
            near = _near(self._found(unit))
            may_describe = self._tries.sunspec and not number and not near
            described = may_describe and await self._describes_itself(unit)
            if described or self._has_to_end(unit) or self._is_clear(unit):
                return
            maps = near or maps

    def _found(self, unit: int) -> list[Candidate]:
        return [one for one in self._outcome.candidates if one.unit == unit]

    def _is_clear(self, unit: int) -> bool:
        return any(one.is_beyond_doubt for one in self._found(unit))

    async def _describes_itself(self, unit: int) -> bool:
        """Whether a device says itself how it is read, as SunSpec has it, and that fits."""
        self._tell(f"unit {unit}, {sunspec.NAME}")
        try:
            layout = await discover(reader(self._link, unit, self._tries.timeout_s))
        except MeterError:
            return False
        marker = Evidence(
            _MARKER, _MARKER, f"SunSpec marker at {layout.base}, models {sunspec.models_of(layout)}"
        )
        try:
            found = sunspec_models.map_of(layout)
        except (ConfigError, MeterError) as error:
            self._outcome.dropped[sunspec.NAME] = f"{marker.text}: {error}"
            return False
        score = (await self._weigh({Turn(): self._meter(found, unit)}))[Turn()]
        nothing = Evidence(0, _MARKER, "nothing beside the marker speaks for it")
        score = Score((marker, *score.evidence, *([] if score.points else [nothing])))
        self._outcome.candidates.append(Candidate(found, unit, 0, Turn(), score))
        return score.fits

    def _has_to_end(self, unit: int | None) -> bool:
        tally = self._outcome.tally
        state = tally.units.get(unit) if unit is not None else None
        mute = state is not None and state.is_mute
        twin = unit is not None and not self._tries.every_unit and tally.twin(unit) is not None
        return mute or twin or tally.limited or tally.problem is not None

    async def _try_map(self, unit: int, register_map: RegisterMap, shift: int) -> None:
        found = [(order, variant(register_map, shift, order)) for order in turns_of(register_map)]
        try:
            meters = {order: self._meter(one, unit) for order, one in found if one is not None}
        except ConfigError as error:
            self._outcome.dropped[register_map.name] = str(error)
            return
        if not meters:
            return
        problem = await self._screen(list(meters.values()))
        if problem:
            if not self._has_to_end(unit):
                self._outcome.dropped.setdefault(register_map.name, problem)
            return
        for order, score in (await self._weigh(meters)).items():
            self._outcome.candidates.append(Candidate(register_map, unit, shift, order, score))

    def _meter(self, register_map: RegisterMap, unit: int) -> Meter:
        settings = MeterSettings(unit=unit, timeout_s=self._tries.timeout_s, retries=0)
        return Meter(register_map.name, register_map, self._link, settings, clock=self._clock)

    async def _screen(self, meters: Sequence[Meter]) -> str:
        """Why this map is not worth reading on; empty when it may be the right one."""
        problem = "no value in it says whether it fits"
        for metric in telltales(meters[0].register_map.metrics):
            readings = [await meter.read(want([metric.name])) for meter in meters]
            values = [_values(reading).get(metric.name) for reading in readings]
            if any(believable(metric, value) for value in values):
                return ""
            gap = readings[0].gaps.get(metric.name)
            said = gap.replace("exception:", "refused with exception ") if gap else f"{values[0]:g}"
            problem = f"{metric.name} at address {metric.address}: {said}"
            if self._has_to_end(meters[0].settings.unit):
                break
        return problem

    async def _weigh(self, meters: dict[Turn, Meter]) -> dict[Turn, Score]:
        """The score of each order, from two reads if the first is not hopeless."""
        first = await self._read(meters)
        metrics = {order: chosen(meter.register_map.metrics) for order, meter in meters.items()}
        scores = {order: weigh(metrics[order], first[order], {}) for order in meters}
        promising = {
            order: meter for order, meter in meters.items() if scores[order].percent >= _SECOND_READ
        }
        if promising:
            second = await self._read(promising)
            for order in promising:
                scores[order] = weigh(metrics[order], first[order], second[order])
        return scores

    async def _read(self, meters: dict[Turn, Meter]) -> dict[Turn, dict[str, Value]]:
        """What the meter says now, in each order."""
        self._asker.forget()
        return {order: await self._whole(meter) for order, meter in meters.items()}

    async def _whole(self, meter: Meter) -> dict[str, Value]:
        """All that shows whether the map fits; a read that is refused is tried in parts."""
        wanted = want(metric.name for metric in chosen(meter.register_map.metrics))
        while True:
            before = meter.batches(wanted)
            reading = await meter.read(wanted)
            if meter.batches(wanted) == before or self._has_to_end(meter.settings.unit):
                return _values(reading)


def open_link(links: Links, host: str, port: int, tries: Tries) -> Link:
    """The link that a probe asks over: in its pace, and without waiting longer after failures."""
    settings = LinkSettings(
        connect_delay_s=tries.pace_s,
        request_delay_s=tries.pace_s,
        backoff_s=0.0,
        backoff_max_s=0.0,
        rtu=tries.rtu,
        line=Line(tries.baudrate, tries.parity, tries.stop_bits),
    )
    return links.link(host, port, settings)


def _near(candidates: Iterable[Candidate]) -> list[RegisterMap]:
    """The maps that may be right with another base: those that fit nearly or wholly."""
    near = [one.register_map for one in candidates if one.score.is_near]
    return list({one.name: one for one in near}.values())


def _values(reading: MeterReading) -> dict[str, Value]:
    return dict(zip(reading.metrics, reading.values, strict=True))
