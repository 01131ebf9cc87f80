"""Finding a device's chain of models, wherever it begins and however it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdc.errors import MeterError
from emdc.meters.discovery import BASES, MOST_BLOCKS, NEIGHBOURS, discover, reader
from emdc.meters.sunspec import Block, Layout
from emdc.modbus import Link, LinkSettings
from tests import misbehaving, sunspec_device
from tests.modbus.asking import links
from tests.sunspec_device import MARKER, Device, blank, common, device, meter203

PATIENT = LinkSettings(backoff_s=0.01, backoff_max_s=0.01)


def found(subject: Device, unit: int = 1) -> Layout:
    """What the device is found to be, over a real connection."""

    async def discovered() -> Layout:
        async with sunspec_device.serving(subject) as server:
            with link_to(server.port) as link:
                return await discover(reader(link, unit, 3))

    return asyncio.run(discovered())


def refused(subject: Device, unit: int = 1) -> MeterError:
    with pytest.raises(MeterError) as problem:
        found(subject, unit)
    return problem.value


@contextmanager
def link_to(port: int) -> Iterator[Link]:
    with links() as opened:
        yield opened.link("127.0.0.1", port, PATIENT)


@pytest.mark.parametrize("base", [*BASES, *NEIGHBOURS])
def test_the_chain_is_found_at_each_base_and_one_register_beside(base: int) -> None:
    subject = device(common(), meter203(), base=base)
    assert found(subject) == Layout(base, (Block(1, base + 2, 66), Block(203, base + 2 + 68, 105)))


def test_the_usual_base_takes_one_read_and_one_for_each_header() -> None:
    subject = device(common(), meter203())
    found(subject)
    assert subject.asked == [(40000, 2), (40002, 2), (40070, 2), (40177, 2)]


def test_the_other_bases_are_tried_in_the_order_that_sunspec_gives() -> None:
    subject = device(common(), meter203(), base=50000)
    found(subject)
    assert [address for address, _ in subject.asked[:3]] == [40000, 0, 50000]


@pytest.mark.parametrize("length", [65, 66])
def test_model_1_may_have_its_pad_or_not(length: int) -> None:
    layout = found(device(common(length), meter203()))
    assert layout.blocks[1].address == 40002 + 2 + length


def test_models_have_the_length_that_the_device_says() -> None:
    short, long = blank(203, 40), blank(103, 90)
    layout = found(device(common(), short, long))
    assert [block.length for block in layout.blocks] == [66, 40, 90]


def test_all_models_are_kept_also_those_that_are_not_read() -> None:
    vendor = sunspec_device.Block(64111, [7] * 9)
    layout = found(device(common(), vendor, meter203(), meter203()))
    assert [block.model for block in layout.blocks] == [1, 64111, 203, 203]


def test_a_chain_may_stop_where_the_registers_do() -> None:
    subject = Device().lay_out([common(), meter203()], end=())
    assert [block.model for block in found(subject).blocks] == [1, 203]


def test_an_end_without_a_length_is_no_end_that_can_be_read_and_ends_all_the_same() -> None:
    subject = Device().lay_out([common(), meter203()], end=(0xFFFF,))
    assert [block.model for block in found(subject).blocks] == [1, 203]


def test_a_chain_that_never_ends_is_given_up() -> None:
    zeros = sunspec_device.Block(103, [])
    problem = refused(Device().lay_out([zeros] * (MOST_BLOCKS + 5)))
    assert problem.reason == "not_discovered"
    assert f"more than {MOST_BLOCKS} models" in str(problem)


def test_registers_that_all_hold_zero_are_no_chain() -> None:
    subject = Device(dict.fromkeys(range(65536), 0))
    assert refused(subject).reason == "not_discovered"


def test_a_block_beyond_the_last_address_is_none() -> None:
    problem = refused(Device().lay_out([common(), sunspec_device.Block(203, [0], 30000)]))
    assert problem.reason == "not_discovered"
    assert "expected them to end by 65535" in str(problem)


def test_a_device_without_the_marker_is_none_and_it_is_said_where_it_was_looked_for() -> None:
    problem = refused(Device(dict.fromkeys(range(100), 1)))
    assert problem.reason == "not_discovered"
    assert "40000, 0, 50000" in str(problem)


def test_a_device_without_a_model_that_is_read_is_told_with_those_that_it_has() -> None:
    problem = refused(device(common(), sunspec_device.Block(64111, [7] * 9)))
    assert problem.reason == "not_discovered"
    assert "models 1, 64111" in str(problem)


def test_a_gateway_without_that_unit_is_the_reason_itself() -> None:
    subject = device(common(), meter203())
    subject.unit = 5
    assert refused(subject, 1).reason == "exception:11"
    assert found(subject, 5).base == 40000


def test_a_port_that_nobody_listens_on_is_the_reason_itself() -> None:
    async def discovered() -> None:
        async with misbehaving.meter(misbehaving.good) as peer:
            port = peer.port
        with link_to(port) as link:
            await discover(reader(link, 1, 1))

    with pytest.raises(MeterError) as problem:
        asyncio.run(discovered())
    assert problem.value.reason == "connect_refused"


def silent_below(first: int, subject: Device) -> misbehaving.Script:
    """A meter that says nothing where it has no register."""

    async def play(connection: misbehaving.Connection) -> None:
        while True:
            request = await connection.request()
            address, count = int.from_bytes(request[8:10]), int.from_bytes(request[10:12])
            data = subject.answer(1, 3, address, count) if address >= first else 2
            if isinstance(data, int):
                await connection.silent()
                return
            body = request[6:8] + bytes([len(data)]) + data
            await connection.send(misbehaving.framed(request[:2], body))

    return play


async def asked(script: misbehaving.Script) -> tuple[Layout | str, int]:
    """The layout or the reason, and how many requests it took."""
    async with misbehaving.meter(script) as peer:
        with link_to(peer.port) as link:
            try:
                return await discover(reader(link, 1, 0.2)), len(peer.requests)
            except MeterError as error:
                return error.reason, len(peer.requests)


def test_a_device_that_is_silent_where_it_has_nothing_is_asked_at_the_next_base() -> None:
    subject = device(common(), meter203(), base=50000)
    layout, requests = asyncio.run(asked(silent_below(50000, subject)))
    assert isinstance(layout, Layout)
    assert (layout.base, requests) == (50000, 6)


def test_a_device_that_is_silent_everywhere_is_away_and_not_asked_beside_the_bases() -> None:
    reason, requests = asyncio.run(asked(silent_below(65536, Device())))
    assert (reason, requests) == ("read_timeout", len(BASES))


def answering(registers: Callable[[int], bytes]) -> Callable[[int], Awaitable[bytes]]:
    async def read(address: int) -> bytes:
        return registers(address)

    return read


@settings(deadline=None, max_examples=200)
@given(st.binary(min_size=4, max_size=400))
def test_whatever_follows_the_marker_the_walk_ends_within_the_addresses(noise: bytes) -> None:
    def registers(address: int) -> bytes:
        if address == 40000:
            return b"".join(word.to_bytes(2) for word in MARKER)
        at = 2 * (address - 40002) % (len(noise) - 3)
        return noise[at : at + 4]

    async def walked() -> Layout | str:
        try:
            return await discover(answering(registers))
        except MeterError as error:
            return error.reason

    layout = asyncio.run(walked())
    if isinstance(layout, str):
        assert layout == "not_discovered"
    else:
        assert len(layout.blocks) <= MOST_BLOCKS
        assert layout.is_sound
