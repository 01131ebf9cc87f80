"""How a reading becomes a row: names to slots, values rounded and written as JSON.

Built by `registry` when the recorder starts, used by `store` for each reading. The way from a
metrics tuple to slots is worked out once per tuple; per value there is only the rounding.
Pure: no clock, no database.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from emdc.digits import Digits, rounder
from emdc.errors import StorageError
from emdc.numerals import MAX_EXACT_INT
from emdc.reading import Gap, GapReason, MeterReading
from emdc.storage.instants import step_of, to_text

_encode: Final = msgspec.json.Encoder().encode
# All meters of one tick spell it alike.
_tick_text: Final = lru_cache(maxsize=64)(to_text)


class ReadingRow(NamedTuple):
    """The columns of `readings`, in table order."""

    meter_id: int
    ts: str
    read_at: str
    scheduled: bool
    vals: str
    gaps: str | None


@dataclass(frozen=True, slots=True)
class MeterLayout:
    """Where the values of one meter go."""

    name: str
    meter_id: int
    slots: Mapping[str, int]
    """Metric name → index in `vals`."""
    digits: Mapping[str, Digits]
    intervals: frozenset[float]
    """Seconds between ticks; a manual reading must not lie on one."""
    _plans: dict[tuple[str, ...], "_Plan"] = field(default_factory=dict)

    def row(self, reading: MeterReading) -> ReadingRow:
        """The row of one reading. Raises StorageError when it cannot be written at all."""
        plan = self._plans.get(reading.metrics)
        if plan is None:
            plan = self._plans[reading.metrics] = self._plan(reading.metrics)
        try:
            vals, gaps = plan.encoded(reading)
            ts, read_at = _tick_text(reading.tick), to_text(reading.read_at)
        except (ValueError, TypeError, OverflowError) as error:
            raise StorageError(f"reading of {self.name} at {reading.tick}: {error}") from error
        return ReadingRow(self.meter_id, ts, read_at, reading.scheduled, vals, gaps)

    def _plan(self, metrics: tuple[str, ...]) -> "_Plan":
        unknown = [name for name in metrics if name not in self.slots]
        if unknown or len(set(metrics)) != len(metrics) or not metrics:
            raise StorageError(
                f"meter {self.name}: metrics {unknown or metrics} do not fit, expected each of"
                " its registered metrics at most once"
            )
        slots = tuple(self.slots[name] for name in metrics)
        return _shared_plan(metrics, slots, tuple(self.digits[name] for name in metrics))

    def knows(self, metrics: tuple[str, ...]) -> bool:
        """Whether each of these metrics has its place."""
        return metrics in self._plans or all(name in self.slots for name in metrics)

    def is_tick(self, microseconds: int) -> bool:
        """Whether an instant, in microseconds since 1970, is a tick of the schedule."""
        return any(microseconds % step_of(interval) == 0 for interval in self.intervals)


class Rounding:
    """Rounds readings before they are stored under their names: by meter, the digits of each."""

    def __init__(self, digits: Mapping[str, Mapping[str, Digits]]) -> None:
        self._digits = digits
        self._rounders: dict[tuple[str, tuple[str, ...]], Callable[..., Any]] = {}

    def learn(self, meter: str, digits: Mapping[str, Digits]) -> None:
        """Round readings of this meter so from now on."""
        self._digits = {**self._digits, meter: digits}
        self._rounders = {}

    def rounded(self, entries: Sequence[MeterReading | Gap]) -> list[MeterReading | Gap]:
        """The same entries; readings of meters that are not known stay as they are."""
        return [self._reading(e) if isinstance(e, MeterReading) else e for e in entries]

    def _reading(self, reading: MeterReading) -> MeterReading:
        key = (reading.meter, reading.metrics)
        rounding = self._rounders.get(key)
        if rounding is None:
            known = self._digits.get(reading.meter, {})
            digits = tuple(known.get(name) for name in reading.metrics)
            rounding = self._rounders[key] = _shared_rounder(digits)
        if len(reading.values) != len(reading.metrics):
            return reading
        values: list[Any] = rounding(reading.values)
        return reading._replace(values=tuple(values))


_shared_rounder: Final = lru_cache(maxsize=1024)(rounder)


class _Plan:
    """One metrics tuple, each metric with its slot and digits."""

    def __init__(
        self, metrics: tuple[str, ...], slots: tuple[int, ...], digits: tuple[Digits, ...]
    ) -> None:
        self._metrics = metrics
        self._slots = slots
        self._round = rounder(digits)
        width = max(slots) + 1
        self._absent = width - len(metrics)
        self._arrange = _arranger(slots, width)
        # Only these columns can hold integers: a value with digits is a float.
        self._whole = [index for index, kind in enumerate(digits) if kind is None]

    def encoded(self, reading: MeterReading) -> tuple[str, str | None]:
        """`vals` and `gaps` as text."""
        if len(reading.values) != len(self._metrics):
            raise ValueError(f"{len(reading.values)} values, expected {len(self._metrics)}")
        row = self._round(reading.values)
        for index in self._whole:
            value = row[index]
            if type(value) is int and abs(value) > MAX_EXACT_INT:
                row[index] = str(value)
        reasons = reading.gaps
        vals = _encode(self._arrange(row))
        # The encoder writes NaN and infinity as null too: then there are more than the gaps say.
        if vals.count(b"null") != self._absent + len(reasons):
            row, reasons = self._consistent(row, reasons)
            vals = _encode(self._arrange(row))
        return vals.decode(), self._gaps(reasons) if reasons else None

    def _consistent(
        self, row: Sequence[object], reasons: Mapping[str, GapReason]
    ) -> tuple[list[object], dict[str, GapReason]]:
        """The row with a value or a reason for each metric, never both; the reason wins."""
        values, kept = list(row), {n: r for n, r in reasons.items() if n in self._metrics}
        for index, name in enumerate(self._metrics):
            value = values[index]
            if name in kept:
                values[index] = None
            elif value is None:
                kept[name] = "internal_error"
            elif isinstance(value, float) and not math.isfinite(value):
                values[index], kept[name] = None, "decode_error"
        return values, kept

    def _gaps(self, reasons: Mapping[str, GapReason]) -> str:
        by_reason: dict[str, list[int]] = {}
        for slot, name in zip(self._slots, self._metrics, strict=True):
            if name in reasons:
                by_reason.setdefault(reasons[name], []).append(slot)
        return _encode(by_reason).decode()


# Meters of one model have equal plans: a thousand of them would take a noticeable time to make.
_shared_plan: Final = lru_cache(maxsize=1024)(_Plan)


def _arranger(slots: Sequence[int], width: int) -> Callable[[list[Any]], Sequence[Any]]:
    """A function that brings a row into slot order, null where nothing belongs."""
    if list(slots) == list(range(width)):
        return _as_it_is
    order = [len(slots)] * width
    for position, slot in enumerate(slots):
        order[slot] = position
    if width == 1:
        return _as_it_is
    pick = itemgetter(*order)
    return lambda row: pick([*row, None])


def _as_it_is(row: list[Any]) -> list[Any]:
    return row
