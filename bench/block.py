"""The registers that figures 2 and 3 read: 125 of them with 25 metrics of six types and holes.

A reading of one request is one such block; one of four requests is four of them, too far apart to
be read together: 100 metrics.
"""

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

BLOCK = 125
"""Registers of one request. Modbus Application Protocol V1.1b3, section 6.3."""
BLOCK_STEP = 200
"""From one block's address to the next one's: 75 registers apart."""
MAX_GAP = 16
"""Registers that a read may cross: more than any hole of a block, less than between blocks."""


class Field(NamedTuple):
    """One metric of a block; `offset` counts registers from the block's first."""

    name: str
    data_type: str
    offset: int
    registers: int
    scale: float | int
    raw: float | int
    """What the registers hold, in every meter and for ever."""


_KINDS = (
    # data type, how many, registers, scale, first raw value, step from one metric to the next
    ("FLOAT32", 8, 2, 1, 277.3041, 13.3719),
    ("INT32", 6, 2, 2.0**-16, 7_864_321, -4_191_307),
    ("UINT32", 4, 2, 1, 1_234_567, 987_654),
    ("INT16", 4, 1, 0.01, -17_999, 12_001),
    ("UINT16", 2, 1, 1, 5_999, 2),
    ("UINT64", 1, 4, 1, 98_765_432_109, 0),
)
_FORMATS = {
    "FLOAT32": ">f",
    "INT32": ">i",
    "UINT32": ">I",
    "INT16": ">h",
    "UINT16": ">H",
    "UINT64": ">Q",
}


def _mixed() -> Iterator[tuple[str, int, float | int, float | int]]:
    """The kinds in turns, so that neighbours differ, until each is used up; UINT64 comes last."""
    for turn in range(8):
        for data_type, count, registers, scale, first, step in _KINDS[:-1]:
            if turn < count:
                yield data_type, registers, scale, first + turn * step
    data_type, _, registers, scale, first, _ = _KINDS[-1]
    yield data_type, registers, scale, first


def _fields() -> tuple[Field, ...]:
    """79 of the 125 registers are holes: 3 after each metric, and one more after the first 7."""
    fields, offset = [], 0
    for index, (data_type, registers, scale, raw) in enumerate(_mixed()):
        fields.append(Field(f"m{index:02}", data_type, offset, registers, scale, raw))
        offset += registers + (4 if index < 7 else 3)
    return tuple(fields)


FIELDS = _fields()
assert len(FIELDS) == 25
assert FIELDS[-1].offset + FIELDS[-1].registers == BLOCK


def addresses(blocks: int) -> list[int]:
    return [block * BLOCK_STEP for block in range(blocks)]


def expected(blocks: int) -> list[float | int]:
    """The values of one reading, in the order of the addresses."""
    return [_held(field) * field.scale for field in FIELDS] * blocks


def _held(field: Field) -> float | int:
    """The raw value as its registers hold it: a FLOAT32 has 24 bits only."""
    form = _FORMATS[field.data_type]
    held: float | int = struct.unpack(form, struct.pack(form, field.raw))[0]
    return held


def unpacker() -> struct.Struct:
    """One struct for the whole block, with pad bytes over the holes."""
    form, at = ">", 0
    for field in FIELDS:
        form += f"{2 * (field.offset - at)}x" + _FORMATS[field.data_type][1]
        at = field.offset + field.registers
    return struct.Struct(form)


def write_image(path: Path, blocks: int) -> Path:
    """The 65536 registers of the server with the blocks in place."""
    registers = bytearray(2 * 65536)
    for address in addresses(blocks):
        for field in FIELDS:
            at = 2 * (address + field.offset)
            struct.pack_into(_FORMATS[field.data_type], registers, at, field.raw)
    path.write_bytes(registers)
    return path


def write_layout(path: Path) -> Path:
    """FIELDS as libmodbus_client.c reads them."""
    letters = dict(zip(_FORMATS, "fiuhtq", strict=True))
    lines = [f"{letters[f.data_type]} {f.offset} {f.scale!r}" for f in FIELDS]
    path.write_text("\n".join(lines) + "\n", "ascii")
    return path


def rows(blocks: int) -> list[Sequence[object]]:
    """The metrics as rows of a workbook: name, description, address, size, scale, data type."""
    return [
        (
            f"b{number}_{field.name}",
            "",
            address + field.offset,
            field.registers,
            field.scale,
            field.data_type,
        )
        for number, address in enumerate(addresses(blocks))
        for field in FIELDS
    ]


def write_workbook(
    path: Path, metrics: Sequence[Sequence[object]], more: Sequence[str] = ()
) -> Path:
    """A workbook of the six columns that every EMDC reads, and `more` columns by their headers."""
    from openpyxl import Workbook  # noqa: PLC0415 - only two figures need a workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("Metrics")
    header = ("Name", "Description", "Address", "Size", "Scaling Factor", "Data Type")
    first = [f"Metric {column}" if column[0] in "NDA" else column for column in header]
    sheet.append([*first, *more])
    for row in metrics:
        sheet.append(list(row))
    book.save(path)
    return path


def write_stamps(path: Path, metrics: int) -> Path:
    """The workbook of modbus_server.c without an image: metrics k00, k01 and so on."""
    return write_workbook(path, [(f"k{k:02}", "", 4 * k, 4, 1, "UINT64") for k in range(metrics)])
