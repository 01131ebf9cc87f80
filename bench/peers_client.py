"""One client against all meters of peers_meters, each in a process of its own: NAME PORT...

Three reads in a row from each meter, by the client as its own documentation uses it, with its own
defaults but for the time-out. Prints a line of JSON for each read, as it ends: the place of the
meter, that of the read, the registers or null, the seconds that it took, and what the error says.
What has not ended by the deadline is left out.
"""

import asyncio
import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any, TypeAlias

from bench import rig

TIMEOUT_S = 0.5
DEADLINE_S = 40.0
ADDRESSES, QUANTITY = (10, 20, 30), 2
PAUSE_S = 0.1
"""From one read to the next: what is under way has come by then."""

Read: TypeAlias = Callable[[int], Awaitable[Sequence[int]]]
"""Registers from an address on; raises whatever the client raises, or LookupError."""


@asynccontextmanager
async def emdc(port: int) -> AsyncIterator[Read]:
    """A meter as the daemon has it."""
    from emdc.meters.meter import Meter, MeterSettings  # noqa: PLC0415 - this side only
    from emdc.meters.reads import want  # noqa: PLC0415
    from emdc.meters.register_map import DataType, Metric, RegisterMap  # noqa: PLC0415
    from emdc.modbus.links import Links  # noqa: PLC0415
    from emdc.modbus.settings import LinkSettings  # noqa: PLC0415

    metrics = tuple(Metric(str(a), a, QUANTITY, DataType.UINT32) for a in ADDRESSES)
    links = Links(jitter=Random(port).random, holder=lambda: "a bench")
    link = links.link(rig.HOST, port, LinkSettings())
    settings = MeterSettings(timeout_s=TIMEOUT_S)
    books = RegisterMap("peers", metrics)
    meter = Meter(str(port), books, link, settings, clock=lambda: datetime.now(UTC))

    async def read(address: int) -> Sequence[int]:
        reading = await meter.read(want([str(address)]))
        value = reading.values[0]
        if not isinstance(value, int):
            raise LookupError(str(dict(reading.gaps)))
        return divmod(value, 1 << 16)

    yield read
    links.close()


@asynccontextmanager
async def pymodbus(port: int) -> AsyncIterator[Read]:
    """Its async client."""
    from pymodbus.client import AsyncModbusTcpClient  # noqa: PLC0415 - this side only

    client = AsyncModbusTcpClient(rig.HOST, port=port, timeout=TIMEOUT_S)
    await client.connect()

    async def read(address: int) -> Sequence[int]:
        answer = await client.read_holding_registers(address, count=QUANTITY, device_id=1)
        if answer.isError():
            raise LookupError(str(answer))
        return answer.registers

    yield read
    client.close()


@asynccontextmanager
async def umodbus(port: int) -> AsyncIterator[Read]:
    """A socket of the caller's. It is opened anew after an error that is not a time-out."""
    from umodbus.client import tcp  # noqa: PLC0415 - this side only

    def connected() -> socket.socket:
        return socket.create_connection((rig.HOST, port), TIMEOUT_S)

    link = connected()

    async def read(address: int) -> Sequence[int]:
        nonlocal link
        request = tcp.read_holding_registers(1, address, QUANTITY)
        try:
            found: Sequence[int] = tcp.send_message(request, link)
        except TimeoutError:
            raise
        except Exception:
            link.close()
            link = connected()
            raise
        return found

    yield read
    link.close()


@asynccontextmanager
async def pymodbustcp(port: int) -> AsyncIterator[Read]:
    """It opens and closes its connection itself."""
    from pyModbusTCP.client import ModbusClient  # noqa: PLC0415 - this side only

    client = ModbusClient(host=rig.HOST, port=port, unit_id=1, timeout=TIMEOUT_S)

    async def read(address: int) -> Sequence[int]:
        found: Sequence[int] | None = client.read_holding_registers(address, QUANTITY)
        if found is None:
            raise LookupError(client.last_error_as_txt)
        return found

    yield read
    client.close()


@asynccontextmanager
async def modbus_tk(port: int) -> AsyncIterator[Read]:
    """It opens its connection itself."""
    from modbus_tk import defines  # noqa: PLC0415 - this side only
    from modbus_tk.modbus_tcp import TcpMaster  # noqa: PLC0415

    master = TcpMaster(rig.HOST, port, timeout_in_sec=TIMEOUT_S)

    async def read(address: int) -> Sequence[int]:
        found: Sequence[int] = master.execute(1, defines.READ_HOLDING_REGISTERS, address, QUANTITY)
        return found

    yield read
    master.close()


CLIENTS: Mapping[str, Callable[[int], AbstractAsyncContextManager[Read]]] = {
    "emdc": emdc,
    "pymodbus": pymodbus,
    "uModbus": umodbus,
    "pyModbusTCP": pymodbustcp,
    "modbus_tk": modbus_tk,
}
"""By their names on the package index."""


async def _session(name: str, place: int, port: int) -> None:
    async with CLIENTS[name](port) as read:
        for number, address in enumerate(ADDRESSES):
            started = time.monotonic()
            found: dict[str, Any] = {"meter": place, "read": number, "registers": None}
            try:
                found["registers"] = list(await read(address))
            except Exception as error:  # noqa: BLE001 - whatever a client raises is an error
                found["error"] = f"{type(error).__name__}: {error}"
            found["seconds"] = time.monotonic() - started
            # One write, so that lines of two processes do not mix.
            os.write(1, json.dumps(found).encode() + b"\n")
            await asyncio.sleep(PAUSE_S)


def _one(name: str, place: int, port: int) -> None:
    asyncio.run(_session(name, place, port))


def main(name: str, ports: Sequence[int]) -> None:
    __import__(
        {"pyModbusTCP": "pyModbusTCP.client", "uModbus": "umodbus.client.tcp"}.get(name, name)
    )
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_one, args=(name, place, port)) for place, port in enumerate(ports)
    ]
    for process in processes:
        process.start()
    end = time.monotonic() + DEADLINE_S
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        process.kill()


if __name__ == "__main__":
    main(sys.argv[1], [*map(int, sys.argv[2:])])
