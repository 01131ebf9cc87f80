"""Our client reads servers of other people: equal values, whatever answers."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import cast

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType as PymodbusType
from pymodbus.simulator import SimData, SimDevice

from emdc.errors import ExceptionResponseError
from emdc.meters.plan import plan
from emdc.meters.words import Ratios, compile_batch
from emdc.modbus import Line, Link, Links, LinkSettings, Request, read_request
from emdc.modbus.exchange import Answer, Exchange
from emdc.modbus.server import serve
from emdc.reading import Value
from emdc.synthetic.simulator import Simulator
from tests.conftest import lacking, need_program
from tests.modbus.serial_pair import plugged_in
from tests.peers.case import CASE, FIRST, TABLES, VALUES

pytestmark = pytest.mark.services
HERE = Path(__file__).parent
TIMEOUT_S = 30.0
DEFAULTS = LinkSettings()


async def asked(link: Link, requests: Sequence[Request]) -> Sequence[Answer]:
    answered = asyncio.Event()
    exchange = Exchange(requests, TIMEOUT_S, lambda _: answered.set())
    link.exchange(exchange)
    await answered.wait()
    return exchange.answers


async def read_case(
    port: int,
    settings: LinkSettings = DEFAULTS,
    *,
    host: str = "127.0.0.1",
    pipeline: int = 1,
) -> Mapping[str, Value]:
    """Every value of the case, by the plan and the decoders that the daemon uses.

    `pipeline` is what the link must have come down to.
    """
    links = Links(jitter=lambda: 0.5, holder=lambda: "a test")
    try:
        link = links.link(host, port, settings)
        batches = plan(CASE.metrics, max_registers=CASE.max_registers, max_gap=CASE.max_gap)
        requests = [read_request(1, b.function_code, b.address, b.count) for b in batches]
        answers = await asked(link, requests)
        assert link.pipeline == pipeline
    finally:
        links.close()
    values: dict[str, Value] = {}
    for batch, answer in zip(batches, answers, strict=True):
        assert not isinstance(answer, Exception), answer
        decoder = compile_batch(batch, Ratios())
        found, gaps = decoder.decode(answer)
        assert gaps == {}
        values.update(zip(decoder.names, found, strict=True))
    return values


async def read_outside(port: int) -> object:
    """What the server answers to a register that it has not, and the connection afterwards."""
    links = Links(jitter=lambda: 0.5, holder=lambda: "a test")
    try:
        link = links.link("127.0.0.1", port, LinkSettings())
        requests = [read_request(1, 3, 9000, 2), read_request(1, 3, FIRST, 1)]
        refused, answered = await asked(link, requests)
        assert answered == TABLES[3][0].to_bytes(2)
        return refused
    finally:
        links.close()


def test_our_simulator_is_read() -> None:
    async def run() -> None:
        simulator = Simulator(CASE, clock=lambda: 1.79e9, fixed=VALUES)
        server = await serve(simulator.answer, "127.0.0.1", 0)
        assert await read_case(server.port) == VALUES
        assert isinstance(await read_outside(server.port), ExceptionResponseError)
        server.close()
        await server.wait_closed()

    asyncio.run(run())


def pymodbus_device() -> SimDevice:
    bits = [
        [SimData(0, values=[bool(bit) for bit in TABLES[code]], datatype=PymodbusType.BITS)]
        for code in (1, 2)
    ]
    registers = [
        [SimData(FIRST, values=list(TABLES[code]), datatype=PymodbusType.REGISTERS)]
        for code in (3, 4)
    ]
    return SimDevice(1, simdata=(bits[0], bits[1], registers[0], registers[1]))


def test_pymodbus_answers_one_of_several_requests_and_no_value_is_lost() -> None:
    async def run() -> None:
        async with pymodbus_server() as port:
            assert await read_case(port, LinkSettings(pipeline=4)) == VALUES

    asyncio.run(run())


def test_pymodbus_is_read_over_a_serial_line(tmp_path: Path) -> None:
    """Its server has one end of the line, our link the other."""

    async def run() -> None:
        with serial_cable(tmp_path) as (ours, theirs):
            server = ModbusSerialServer(pymodbus_device(), port=theirs, baudrate=19200, parity="N")
            try:
                await server.serve_forever(background=True)
                assert (
                    await read_case(0, LinkSettings(line=Line(parity="none")), host=ours) == VALUES
                )
            finally:
                await server.shutdown()  # type: ignore[no-untyped-call]

    asyncio.run(run())


def test_pymodbus_is_read_in_rtu_frames_over_tcp() -> None:
    async def run() -> None:
        async with pymodbus_server(FramerType.RTU) as port:
            assert await read_case(port, LinkSettings(rtu=True)) == VALUES

    asyncio.run(run())


def test_pymodbus_is_read() -> None:
    async def run() -> None:
        async with pymodbus_server() as port:
            assert await read_case(port) == VALUES
            refused = await read_outside(port)
            assert isinstance(refused, ExceptionResponseError)
            assert refused.code == 2

    asyncio.run(run())


@asynccontextmanager
async def pymodbus_server(framer: FramerType = FramerType.SOCKET) -> AsyncIterator[int]:
    """The port of pymodbus's server with the case's registers."""
    server = ModbusTcpServer(pymodbus_device(), framer=framer, address=("127.0.0.1", 0))
    try:
        await server.serve_forever(background=True)
        # pymodbus calls it a transport; it is what the loop's create_server gave
        listener = cast("asyncio.Server", server.transport)
        yield listener.sockets[0].getsockname()[1]
    finally:
        await server.shutdown()  # type: ignore[no-untyped-call]


@contextmanager
def serial_cable(folder: Path) -> Iterator[tuple[str, str]]:
    """The devices at both ends of a line: what one pseudo-terminal hears the other says."""
    with plugged_in(folder) as (one, path), plugged_in(make(folder / "theirs")) as (other, far):
        one.hear, other.hear = other.send, one.send
        yield path, far


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def libmodbus_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The C server, compiled."""
    compiler = need_program("gcc", "apt-get install gcc libmodbus-dev")
    config = need_program("pkg-config", "apt-get install pkg-config libmodbus-dev")
    asked = subprocess.run(
        [config, "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=False
    )
    if asked.returncode:
        lacking(f"libmodbus is not installed: apt-get install libmodbus-dev; {asked.stderr}")
    program = tmp_path_factory.mktemp("libmodbus") / "server"
    source = HERE / "libmodbus_server.c"
    subprocess.run(
        [compiler, "-Wall", "-Werror", "-O1", "-o", program, source, *asked.stdout.split()],
        check=True,
        timeout=120,
    )
    return program


@pytest.fixture
def libmodbus_port(libmodbus_program: Path) -> Iterator[int]:
    """The port of a running C server that holds the case's registers."""
    cells = [
        f"{code} {address} {number}\n"
        for code, numbers in TABLES.items()
        for address, number in enumerate(numbers, FIRST if code > 2 else 0)
    ]
    with subprocess.Popen(
        [libmodbus_program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write("".join(cells) + "serve\n")
        process.stdin.flush()
        try:
            yield int(process.stdout.readline())
        finally:
            with suppress(ProcessLookupError):
                process.kill()


def test_libmodbus_is_read(libmodbus_port: int) -> None:
    assert asyncio.run(read_case(libmodbus_port)) == VALUES


def test_libmodbus_takes_several_requests_at_once(libmodbus_port: int) -> None:
    values = asyncio.run(read_case(libmodbus_port, LinkSettings(pipeline=4), pipeline=4))
    assert values == VALUES


def test_libmodbus_refuses_what_it_has_not(libmodbus_port: int) -> None:
    refused = asyncio.run(read_outside(libmodbus_port))
    assert isinstance(refused, ExceptionResponseError)
    assert refused.code == 2
