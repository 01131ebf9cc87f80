"""A SunSpec device of which a test decides every register, and the real servers that play it.

Registers are written by hand, word by word, or as the facts of the meters say; no codec of ours
takes part.
"""

import csv
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from emdc.modbus.server import ILLEGAL_ADDRESS, Server, serve

MARKER: Final = (0x5375, 0x6E53)
END: Final = (0xFFFF, 0)
LENGTHS: Final = {
    1: 66,
    **dict.fromkeys((101, 102, 103), 50),
    **dict.fromkeys((111, 112, 113), 60),
    **dict.fromkeys((201, 202, 203, 204), 105),
    **dict.fromkeys((211, 212, 213, 214), 124),
}
FACTS: Final = Path(__file__).parents[1] / "tools" / "meters" / "facts"
FACTS_OF: Final = {
    1: "sunspec-common",
    **dict.fromkeys((101, 102, 103), "sunspec-inverter-int"),
    **dict.fromkeys((111, 112, 113), "sunspec-inverter-float"),
    **dict.fromkeys((201, 202, 203, 204), "sunspec-meter-int"),
    **dict.fromkeys((211, 212, 213, 214), "sunspec-meter-float"),
}


class Fact(NamedTuple):
    """One row of the facts."""

    metric: str
    point: str
    offset: int
    registers: int
    type: str
    scale: str
    unit: str


def facts(model: int) -> list[Fact]:
    """What was written down of a model."""
    with (FACTS / f"{FACTS_OF[model]}.csv").open(encoding="utf-8", newline="") as file:
        return [
            Fact(
                row["metric"],
                row["description"].split()[1],
                int(row["address"]),
                int(row["registers"]),
                row["type"],
                row["scale"],
                row["unit"],
            )
            for row in csv.DictReader(file)
        ]


def text(value: str, registers: int) -> list[int]:
    """A text in its registers, NULs behind it."""
    return words(value.encode().ljust(2 * registers, b"\0"))


def floats(*values: float) -> list[int]:
    """FLOAT32 values, two registers each."""
    return words(struct.pack(f">{len(values)}f", *values))


def words(data: bytes) -> list[int]:
    """Bytes as registers."""
    return list(struct.unpack(f">{len(data) // 2}H", data))


def signed(value: int) -> int:
    """An INT16 in its register."""
    return value & 0xFFFF


@dataclass
class Block:
    """One model: its id, its registers behind the header, and the length that it says it has."""

    model: int
    body: list[int]
    says: int | None = None

    @property
    def registers(self) -> list[int]:
        """With the header."""
        said = len(self.body) if self.says is None else self.says
        return [self.model, said, *self.body]

    def put(self, offset: int, *values: int) -> "Block":
        """Write registers, counted from the one with the id as in the facts; gives the block."""
        self.body[offset - 2 : offset - 2 + len(values)] = [value & 0xFFFF for value in values]
        return self


def blank(model: int, length: int | None = None) -> Block:
    """A block of which nothing is implemented: 0x8000 in all, which means so for most types."""
    return Block(model, [0x8000] * (LENGTHS[model] if length is None else length))


def common(length: int = 66, serial: str = "SN-42") -> Block:
    """Model 1."""
    block = Block(1, [0] * length)
    block.put(2, *text("Acme", 16), *text("Meter 3000", 16))
    return block.put(42, *text("1.2.3", 8)).put(50, *text(serial, 16))


def meter203(power: int = 4321, factor: int = -1) -> Block:
    """Model 203 with some values: a current, a voltage, the power, an energy."""
    block = blank(203)
    block.put(2, 1234, 400, 410, 424, signed(-2))  # A: 12.34, 4.00, 4.10, 4.24
    block.put(8, 2301).put(15, signed(-1))  # PhVphA: 230.1 V
    block.put(16, 4998).put(17, signed(-2))  # Hz: 49.98
    block.put(18, signed(power)).put(22, signed(factor))  # W
    block.put(33, 98).put(37, 0)  # PF: 98 %
    block.put(38, 0, 0).put(46, 0x0012, 0xD687).put(54, 1)  # TotWhExp none, TotWhImp 12345670
    return block


def meter213(power: float = 432.5) -> Block:
    """Model 213 with some values."""
    block = Block(213, floats(*[float("nan")] * 62))
    block.put(2, *floats(12.25)).put(12, *floats(230.5)).put(26, *floats(49.5))
    return block.put(28, *floats(power)).put(52, *floats(0.5)).put(68, *floats(1000.0))


@dataclass
class Device:
    """Registers by address. Nothing else is there."""

    registers: dict[int, int] = field(default_factory=dict)
    unit: int | None = None
    """The only one that answers; None: all do."""
    asked: list[tuple[int, int]] = field(default_factory=list)
    """(address, count) of every read."""

    def answer(self, unit: int, function_code: int, address: int, count: int) -> bytes | int:
        """As `emdc.modbus.server` wants it."""
        self.asked.append((address, count))
        if self.unit is not None and unit != self.unit:
            return 0x0B
        try:
            found = [self.registers[at] for at in range(address, address + count)]
        except KeyError:
            return ILLEGAL_ADDRESS
        return struct.pack(f">{count}H", *found)

    def lay_out(
        self, blocks: Iterable[Block], base: int = 40000, end: Sequence[int] = END
    ) -> "Device":
        """Have these models and nothing else; gives the device."""
        found = [*MARKER, *(word for block in blocks for word in block.registers), *end]
        self.registers = {base + at: word for at, word in enumerate(found)}
        return self


def device(*blocks: Block, base: int = 40000) -> Device:
    """A device with these models."""
    return Device().lay_out(blocks, base)


@asynccontextmanager
async def serving(subject: Device, port: int = 0) -> AsyncIterator[Server]:
    """A listener that answers for the device."""
    server = await serve(subject.answer, "127.0.0.1", port)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()
