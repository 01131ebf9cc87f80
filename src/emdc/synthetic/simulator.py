"""A meter that does not exist: a register map served over Modbus with values from a waveform.

`Simulator.answer` is the callback of `emdc.modbus.server`. All registers of one read come from one
instant. A block must start on a mapped register and cross no hole wider than the map allows, as on
the meters that refuse others; smaller holes read as zero. One simulator may answer on any number of
ports: what was computed for an instant is used for all of them.
"""

import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from emdc.meters.plan import plan
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.modbus.rtu_server import answer_rtu_stream
from emdc.modbus.server import (
    GATEWAY_NO_RESPONSE,
    ILLEGAL_ADDRESS,
    ILLEGAL_FUNCTION,
    ILLEGAL_VALUE,
    Answer,
    Server,
    serve,
)
from emdc.reading import Value
from emdc.synthetic.encoder import Encode, encoder, value_range
from emdc.synthetic.quantity import quantity
from emdc.synthetic.scales import registers, settled
from emdc.synthetic.waveform import Site, noise, state

INSTANT_S: Final = 0.1
"""Values stand still this long, as in a meter that renews its registers ten times a second."""

_BIT_S: Final = 300.0  # a coil or input keeps its state about this long
_MAX_BLOCKS: Final = 4096
_BITS: Final = (1, 2)

# What a power or current metric may show at most of its range, so that peaks are not cut off.
_HEADROOM: Final = 0.9

_Source = Callable[[Mapping[str, float]], Value]


class _Part(NamedTuple):
    """Registers of one metric within a block, in bytes."""

    metric: int
    start: int
    end: int
    place: int
    adds: bool = False
    """A bit field that shares the register with the part before."""


class Simulator:
    """One simulated meter.

    `seed` makes meters of one map differ, `clock` gives unix seconds. `fixed` are values that stand
    still, by metric name; None shows the metric's "no value" pattern. `unit` is the only unit id
    that answers; others get exception 11, as behind a gateway. Scale registers hold what is usual
    unless `fixed` says otherwise, and ratio registers 1.
    """

    def __init__(
        self,
        register_map: RegisterMap,
        *,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        fixed: Mapping[str, Value] | None = None,
        unit: int | None = None,
    ) -> None:
        held = {**registers(register_map), **(fixed or {})}
        register_map = settled(register_map, held)
        self.site = site_for(register_map, seed)
        self._map = register_map
        self._clock = clock
        self._unit = unit
        self._sources = [_source(metric, register_map, held) for metric in register_map.metrics]
        self._encoders: list[Encode | None] = [
            None if metric.function_code in _BITS else encoder(metric)
            for metric in register_map.metrics
        ]
        self._tables = _tables(register_map.metrics)
        self._planned = _planned(register_map)
        self._sharing = _sharing(register_map.metrics)
        self._blocks: dict[tuple[int, int, int], tuple[_Part, ...] | int] = {}
        self._instant = -1
        self._state: Mapping[str, float] = {}
        self._answers: dict[tuple[int, int, int], bytes] = {}

    def answer(self, unit: int, function_code: int, address: int, count: int) -> bytes | int:
        """The data bytes of a read, or an exception code; see `emdc.modbus.server.Answer`."""
        if self._unit is not None and unit != self._unit:
            return GATEWAY_NO_RESPONSE
        self._renew()
        key = (function_code, address, count)
        found = self._answers.get(key)
        if found is not None:
            return found
        parts = self._blocks.get(key)
        if parts is None:
            if len(self._blocks) >= _MAX_BLOCKS:
                self._blocks.clear()
            parts = self._blocks[key] = self._block(function_code, address, count)
        if isinstance(parts, int):
            return parts
        fill = self._bits if function_code in _BITS else self._registers
        data = self._answers[key] = fill(parts, count)
        return data

    def value(self, name: str) -> Value:
        """The value that the metric `name` shows now, before it is rounded to its registers."""
        self._renew()
        names = [metric.name for metric in self._map.metrics]
        return self._sources[names.index(name)](self._state)

    def _renew(self) -> None:
        instant = int(self._clock() / INSTANT_S)
        if instant != self._instant:
            self._instant = instant
            self._state = {"at": instant * INSTANT_S, **state(instant * INSTANT_S, self.site)}
            self._answers.clear()

    def _block(self, function_code: int, address: int, count: int) -> tuple[_Part, ...] | int:
        table = self._tables.get(function_code)
        if table is None:
            return ILLEGAL_FUNCTION
        bits = function_code in _BITS
        if not bits and count > self._map.max_registers:
            return ILLEGAL_VALUE
        known = table.keys() | self._planned.get(function_code, frozenset())
        if address not in table or not _readable(known, address, count, self._map.max_gap):
            return ILLEGAL_ADDRESS
        cells = ((table[at], at - address) for at in range(address, address + count) if at in table)
        if bits:
            return tuple(_Part(metric, 0, 0, place) for (metric, _), place in cells)
        return tuple(
            _Part(metric, 2 * word, 2 * word + 2, 2 * place, adds)
            for (first, word), place in cells
            for metric, adds in ((first, False), *((other, True) for other in self._sharing[first]))
        )

    def _registers(self, parts: Sequence[_Part], count: int) -> bytes:
        data = bytearray(2 * count)
        last, encoded = -1, b""
        for metric, start, end, place, adds in parts:
            if metric != last:
                encode = self._encoders[metric]
                assert encode is not None
                last, encoded = metric, encode(self._sources[metric](self._state))
            if adds:
                data[place] |= encoded[start]
                data[place + 1] |= encoded[start + 1]
            else:
                data[place : place + 2] = encoded[start:end]
        return bytes(data)

    def _bits(self, parts: Sequence[_Part], count: int) -> bytes:
        data = bytearray((count + 7) // 8)
        for part in parts:
            if self._sources[part.metric](self._state):
                data[part.place // 8] |= 1 << part.place % 8
        return bytes(data)


def site_for(register_map: RegisterMap, seed: int) -> Site:
    """An installation whose power, current and voltage fit the registers of the map.

    A map with narrow registers, such as one of secondary values, gets a smaller one.
    """
    site = Site(seed=seed)
    full_w = min(
        (_largest_load(metric, site) for metric in register_map.metrics), default=site.full_load_w
    )
    return replace(site, full_load_w=max(1.0, min(site.full_load_w, full_w)))


def _largest_load(metric: Metric, site: Site) -> float:
    """Full load of the busiest phase in W at which this metric still fits its registers."""
    key, factor = quantity(metric.name, metric.unit)
    phase_w = {"W": 1.0, "VA": 1.1, "VAR": 0.4, "Current": 1.15 / site.nominal_v}
    family, _, phase = key.partition("_")
    if metric.function_code in _BITS or family not in phase_w or metric.kind == "counter":
        return site.full_load_w
    phases = 1.0 if phase in ("A", "B", "C") else 3.0
    _, high = value_range(metric)
    return _HEADROOM * high / (phase_w[family] * phases * factor)


def _source(
    metric: Metric, register_map: RegisterMap, fixed: Mapping[str, Value] | None
) -> _Source:
    """Where the metric's value comes from, given the state of an instant."""
    if fixed is not None and metric.name in fixed:
        value = fixed[metric.name]
        return lambda _: value
    if metric.function_code in _BITS:
        number = zlib.crc32(metric.name.encode())
        return lambda now: int(noise(now["at"], _BIT_S, number)[0] >= 0.0)
    if metric.data_type is DataType.STRING:
        text = register_map.model or register_map.name
        return lambda _: text
    key, factor = quantity(metric.name, metric.unit)
    low, high = value_range(metric)
    if metric.kind == "counter":
        return lambda now: now[key] * factor
    return lambda now: max(low, min(high, now[key] * factor))


def _tables(metrics: Sequence[Metric]) -> dict[int, dict[int, tuple[int, int]]]:
    """Function code → address → (place of the metric in the map, word within the metric).

    Where metrics overlap the first in the sheet is served.
    """
    tables: dict[int, dict[int, tuple[int, int]]] = {}
    for index, metric in enumerate(metrics):
        table = tables.setdefault(metric.function_code, {})
        for word in range(metric.size):
            table.setdefault(metric.address + word, (index, word))
    return tables


def _sharing(metrics: Sequence[Metric]) -> list[list[int]]:
    """For each metric the later ones that are bit fields of the same number as it."""
    fields: dict[tuple[object, ...], list[int]] = {}
    sharing: list[list[int]] = [[] for _ in metrics]
    for index, metric in enumerate(metrics):
        if metric.bits is not None:
            number = (metric.function_code, metric.address, metric.size, metric.data_type)
            same = fields.setdefault((*number, metric.word_order, metric.byte_order), [])
            if same:
                sharing[same[0]].append(index)
            same.append(index)
    return sharing


def _planned(register_map: RegisterMap) -> dict[int, set[int]]:
    """Function code → addresses in reads of the map, which a group may lead over wide holes."""
    limits = {"max_registers": register_map.max_registers, "max_gap": register_map.max_gap}
    spans: dict[int, set[int]] = {}
    for batch in plan(register_map.metrics, **limits):
        spans.setdefault(batch.function_code, set()).update(range(batch.address, batch.span.end))
    return spans


def _readable(known: Collection[int], address: int, count: int, max_gap: int) -> bool:
    hole = 0
    for at in range(address, address + count):
        hole = 0 if at in known else hole + 1
        if hole > max_gap:
            return False
    return True


def fixed_words(tables: Mapping[int, Mapping[int, int]]) -> Answer:
    """An answer callback that gives these registers or bits: function code → address → number.

    Whatever lies outside them is refused with exception 2, an absent function code with 1.
    """

    def answer(unit: int, function_code: int, address: int, count: int) -> bytes | int:
        table = tables.get(function_code)
        if table is None:
            return ILLEGAL_FUNCTION
        try:
            cells = [table[at] for at in range(address, address + count)]
        except KeyError:
            return ILLEGAL_ADDRESS
        if function_code in _BITS:
            packed = sum((1 << place) for place, bit in enumerate(cells) if bit)
            return packed.to_bytes((count + 7) // 8, "little")
        return b"".join(word.to_bytes(2, "big") for word in cells)

    return answer


async def simulate(  # noqa: PLR0913 - a map, a place, and what a meter may be like
    register_map: RegisterMap,
    host: str,
    port: int,
    *,
    latency_s: float = 0.0,
    unit: int | None = None,
    rtu: bool = False,
) -> Server:
    """A running simulated meter on `host` and `port` (0: a free one, see `Server.port`).

    With `rtu` it speaks RTU frames instead of Modbus TCP.
    The seed comes from the map's name, so that counters go on where they were after a restart.
    """
    seed = zlib.crc32(register_map.name.encode())
    simulator = Simulator(register_map, seed=seed, unit=unit)
    stream = answer_rtu_stream if rtu else None
    return await serve(simulator.answer, host, port, latency_s=latency_s, stream=stream)
