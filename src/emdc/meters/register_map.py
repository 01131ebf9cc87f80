"""Metric, DataType, RegisterMap: what a spreadsheet says about a meter's registers, checked.

Built by `workbook` from files and by tests by hand; read by `plan`, `words` and `meter`.
Pure: no file is opened here.
"""

import math
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Literal, NamedTuple, TypeAlias

from emdc.digits import Digits
from emdc.reading import Kind

WordOrder: TypeAlias = Literal["big", "little"]
ByteOrder: TypeAlias = Literal["big", "little"]
Ratio: TypeAlias = Literal["", "ct", "pt", "ct*pt"]
Code: TypeAlias = Literal["plain", "f8_pf", "pf4q", "bcd", "mod10k", "mod10k_low", "f64"]

MAX_REGISTERS: Final = 125
"""Registers in one answer. Modbus Application Protocol V1.1b3, section 6.3."""


PF_DECIMALS: Final = 6
"""Decimals of a power factor that is computed from a FLOAT32: its step below 2 is 2^-23."""


class DataType(StrEnum):
    """How the registers of a metric are read."""

    UINT8 = "UINT8"
    UINT16 = "UINT16"
    UINT32 = "UINT32"
    UINT64 = "UINT64"
    INT8 = "INT8"
    INT16 = "INT16"
    INT32 = "INT32"
    INT64 = "INT64"
    FLOAT32 = "FLOAT32"
    FLOAT64 = "FLOAT64"
    STRING = "STRING"

    @property
    def registers(self) -> int | None:
        """Registers of 16 bits that a value fills; None when the size says it (STRING)."""
        return _REGISTERS[self]

    @property
    def is_float(self) -> bool:
        """IEEE 754 in the registers."""
        return self in {DataType.FLOAT32, DataType.FLOAT64}

    @property
    def no_value(self) -> tuple[int, ...]:
        """The usual raw patterns for "not available"; none for floats, whose NaN always is.

        The most negative number, all ones, or for a text no character at all.
        Source: SunSpec Information Model Specification, "not implemented"; other vendors follow.
        """
        if self.is_float:
            return ()
        if self is DataType.STRING:
            return (0,)
        bits = 8 if self in {DataType.UINT8, DataType.INT8} else 16 * (_REGISTERS[self] or 1)
        pattern = (1 << bits) - 1 if self.startswith("U") else 1 << (bits - 1)
        return (pattern << (8 if bits == 8 else 0),)


_REGISTERS: Final = {
    DataType.UINT8: 1,
    DataType.UINT16: 1,
    DataType.UINT32: 2,
    DataType.UINT64: 4,
    DataType.INT8: 1,
    DataType.INT16: 1,
    DataType.INT32: 2,
    DataType.INT64: 4,
    DataType.FLOAT32: 2,
    DataType.FLOAT64: 4,
    DataType.STRING: None,
}


class ScaleTerm(NamedTuple):
    """One register that takes part in a value's scale."""

    metric: str
    """Name of the metric that holds it."""
    form: Literal["power", "inverse_power", "divisor"]
    """The value is multiplied by 10^n, divided by 10^n, or divided by n."""


_TERMS: Final[dict[str, Literal["inverse_power", "divisor"]]] = {
    "-": "inverse_power",
    "1/": "divisor",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of a register map: where a value is, and how its registers become a number.

    value = raw x scale x ratio + offset, with `ratio` taken from the meter's CT and PT settings,
    and the scale multiplied by what the registers of `scale_register` say.
    For function codes 1 and 2 `address` and `size` count bits, and the value is 0 or 1.
    """

    name: str
    address: int
    """0-based, as sent on the wire."""
    size: int
    """Registers of 16 bits."""
    data_type: DataType
    scale: float | int = 1
    """An int when it is whole, so that counters stay exact integers."""
    description: str = ""
    unit: str = ""
    function_code: int = 3
    word_order: WordOrder = "big"
    """Which register of several is first; a text has none."""
    byte_order: ByteOrder = "big"
    """Which byte of each register is first."""
    bits: tuple[int, int] | None = None
    """First and last bit of the field that is the raw number, 0 being the lowest; None: all."""
    offset: float | int = 0
    invalid: tuple[int, ...] = ()
    """Raw patterns that mean "no value": all registers as one unsigned number, high one first."""
    minimum: float | None = None
    maximum: float | None = None
    """Limits in the metric's unit before CT and PT ratios; a value outside is a gap."""
    rollover: float | None = None
    """Where a counter begins again at 0, as the limits before ratios; None: see `modulus`."""
    interval_s: float | None = None
    """Seconds between readings of this metric; None: the meter's."""
    kind: Kind = "gauge"
    code: Code = "plain"
    scale_register: str = ""
    """Names of metrics of the same map, see `scale_terms`; empty: the scale is `scale` alone."""
    ratio: Ratio = ""
    group: str = ""
    """Metrics of one group are read at one instant, in one read; empty: of none."""
    certainty: str = ""
    guard: str = ""
    """Name of a metric of the same map that must hold what it should, or this is no value: it says
    that the registers are what the map takes them for. None of a sheet has one."""
    hidden: bool = False
    """Read for others alone: it is no topic. None of a sheet is."""

    @property
    def scale_terms(self) -> tuple[ScaleTerm, ...]:
        """The registers that `scale_register` names: `NAME` for 10^n as in SunSpec, `-NAME` for
        10^-n, `1/NAME` for a divisor; several stand with a semicolon between them.
        """
        return tuple(_term(part.strip()) for part in self.scale_register.split(";") if part.strip())

    def digits(self, factor: float | None = 1) -> Digits:
        """Digits that mean anything when the raw value is multiplied by scale and `factor`.

        `factor` is None when only the meter knows it.
        """
        if self.data_type is DataType.STRING or self.scale_register:
            return None
        if self.code == "pf4q" and self.data_type.is_float:
            return PF_DECIMALS
        step = self.scale * (1 if factor is None else factor)
        if self.data_type.is_float:
            as_read = self.data_type is DataType.FLOAT32 and factor is not None
            return "float32" if as_read and abs(step) == 1 and not self.offset else None
        if isinstance(step, int) and isinstance(self.offset, int):
            return None
        return _decimals(step)

    def modulus(self, factor: float | None = 1) -> float | int | None:
        """Where a counter begins again at 0 when its raw value is multiplied by scale and `factor`.

        What the map says, else where its registers are full. None: nobody knows, as for a float or
        where a scale register decides. `factor` is None when only the meter knows it.
        """
        if self.kind != "counter" or factor is None:
            return None
        if self.rollover is not None:
            return _whole_if_it_is(self.rollover * factor)
        if self.scale_register or (numbers := _numbers(self)) is None:
            return None
        return _whole_if_it_is(numbers * abs(self.scale) * factor)


def _numbers(metric: Metric) -> int | None:
    """How many numbers from 0 up the registers of a metric can hold; None: that is no number."""
    if metric.function_code < 3 or metric.data_type.is_float:
        return None
    if metric.bits is not None:
        return 1 << metric.bits[1] - metric.bits[0] + 1
    if metric.code == "plain":
        return _PLAIN_NUMBERS.get(metric.data_type)
    digits = _DIGITS.get(metric.code)
    return None if digits is None else int(10 ** (digits * metric.size))


_PLAIN_NUMBERS: Final = {
    DataType.UINT8: 1 << 8,
    DataType.UINT16: 1 << 16,
    DataType.UINT32: 1 << 32,
    DataType.UINT64: 1 << 64,
    DataType.INT8: 1 << 7,
    DataType.INT16: 1 << 15,
    DataType.INT32: 1 << 31,
    DataType.INT64: 1 << 63,
}
_DIGITS: Final[dict[Code, int]] = {"bcd": 4, "mod10k": 4, "mod10k_low": 4}
"""Decimal digits in a register."""


def _whole_if_it_is(number: float) -> float | int | None:
    """A whole number as an int as far as doubles hold each; others without their last digit."""
    if not math.isfinite(number):
        return None
    if number != int(number):
        return float(f"{number:.15g}")
    return int(number) if abs(number) <= 1 << 53 else float(number)


def _term(part: str) -> ScaleTerm:
    for prefix, form in _TERMS.items():
        if part.startswith(prefix):
            return ScaleTerm(part.removeprefix(prefix).strip(), form)
    return ScaleTerm(part, "power")


def _decimals(step: float) -> int:
    """Decimals that resolve a step of this size and a little more, at most 12."""
    decimals = 0
    while decimals < 12 and abs(step) * 10.0**decimals < 8:
        decimals += 1
    return decimals


@dataclass(frozen=True, slots=True, eq=False)
class RegisterMap:
    """The metrics of one meter model, in the order of the sheet, and what its reads must respect.

    Compared by identity: what is prepared for a map is shared by all meters that have it.
    """

    name: str
    metrics: tuple[Metric, ...]
    model: str = ""
    vendor: str = ""
    max_gap: int = 0
    """Unmapped registers that a read may cross."""
    max_registers: int = MAX_REGISTERS
    ct_ratio: str = ""
    """Metrics that hold the CT ratio, `NAME` or `NAME/NAME`, for meters set to read it."""
    pt_ratio: str = ""
    """The same for the PT ratio."""
    identity: str = ""
    """Metric that tells one meter of the model from another, such as its serial number."""
    unverified: frozenset[str] = frozenset()
    """Names of those metrics that nothing verifies; only there when they were asked for."""
    notes: str = ""
    """What a person must know of the model."""
    hash: str = ""
    """SHA-256 of the file, hexadecimal; recorded with the readings' settings."""
    warnings: tuple[str, ...] = ()
    """What was strange but usable, each with its cell."""
    address_base: int | None = None
    """What the sheet says that its addresses count from; those of the metrics count from 0."""
    places: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(metric name, field of Metric) → its cell, such as `Metrics!D17`; for `lint`."""


def named_ratio(said: str, names: Container[str]) -> tuple[str, ...]:
    """The metrics that `NAME` or `NAME/NAME` means; nothing when one of them is not in `names`."""
    if said in names:
        return (said,)
    parts = said.split("/")
    for cut in range(1, len(parts)):
        pair = ("/".join(parts[:cut]).strip(), "/".join(parts[cut:]).strip())
        if pair[0] in names and pair[1] in names:
            return pair
    return ()
