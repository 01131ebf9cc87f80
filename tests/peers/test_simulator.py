"""The simulator read by programs of other people: equal values, whatever reads them."""

import asyncio
import json
import os
import shutil
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pymodbus.client import AsyncModbusTcpClient

from emdc.meters.register_map import DataType, Metric
from emdc.modbus.server import serve
from emdc.synthetic.simulator import Simulator
from tests.conftest import need_program
from tests.peers.case import (
    CASE,
    COILS,
    COUNT,
    DISCRETE_INPUTS,
    FIRST,
    HOLDING,
    PLACES,
    TABLES,
    VALUES,
    Place,
)

pytestmark = pytest.mark.services
HERE = Path(__file__).parent
TIMEOUT_S = 60

Result = Mapping[str, Any]


def serving(read: Callable[[int], Awaitable[Any]]) -> Any:
    """What `read` gives for the port of a running simulator that holds the case's values."""

    async def run() -> Any:
        simulator = Simulator(CASE, clock=lambda: 1.79e9, fixed=VALUES)
        server = await serve(simulator.answer, "127.0.0.1", 0)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return await read(server.port)
        finally:
            server.close()
            await server.wait_closed()

    return asyncio.run(run())


async def output(*command: str, stdin: bytes = b"", cwd: Path | None = None) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=cwd,
    )
    try:
        out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"{command}: {out.decode()}{err.decode()}"
    return out.decode()


def test_the_case_holds_every_type_in_both_orders() -> None:
    held = {(p.metric.data_type, p.metric.word_order) for p in HOLDING}
    assert held == {(kind, order) for kind in DataType for order in ("big", "little")}


# pymodbus


def by_pymodbus(client: AsyncModbusTcpClient, metric: Metric, registers: list[int]) -> object:
    if metric.data_type in (DataType.UINT8, DataType.INT8):
        # pymodbus has no 8-bit types
        return struct.unpack(
            "B" if metric.data_type is DataType.UINT8 else "b", bytes([registers[0] >> 8])
        )[0]
    text = metric.data_type is DataType.STRING
    order = "big" if text else metric.word_order
    value = client.convert_from_registers(
        registers, client.DATATYPE[metric.data_type.value], word_order=order
    )
    return value.rstrip("\0") if isinstance(value, str) else value


def test_pymodbus_reads_every_value() -> None:
    async def read(port: int) -> tuple[dict[str, object], list[int], list[int]]:
        async with AsyncModbusTcpClient("127.0.0.1", port=port, retries=0) as client:
            reads = {3: client.read_holding_registers, 4: client.read_input_registers}
            values = {}
            for place in PLACES:
                metric = place.metric
                answer = await reads[metric.function_code](
                    metric.address, count=metric.size, device_id=1
                )
                assert not answer.isError()
                values[metric.name] = by_pymodbus(client, metric, answer.registers)
            coils = await client.read_coils(0, count=len(COILS), device_id=1)
            inputs = await client.read_discrete_inputs(0, count=len(DISCRETE_INPUTS), device_id=1)
            return values, coils.bits[: len(COILS)], inputs.bits[: len(DISCRETE_INPUTS)]

    values, coils, inputs = serving(read)
    assert values == {place.metric.name: place.value for place in PLACES}
    assert tuple(coils) == COILS
    assert tuple(inputs) == DISCRETE_INPUTS


def test_pymodbus_gets_our_exceptions() -> None:
    async def read(port: int) -> list[int]:
        async with AsyncModbusTcpClient("127.0.0.1", port=port, retries=0) as client:
            answers = [
                await client.read_holding_registers(FIRST - 1, count=2, device_id=1),
                await client.write_register(FIRST, 1, device_id=1),
            ]
            return [answer.exception_code for answer in answers]

    assert serving(read) == [2, 1]


# mbpoll


def mbpoll_values(text: str) -> list[str]:
    """The numbers of mbpoll's lines `[16]: <tab>-12345`; it repeats a 16-bit one as `(-12345)`."""
    lines = [line.split(":", 1) for line in text.splitlines() if line.startswith("[")]
    return [value.split()[0] for _, value in lines]


async def mbpoll(port: int, kind: str, address: int, *more: str) -> list[str]:
    common = ["-m", "tcp", "-a", "1", "-0", "-1", "-o", "10", "-p", str(port)]
    program = need_program("mbpoll", "apt-get install mbpoll")
    out = await output(program, *common, "-t", kind, "-r", str(address), *more, "127.0.0.1")
    return mbpoll_values(out)


@pytest.mark.parametrize(("code", "kind"), [(3, "4:hex"), (4, "3:hex")])
def test_mbpoll_reads_every_register(code: int, kind: str) -> None:
    words = serving(lambda port: mbpoll(port, kind, FIRST, "-c", str(COUNT)))
    assert tuple(int(word, 16) for word in words) == TABLES[code]


@pytest.mark.parametrize(
    "place",
    [p for p in PLACES if p.metric.data_type in (DataType.INT32, DataType.FLOAT32)],
    ids=lambda place: place.metric.name,
)
def test_mbpoll_reads_the_values_that_it_has_types_for(place: Place) -> None:
    metric = place.metric
    table = "4" if metric.function_code == 3 else "3"
    kind = f"{table}:int" if metric.data_type is DataType.INT32 else f"{table}:float"
    order = ["-B"] if metric.word_order == "big" else []
    found = serving(lambda port: mbpoll(port, kind, metric.address, *order))
    assert [float(value) for value in found] == [place.value]


@pytest.mark.parametrize(("kind", "bits"), [("0", COILS), ("1", DISCRETE_INPUTS)])
def test_mbpoll_reads_bits(kind: str, bits: tuple[int, ...]) -> None:
    found = serving(lambda port: mbpoll(port, kind, 0, "-c", str(len(bits))))
    assert tuple(int(bit) for bit in found) == bits


# modbus-serial, in node


@pytest.fixture(scope="session")
def modbus_serial() -> Path:
    """The folder where modbus-serial is installed; outside the tree and kept between runs."""
    npm = need_program("npm", "install Node.js")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "emdc" / "peers"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]["modbus-serial"]
    installed = folder / "node_modules" / "modbus-serial" / "package.json"
    if not installed.exists() or json.loads(installed.read_text())["version"] != wanted:
        shutil.copy(HERE / "package.json", folder)
        # serialport is optional, has to be compiled, and is of no use for TCP.
        command = [npm, "install", "--no-audit", "--no-fund", "--omit=optional"]
        asyncio.run(asyncio.wait_for(output(*command, cwd=folder), 300))
    return folder


def test_modbus_serial_reads_every_value(modbus_serial: Path) -> None:
    node = need_program("node", "install Node.js")
    shutil.copy(HERE / "read_case.js", modbus_serial)
    places = [
        {
            "name": place.metric.name,
            "code": place.metric.function_code,
            "offset": place.metric.address - FIRST,
            "size": place.metric.size,
            "type": place.metric.data_type,
            "order": place.metric.word_order,
        }
        for place in PLACES
    ]

    async def read(port: int) -> Result:
        asked = {"port": port, "first": FIRST, "count": COUNT, "places": places}
        asked |= {"coils": len(COILS), "inputs": len(DISCRETE_INPUTS)}
        out = await output(
            node, "read_case.js", stdin=json.dumps(asked).encode(), cwd=modbus_serial
        )
        found = json.loads(out)
        assert isinstance(found, dict)
        return found

    found = serving(read)
    assert found["values"] == {place.metric.name: str(place.value) for place in PLACES}
    assert tuple(found["coils"]) == COILS
    assert tuple(found["inputs"]) == DISCRETE_INPUTS
