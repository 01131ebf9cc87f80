"""One side of figure 2 in a process of its own: NAME BLOCKS READINGS PORT...

Prints the CPU and wall seconds of READINGS readings of every meter as JSON, and the sum of one
meter's values, by which `poll` sees that every side decodes the same.
"""

import asyncio
import json
import resource
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bench import block, rig
from emdc.daemon import calm_garbage_collection
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.poll import Poll
from emdc.meters.reads import want
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.modbus.links import Links
from emdc.modbus.settings import LinkSettings
from emdc.reading import MeterReading

if TYPE_CHECKING:
    from pymodbus.client import AsyncModbusTcpClient

TICK = datetime(2026, 1, 1, tzinfo=UTC)
"""All meters of a tick share its time."""

Decode = Callable[["AsyncModbusTcpClient", list[int]], list[float]]


async def measured(
    read_all: Callable[[int], Awaitable[None]], readings: int, requests: int
) -> dict[str, float]:
    """CPU and wall seconds of `readings` of all meters, after one that is not counted.

    Every Python side has the garbage collector as the daemon sets it.
    """
    await read_all(1)
    calm_garbage_collection()
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    await read_all(readings)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    wall = time.perf_counter() - started
    return {"cpu_s": cpu, "wall_s": wall, "requests": requests * readings}


async def pymodbus(
    decode: Decode, ports: Sequence[int], blocks: int, readings: int
) -> dict[str, float]:
    """The client of pymodbus with a task a meter; each reading ends in a dictionary of lists."""
    from pymodbus.client import AsyncModbusTcpClient  # noqa: PLC0415 - this side only

    clients = [AsyncModbusTcpClient(rig.HOST, port=port, timeout=3) for port in ports]
    for client in clients:
        await client.connect()
    addresses = block.addresses(blocks)
    sink: dict[int, list[float]] = {}

    async def read_meter(index: int, times: int) -> None:
        client = clients[index]
        for _ in range(times):
            values: list[float] = []
            for address in addresses:
                answer = await client.read_holding_registers(
                    address, count=block.BLOCK, device_id=1
                )
                if answer.isError():
                    raise SystemExit(f"meter {index} answered {answer}")
                values += decode(client, answer.registers)
            sink[index] = values

    async def read_all(times: int) -> None:
        await asyncio.gather(*(read_meter(index, times) for index in range(len(clients))))

    result = await measured(read_all, readings, len(ports) * blocks)
    for client in clients:
        client.close()
    return result | {"sum": sum(sink[len(ports) - 1])}


def documented() -> Decode:
    """The conversion that pymodbus documents, metric by metric."""
    from pymodbus.client import AsyncModbusTcpClient  # noqa: PLC0415 - this side only

    kinds = [
        (f.offset, f.offset + f.registers, AsyncModbusTcpClient.DATATYPE[f.data_type], f.scale)
        for f in block.FIELDS
    ]

    def decode(client: "AsyncModbusTcpClient", registers: list[int]) -> list[float]:
        convert = client.convert_from_registers
        return [convert(registers[start:end], kind) * scale for start, end, kind, scale in kinds]

    return decode


def by_struct() -> Decode:
    """One struct for the block: what a user can do beyond the documentation."""
    pack, unpack = struct.Struct(f">{block.BLOCK}H").pack, block.unpacker().unpack
    scales = [field.scale for field in block.FIELDS]

    def decode(_client: "AsyncModbusTcpClient", registers: list[int]) -> list[float]:
        raw = unpack(pack(*registers))
        return [value * scale for value, scale in zip(raw, scales, strict=True)]

    return decode


class Turn:
    """One meter that is read so many times in a row, as pymodbus's task does."""

    __slots__ = ("_ended", "_index", "_left", "_meter", "_sink", "_wanted")

    def __init__(self, meter: Meter, index: int, sink: dict[int, MeterReading]) -> None:
        self._meter = meter
        self._index = index
        self._sink = sink
        self._wanted = want(topic.name for topic in meter.profile.topics)
        self._left = 0
        self._ended: Callable[[None], None] = lambda _: None

    async def read(self, times: int) -> None:
        """Read the meter `times` times."""
        ended = asyncio.get_running_loop().create_future()
        self._left, self._ended = times, ended.set_result
        self._start()
        await ended

    def _start(self) -> None:
        self._meter.start(Poll(self._wanted, self._take, TICK, scheduled=True))

    def _take(self, reading: MeterReading) -> None:
        self._sink[self._index] = reading
        self._left -= 1
        if self._left:
            self._start()
        else:
            self._ended(None)


async def emdc(
    ports: Sequence[int], blocks: int, readings: int, *, pipeline: int = 1
) -> dict[str, float]:
    """EMDC's own meters and links; each reading is handed to a sink."""
    link_settings = LinkSettings(pipeline=pipeline)
    links = Links(jitter=lambda: 0.5, holder=lambda: "a bench")
    books, settings = register_map(blocks), MeterSettings(max_gap=block.MAX_GAP)
    meters = [
        Meter(str(port), books, links.link(rig.HOST, port, link_settings), settings, clock=now)
        for port in ports
    ]
    sink: dict[int, MeterReading] = {}
    turns = [Turn(meter, index, sink) for index, meter in enumerate(meters)]

    async def read_all(times: int) -> None:
        await asyncio.gather(*(turn.read(times) for turn in turns))

    result = await measured(read_all, readings, len(ports) * blocks)
    links.close()
    for reading in sink.values():
        if reading.gaps:
            raise SystemExit(f"meter {reading.meter} has gaps: {dict(reading.gaps)}")
    return result | {"sum": sum(sink[len(ports) - 1].values)}


def now() -> datetime:
    return datetime.now(UTC)


def register_map(blocks: int) -> RegisterMap:
    return RegisterMap(
        "bench",
        tuple(
            Metric(name, address, size, DataType(data_type), scale)
            for name, _, address, size, scale, data_type in block.rows(blocks)
        ),
    )


def main(arguments: Sequence[str]) -> None:
    rig.raise_descriptor_limit()
    name, blocks, readings = arguments[0], int(arguments[1]), int(arguments[2])
    ports = [int(port) for port in arguments[3:]]
    if name == "emdc uvloop":
        import uvloop  # noqa: PLC0415 - an extra

        result = uvloop.run(emdc(ports, blocks, readings))
    elif name == "emdc":
        result = asyncio.run(emdc(ports, blocks, readings))
    elif name == "emdc pipeline":
        result = asyncio.run(emdc(ports, blocks, readings, pipeline=blocks))
    else:
        decode = by_struct() if name == "pymodbus struct" else documented()
        result = asyncio.run(pymodbus(decode, ports, blocks, readings))
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
