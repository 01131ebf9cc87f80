"""Metric, DataType, RegisterMap: what a spreadsheet says about a meter's registers, checked.

Built by `workbook` from files and by tests by hand; read by `plan`, `words` and `meter`.
Pure: no file is opened here.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from emdc.digits import Digits
from emdc.reading import Kind

WordOrder: TypeAlias = Literal["big", "little"]
Ratio: TypeAlias = Literal["", "ct", "pt", "ct*pt"]
Code: TypeAlias = Literal["plain", "f8_pf", "bcd", "mod10k"]

MAX_REGISTERS: Final = 125
"""Registers in one answer. Modbus Application Protocol V1.1b3, section 6.3."""


class DataType(StrEnum):
    """How the registers of a metric are read; bytes inside a register are high byte first."""

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


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of a register map: where a value is, and how its registers become a number.

    value = raw x scale x ratio + offset, with `ratio` taken from the meter's CT and PT settings.
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
    offset: float | int = 0
    invalid: int | None = None
    """The raw pattern, read as one unsigned number of `size` registers, that means "no value"."""
    minimum: float | None = None
    maximum: float | None = None
    """Limits in the metric's unit before CT and PT ratios; a value outside is a gap."""
    interval_s: float | None = None
    """Seconds between readings of this metric; None: the meter's."""
    kind: Kind = "gauge"
    code: Code = "plain"
    ratio: Ratio = ""
    certainty: str = ""

    def digits(self, factor: float = 1) -> Digits:
        """Digits that mean anything when the raw value is multiplied by scale and `factor`."""
        step = self.scale * factor
        if self.data_type is DataType.FLOAT32 and step == 1 and not self.offset:
            return "float32"
        whole = isinstance(step, int) and isinstance(self.offset, int)
        if whole or self.data_type.is_float or self.data_type is DataType.STRING:
            return None
        return _decimals(step)


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
    hash: str = ""
    """SHA-256 of the file, hexadecimal; recorded with the readings' settings."""
    warnings: tuple[str, ...] = ()
    """What was strange but usable, each with its cell."""
