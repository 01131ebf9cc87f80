"""What one connection makes of everything a meter can do."""

import asyncio
import tracemalloc

import pytest

from emdc.errors import ExceptionResponseError
from emdc.modbus import LinkSettings
from emdc.modbus.tcp import STEP
from tests import misbehaving
from tests.misbehaving import Connection, framed, good, meter
from tests.modbus.asking import TIMEOUT_S, ask, link_to, read, reasons, right
from tests.modbus.twists import BESIDE, WRONG, Twist, moved
from tests.virtual_time import run


@pytest.mark.parametrize(("twist", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_named_and_the_next_reading_is_right(twist: Twist, reason: str) -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.send(twist(await connection.request()))
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert reasons(await ask(link, read())) == [reason]
                assert await ask(link, read(20)) == [right(read(20))]
                assert (subject.connections, subject.open) == (2, 1)

    run(check())


@pytest.mark.parametrize("code", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 0xEE])
def test_an_exception_answer_is_an_answer_and_the_next_request_is_sent(code: int) -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        await connection.send(framed(request[:2], bytes([1, 0x83, code])))
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                refused, answered = await ask(link, read(), read(20))
                assert isinstance(refused, ExceptionResponseError)
                assert refused.code == code
                assert answered == right(read(20))
                assert subject.connections == 1

    run(check())


@pytest.mark.parametrize("exception", [False, True])
def test_an_answer_may_be_split_at_every_byte(
    exception: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(connection: Connection) -> None:
        for at in range(9 if exception else 13):
            request = await connection.request()
            frame = framed(request[:2], b"\1\x83\2") if exception else misbehaving.right(request)
            await connection.send(frame[:at])
            await asyncio.sleep(0.01)
            await connection.send(frame[at:])

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                for _ in range(9 if exception else 13):
                    (answer,) = await ask(link, read())
                    assert (getattr(answer, "code", None) if exception else answer) == (
                        2 if exception else right(read())
                    )
                assert subject.connections == 1

    run(check())
    assert caplog.records == []


def test_an_answer_that_comes_byte_by_byte_is_taken() -> None:
    async def script(connection: Connection) -> None:
        for byte in misbehaving.right(await connection.request()):
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.01)
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert await ask(link, read(), read(20)) == [right(read()), right(read(20))]
                assert subject.connections == 1

    run(check())


def test_the_deadline_covers_the_whole_answer_however_it_drips() -> None:
    async def script(connection: Connection) -> None:
        frame = misbehaving.right(await connection.request())
        for byte in frame if connection.number == 1 else b"":
            await connection.send(bytes([byte]))
            await asyncio.sleep(TIMEOUT_S / 4)
        await connection.send(frame)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                began = asyncio.get_running_loop().time()
                assert reasons(await ask(link, read())) == ["read_timeout"]
                assert asyncio.get_running_loop().time() - began < 1.5 * TIMEOUT_S
                assert await ask(link, read()) == [right(read())]

    run(check())


BESIDE_ONE: dict[str, Twist] = {
    **BESIDE,
    "before one under the id that comes next": lambda r: misbehaving.right(r) + moved(STEP)(r),
}


@pytest.mark.parametrize("twist", BESIDE_ONE.values(), ids=BESIDE_ONE)
def test_the_right_answer_is_found_among_others_in_one_segment(twist: Twist) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.send(twist(await connection.request()))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                wanted = [read(10), read(20), read(30)]
                assert await ask(link, *wanted) == [right(request) for request in wanted]

    run(check())


def test_a_late_answer_is_never_the_next_requests_value() -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        await asyncio.sleep(1.1 * TIMEOUT_S if connection.number == 1 else 0)
        await connection.send(misbehaving.right(request))
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert reasons(await ask(link, read(), read(20))) == ["read_timeout"] * 2
                assert await ask(link, read(30), read(40)) == [right(read(30)), right(read(40))]

    run(check())


def test_an_answer_just_before_the_deadline_counts() -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        await asyncio.sleep(0.9 * TIMEOUT_S)
        await connection.send(misbehaving.right(request))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert await ask(link, read()) == [right(read())]

    run(check())


def test_bytes_before_an_answer_are_never_skipped() -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        await connection.send(b"\0\0\0")
        await asyncio.sleep(0.1)
        await connection.send(misbehaving.right(request))
        await connection.silent()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert reasons(await ask(link, read())) == ["protocol_error:pid"]

    run(check())


@pytest.mark.parametrize("ends", [True, False])
def test_a_strange_answer_is_not_held_against_a_later_request(ends: bool) -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            request = await connection.request()
            await connection.send(moved(300)(request))
            await asyncio.sleep(0.1)
            if ends:
                return
            await connection.send(misbehaving.right(request))
        await connection.silent()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                answers = await ask(link, read(), read())
                assert reasons(answers)[1] == "read_timeout"

    run(check())


def test_a_second_copy_in_the_pause_before_the_next_request_is_not_its_answer() -> None:
    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            await connection.send(misbehaving.right(request))
            await asyncio.sleep(0.1)
            await connection.send(misbehaving.right(request))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(request_delay_s=0.5)) as link:
                wanted = [read(10), read(20), read(30)]
                assert await ask(link, *wanted) == [right(request) for request in wanted]
                assert subject.connections == 1

    run(check())


def test_an_answer_that_began_before_its_request_is_none() -> None:
    """Half of it comes with the answer before; that it has the right transaction id is chance."""

    async def script(connection: Connection) -> None:
        request = await connection.request()
        early = moved(STEP)(request)
        await connection.send(misbehaving.right(request) + early[:8])
        await connection.request()
        await connection.send(early[8:])
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                answers = await ask(link, read(10), read(20))
                assert answers[0] == right(read(10))
                assert reasons(answers)[1] == "protocol_error:tid"
                assert await ask(link, read(20)) != [right(read(10))]

    run(check())


ODD_IDS: dict[str, Twist] = {
    "always 0": lambda r: bytes(2) + misbehaving.right(r)[2:],
    "of swapped bytes": lambda r: r[1::-1] + misbehaving.right(r)[2:],
    "one too high": moved(1),
    "the right one": misbehaving.right,
}


@pytest.mark.parametrize("twist", ODD_IDS.values(), ids=ODD_IDS)
def test_a_meter_with_broken_transaction_ids_can_be_read_when_that_is_asked_for(
    twist: Twist,
) -> None:
    async def script(connection: Connection) -> None:
        while True:
            answer = twist(await connection.request())
            for piece in (answer[:1], answer[1:]):
                await connection.send(piece)
                await asyncio.sleep(0.01)

    async def check() -> None:
        async with meter(script) as subject:
            settings = LinkSettings(ignore_transaction_id=True, pipeline=4)
            with link_to(subject, settings) as link:
                wanted = [read(10), read(20), read(30)]
                for _ in range(2):
                    assert await ask(link, *wanted) == [right(request) for request in wanted]
                assert (subject.connections, link.pipeline) == (1, 1)

    run(check())


@pytest.mark.parametrize("wrong", ["unit 2", "function code 4", "one register instead of two"])
def test_without_transaction_ids_everything_else_of_an_answer_is_compared(wrong: str) -> None:
    twist, reason = WRONG[wrong]

    async def script(connection: Connection) -> None:
        await connection.send(bytes(2) + twist(await connection.request())[2:])
        await connection.silent()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(ignore_transaction_id=True)) as link:
                assert reasons(await ask(link, read())) == [reason]

    run(check())


def test_without_transaction_ids_a_late_answer_is_never_the_next_requests_value() -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        await asyncio.sleep(1.1 * TIMEOUT_S if connection.number == 1 else 0)
        await connection.send(bytes(2) + misbehaving.right(request)[2:])
        if connection.number == 2:
            await asyncio.sleep(0.05)
            await connection.send(bytes(2) + misbehaving.right(request)[2:])
        while True:
            await connection.send(bytes(2) + misbehaving.right(await connection.request())[2:])

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(ignore_transaction_id=True)) as link:
                assert reasons(await ask(link, read(10), read(20))) == ["read_timeout"] * 2
                assert await ask(link, read(30)) == [right(read(30))]
                await asyncio.sleep(0.1)  # its second copy comes meanwhile, and ends the connection
                assert await ask(link, read(40)) == [right(read(40))]
                assert subject.connections == 3

    run(check())


def test_a_frame_that_nobody_asked_for_ends_the_connection() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.send(bytes.fromhex("1234 0000 0007 01 03 04 0001 0002"))
            await connection.silent()
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(connect_delay_s=1)) as link:
                assert await ask(link, read()) == [right(read())]
                assert subject.connections == 2

    run(check())


def test_endless_garbage_ends_the_connection_and_fills_no_memory() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            while True:
                await connection.send(b"\xff" * 65536)
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert reasons(await ask(link, read())) == ["protocol_error:pid"]
                assert await ask(link, read()) == [right(read())]

    run(check())


def test_an_endless_stream_at_full_speed_leaves_time_and_memory_for_the_others() -> None:
    async def floods(connection: Connection) -> None:
        await connection.request()
        while True:
            await connection.send(bytes.fromhex("0000 0000 0007 01 03 04 0001 0002") * 5000)

    async def check() -> None:
        async with meter(floods) as bad, meter(good) as beside:
            with link_to(bad) as flooded, link_to(beside) as neighbour:
                asked = asyncio.ensure_future(ask(flooded, read()))
                answered = 0
                while not asked.done():
                    assert await ask(neighbour, read(), timeout_s=30) == [right(read())]
                    answered += 1
                assert reasons(await asked) == ["protocol_error:tid"]
                assert answered > 5

    tracemalloc.start()
    try:
        asyncio.run(check())
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_an_endless_stream_of_strange_answers_ends_at_the_deadline() -> None:
    async def script(connection: Connection) -> None:
        strange = bytes.fromhex("0000 0000 0007 01 03 04 0001 0002") * 50
        await connection.request()
        while True:
            await connection.send(strange)
            await asyncio.sleep(0.01)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert reasons(await ask(link, read())) == ["protocol_error:tid"]

    run(check())


def test_a_good_meter_keeps_one_connection_for_all_requests() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as link:
                for address in range(300):
                    assert await ask(link, read(address)) == [right(read(address))]
                assert (subject.connections, link.connects, link.backoffs.failures()) == (1, 1, 0)
                ids = [request[:2] for request in subject.requests]
                assert len(set(ids)) == 300

    run(check())
