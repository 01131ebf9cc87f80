"""Values that are none, and what meters refuse, over real connections."""

import asyncio
import struct
from collections.abc import Callable, Collection, Mapping

import pytest

from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.register_map import DataType, Metric, RegisterMap, WordOrder
from emdc.modbus import LinkSettings
from emdc.modbus.server import Server, serve
from emdc.reading import Value
from emdc.synthetic.simulator import fixed_words
from tests import misbehaving
from tests.misbehaving import Connection, framed, meter
from tests.modbus.asking import links
from tests.virtual_time import WallClock, run

Words = Mapping[int, int]
"""Address → register."""


def words(address: int, data: bytes) -> dict[int, int]:
    """The registers from `address` on that hold these bytes."""
    return {address + at // 2: int.from_bytes(data[at : at + 2]) for at in range(0, len(data), 2)}


async def read(server: Server, book: RegisterMap) -> dict[str, Value]:
    """Values by name; what is missing is its reason."""
    with links() as opened:
        link = opened.link("127.0.0.1", server.port, LinkSettings())
        settings = MeterSettings(retries=0)
        subject = Meter("site/meter", book, link, settings, clock=WallClock())
        reading = await subject.read(frozenset(metric.name for metric in book.metrics))
    return {**dict(zip(reading.metrics, reading.values, strict=True)), **reading.gaps}


def said(metrics: Collection[Metric], registers: Words) -> dict[str, Value]:
    """What a meter with these registers says."""

    async def check() -> dict[str, Value]:
        server = await serve(fixed_words({3: registers}), "127.0.0.1", 0)
        try:
            return await read(server, RegisterMap("test", tuple(metrics)))
        finally:
            server.close()
            await server.wait_closed()

    return run(check())


FLOATS: dict[str, tuple[str, Value]] = {
    "NaN": ("7FC00000", "not_available"),
    "a signalling NaN": ("7F800001", "not_available"),
    "a negative NaN": ("FFFFFFFF", "not_available"),
    "infinity": ("7F800000", "not_available"),
    "negative infinity": ("FF800000", "not_available"),
    "the smallest denormal": ("00000001", struct.unpack(">f", bytes.fromhex("00000001"))[0]),
    "the largest of all": ("7F7FFFFF", "out_of_range"),
    "zero": ("00000000", 0.0),
    "minus zero": ("80000000", 0.0),
}


@pytest.mark.parametrize(("bits", "expected"), FLOATS.values(), ids=FLOATS)
def test_what_is_no_number_is_no_value_and_its_neighbour_is(bits: str, expected: Value) -> None:
    metrics = [
        Metric("W", 0, 2, DataType.FLOAT32, minimum=-1e9, maximum=1e9),
        Metric("V", 2, 2, DataType.FLOAT32),
    ]
    registers = words(0, bytes.fromhex(bits) + struct.pack(">f", 230.5))
    assert said(metrics, registers) == {"W": expected, "V": 230.5}


SENTINELS = {
    DataType.UINT16: 0xFFFF,
    DataType.INT16: 0x8000,
    DataType.UINT32: 0xFFFFFFFF,
    DataType.INT32: 0x80000000,
    DataType.UINT64: 0xFFFFFFFFFFFFFFFF,
    DataType.INT64: 0x8000000000000000,
}


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("data_type", SENTINELS)
def test_the_pattern_for_no_value_is_none_only_where_the_map_says_so(
    data_type: DataType, order: WordOrder
) -> None:
    size, raw = data_type.registers or 0, SENTINELS[data_type]
    data = raw.to_bytes(2 * size)
    if order == "little":
        data = b"".join(data[at : at + 2] for at in range(2 * size - 2, -1, -2))

    def metric(name: str, address: int, *invalid: int) -> Metric:
        return Metric(name, address, size, data_type, word_order=order, invalid=invalid)

    found = said(
        [metric("sentinel", 0, raw), metric("number", size)], words(0, data) | words(size, data)
    )
    signed = data_type.value.startswith("I")
    assert found == {"sentinel": "not_available", "number": raw - (1 << 16 * size) * signed}


@pytest.mark.parametrize("falls_to", [0, 5, 999_999])
def test_a_counter_that_falls_or_starts_anew_is_stored_as_the_meter_says_it(falls_to: int) -> None:
    """A momentary zero, a wrap at 10^6 or 2^32: what it means is not for the reader to guess."""
    metrics = [Metric("Wh", 0, 2, DataType.UINT32, kind="counter")]
    assert said(metrics, words(0, (0xFFFFFFFF).to_bytes(4))) == {"Wh": 0xFFFFFFFF}
    assert said(metrics, words(0, falls_to.to_bytes(4))) == {"Wh": falls_to}


@pytest.mark.parametrize(("size", "limit"), [(2, 2), (2, 3), (2, 5), (4, 4), (4, 5), (4, 125)])
def test_a_value_of_several_registers_is_of_one_instant_however_short_the_reads_are(
    size: int, limit: int
) -> None:
    """The counter rolls over with every read: two reads would give a number that never was."""
    top = (1 << 16 * (size - 1)) - 1
    reads = 0

    def answer(_unit: int, _code: int, address: int, count: int) -> bytes:
        nonlocal reads
        reads += 1
        counter = (top + reads % 2).to_bytes(2 * size)
        cells = b"\0\1" * 3 + counter + b"\0\1" * 3
        return cells[2 * address : 2 * (address + count)]

    metrics = (
        *(Metric(f"a{at}", at, 1, DataType.UINT16) for at in range(3)),
        Metric("Wh", 3, size, DataType.UINT32 if size == 2 else DataType.UINT64),
        *(Metric(f"b{at}", 3 + size + at, 1, DataType.UINT16) for at in range(3)),
    )

    async def check() -> None:
        server = await serve(answer, "127.0.0.1", 0)
        for _ in range(4):
            found = await read(server, RegisterMap("test", metrics, max_registers=limit))
            assert found["Wh"] in {top, top + 1}
        server.close()
        await server.wait_closed()

    run(check())


def test_words_in_another_order_after_an_update_are_out_of_range_and_nothing_is_mended() -> None:
    metrics = [
        Metric("V", 0, 2, DataType.FLOAT32, minimum=0, maximum=1000),
        Metric("Hz", 2, 2, DataType.UINT32, scale=0.01, minimum=40, maximum=70),
    ]
    before = struct.pack(">fI", 230.5, 5001)
    assert said(metrics, words(0, before)) == {"V": 230.5, "Hz": pytest.approx(50.01)}
    after = b"".join(before[at : at + 2] for at in (2, 0, 6, 4))
    assert said(metrics, words(0, after)) == {"V": "out_of_range", "Hz": "out_of_range"}


MAPPED = (0, 1, 2, 10, 11, 40)
BOOK = RegisterMap("test", tuple(Metric(f"m{a}", a, 1, DataType.UINT16) for a in MAPPED))


def long_reads(most: int) -> Callable[[int, int], int]:
    return lambda _address, count: 3 if count > most else 0


def holes(address: int, count: int) -> int:
    return 0 if set(range(address, address + count)) <= set(MAPPED) else 2


def unmapped_starts(address: int, _count: int) -> int:
    return 0 if address in MAPPED else 2


REFUSALS: dict[str, Callable[[int, int], int]] = {
    "more than 1 register": long_reads(1),
    "more than 4 registers": long_reads(4),
    "more than 16 registers": long_reads(16),
    "a read across a hole": holes,
    "a read that starts on an unmapped register": unmapped_starts,
}
"""(address, count) → the exception code, 0: answered."""


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_meter_that_refuses_some_reads_gives_all_its_values_before_long(
    refusal: Callable[[int, int], int],
) -> None:
    """Its map allows one read for everything; what it takes is learned, and kept to."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            code = refusal(int.from_bytes(request[8:10]), int.from_bytes(request[10:12]))
            refused = framed(request[:2], bytes([request[6], 0x83, code]))
            await connection.send(refused if code else misbehaving.right(request))

    async def check() -> None:
        wanted = frozenset(metric.name for metric in BOOK.metrics)
        right = {f"m{a}": int.from_bytes(misbehaving.data(1, a, 1)) for a in MAPPED}
        async with meter(script) as peer:
            with links() as opened:
                link = opened.link(peer.host, peer.port, LinkSettings())
                settings = MeterSettings(retries=0, max_gap=60)
                subject = Meter("site/meter", BOOK, link, settings, clock=WallClock())
                for _ in range(8):
                    reading = await subject.read(wanted)
                    for name, value in zip(reading.metrics, reading.values, strict=True):
                        assert value in (right[name], None)
                asked = len(peer.requests)
                reading = await subject.read(wanted)
                assert dict(zip(reading.metrics, reading.values, strict=True)) == right
                again = peer.requests[asked:]
                refused = [
                    r for r in again if refusal(int.from_bytes(r[8:10]), int.from_bytes(r[10:12]))
                ]
                assert refused == []

    run(check())


def test_a_meter_that_fills_longer_reads_with_zeros_is_read_right_with_its_limit() -> None:
    """Nothing in its answer tells; the limit has to come from the map or the settings."""
    right = {address: 1000 + address for address in range(20)}

    def answer(_unit: int, _code: int, address: int, count: int) -> bytes:
        cells = (right[at] if at < address + 8 else 0 for at in range(address, address + count))
        return b"".join(cell.to_bytes(2) for cell in cells)

    async def check() -> None:
        server = await serve(answer, "127.0.0.1", 0)
        metrics = tuple(Metric(f"m{at}", at, 1, DataType.UINT16) for at in right)
        found = await read(server, RegisterMap("test", metrics, max_registers=8))
        assert found == {f"m{at}": value for at, value in right.items()}
        server.close()
        await server.wait_closed()

    run(check())


@pytest.mark.parametrize("setting", ["connect_delay_s", "request_delay_s"])
def test_a_meter_that_needs_a_pause_is_read_when_its_setting_says_so(setting: str) -> None:
    """What comes too early it drops: within half a second after connecting, or after an answer."""

    async def script(connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        ready_at = loop.time() + (0.5 if setting == "connect_delay_s" else 0)
        while True:
            request = await connection.request()
            if loop.time() < ready_at:
                continue
            await connection.send(misbehaving.right(request))
            ready_at = loop.time() + (0.5 if setting == "request_delay_s" else 0)

    async def gaps(delay_s: float) -> set[str]:
        async with meter(script) as peer:
            with links() as opened:
                settings = LinkSettings(**{setting: delay_s})  # type: ignore[arg-type]
                link = opened.link(peer.host, peer.port, settings)
                own = MeterSettings(retries=0, timeout_s=1)
                subject = Meter("site/meter", BOOK, link, own, clock=WallClock())
                found = set[str]()
                for _ in range(2):
                    reading = await subject.read(frozenset(m.name for m in BOOK.metrics))
                    found |= set(reading.gaps.values())
                return found

    assert run(gaps(0.6)) == set()
    assert "read_timeout" in run(gaps(0.0))
