"""The registers that every other program has to read as we do: each type in both word orders.

Registers are written out as a manual prints them, so that no codec of ours decides what is right.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from emdc.meters.register_map import DataType, Metric, RegisterMap, WordOrder
from emdc.reading import Value


class Row(NamedTuple):
    data_type: DataType
    value: float | int | str
    registers: str
    """High word first."""


ROWS: Final = (
    Row(DataType.UINT8, 165, "A500"),
    Row(DataType.INT8, -91, "A500"),
    Row(DataType.UINT16, 51966, "CAFE"),
    Row(DataType.INT16, -12345, "CFC7"),
    Row(DataType.UINT32, 3735928559, "DEAD BEEF"),
    Row(DataType.INT32, -1234567890, "B669 FD2E"),
    Row(DataType.UINT64, 17279655951921914625, "EFCD AB89 6745 2301"),
    Row(DataType.INT64, -1234567890123456789, "EEDD EF0B 8216 7EEB"),
    Row(DataType.FLOAT32, -1234.5, "C49A 5000"),
    Row(DataType.FLOAT64, 299792458.125, "41B1 DE78 4A20 0000"),
    Row(DataType.STRING, "Nexus 1272", "4E65 7875 7320 3132 3732 0000"),
)
"""A text has no word order: it comes twice in the same one."""

ORDERS: Final[tuple[WordOrder, ...]] = ("big", "little")
FIRST: Final = 16
"""Address of the first register; input registers begin where holding registers do."""

COILS: Final = (1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 0, 1, 0, 1, 1)
DISCRETE_INPUTS: Final = (0, 1, 1, 0, 1, 0, 0, 0, 0, 0, 1)


class Place(NamedTuple):
    metric: Metric
    value: float | int | str
    words: tuple[int, ...]
    """In the order of the registers."""


def _places() -> tuple[Place, ...]:
    places: list[Place] = []
    for code in (3, 4):
        address = FIRST
        for order in ORDERS:
            for row in ROWS:
                words = tuple(bytes_to_words(bytes.fromhex(row.registers)))
                if order == "little" and row.data_type is not DataType.STRING:
                    words = words[::-1]
                name = f"{row.data_type}_{order}_{code}"
                metric = Metric(
                    name,
                    address,
                    len(words),
                    row.data_type,
                    word_order=order,
                    function_code=code,
                )
                places.append(Place(metric, row.value, words))
                address += len(words)
    return tuple(places)


def bytes_to_words(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)]


PLACES: Final = _places()
HOLDING: Final = tuple(place for place in PLACES if place.metric.function_code == 3)
COUNT: Final = sum(place.metric.size for place in HOLDING)
"""Registers of each table."""


def _bits(function_code: int, bits: tuple[int, ...]) -> tuple[Metric, ...]:
    return tuple(
        Metric(f"bit_{function_code}_{at}", at, 1, DataType.UINT16, function_code=function_code)
        for at in range(len(bits))
    )


CASE: Final = RegisterMap(
    "peers",
    (
        *(place.metric for place in PLACES),
        *_bits(1, COILS),
        *_bits(2, DISCRETE_INPUTS),
    ),
)
VALUES: Final[Mapping[str, Value]] = {
    **{place.metric.name: place.value for place in PLACES},
    **{f"bit_1_{at}": bit for at, bit in enumerate(COILS)},
    **{f"bit_2_{at}": bit for at, bit in enumerate(DISCRETE_INPUTS)},
}

TABLES: Final[Mapping[int, tuple[int, ...]]] = {
    1: COILS,
    2: DISCRETE_INPUTS,
    3: tuple(word for place in HOLDING for word in place.words),
    4: tuple(word for place in HOLDING for word in place.words),
}
"""Function code → bits from address 0, or registers from address FIRST."""
