"""RTU frames over TCP: what one line makes of everything that its units can do."""

import asyncio
from contextlib import suppress
from itertools import pairwise

import pytest

from emdc.modbus import LinkSettings
from emdc.modbus.rtu import framed
from emdc.modbus.rtu_server import answer_rtu_stream
from emdc.modbus.server import serve
from tests import misbehaving
from tests.misbehaving import Connection, meter
from tests.modbus.asking import TIMEOUT_S, ask, link_to, links, read, reasons, right
from tests.modbus.rtu_frames import RTU, WRONG, Twist, answer_all, asked, right_frame
from tests.virtual_time import run


@pytest.mark.parametrize(("twist", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_named_and_a_later_reading_is_right(twist: Twist, reason: str) -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.send(twist(await asked(connection)))
            await connection.silent()
        await answer_all(connection)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                assert reasons(await ask(link, read(), read(20))) == [reason] * 2
                assert await ask(link, read(20, unit=5)) == [right(read(20, unit=5))]
                assert reasons(await ask(link, read())) == ["backoff_skipped"]
                await asyncio.sleep(TIMEOUT_S)
                assert await ask(link, read(20)) == [right(read(20))]
                assert (subject.connections, subject.open) == (2, 1)

    run(check())


@pytest.mark.parametrize("code", [1, 2, 4, 6, 0xEE])
def test_an_exception_answer_is_an_answer_and_the_next_request_is_sent(code: int) -> None:
    async def script(connection: Connection) -> None:
        await asked(connection)
        await connection.send(framed(bytes([1, 0x83, code])))
        await answer_all(connection)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                assert reasons(await ask(link, read(), read(20))) == [f"exception:{code}", "right"]
                assert subject.connections == 1

    run(check())


@pytest.mark.parametrize("exception", [False, True])
def test_an_answer_may_be_split_at_every_byte_or_come_byte_by_byte(exception: bool) -> None:
    def frame_of(request: bytes) -> bytes:
        return framed(b"\1\x83\2") if exception else right_frame(request)

    async def script(connection: Connection) -> None:
        for at in range(1, 9 if not exception else 5):
            frame = frame_of(await asked(connection))
            await connection.send(frame[:at])
            await asyncio.sleep(0.01)
            await connection.send(frame[at:])
        for byte in frame_of(await asked(connection)):
            await connection.send(bytes([byte]))
            await asyncio.sleep(0.01)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                for _ in range(9 if not exception else 5):
                    (answer,) = await ask(link, read())
                    assert getattr(answer, "code", answer) == (2 if exception else right(read()))
                assert subject.connections == 1

    run(check())


@pytest.mark.parametrize(
    "around",
    [
        lambda r: right_frame(r) * 2,
        lambda r: right_frame(r) + b"\0",
        lambda r: framed(b"\2\3\4abcd") + right_frame(r),
        lambda r: framed(b"\2\x83\2") + right_frame(r) + framed(b"\1\3\4abcd"),
    ],
    ids=["twice", "before a stray byte", "after another unit's", "between two others"],
)
def test_the_right_answer_is_found_beside_what_nobody_asked_for(around: Twist) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.send(around(await asked(connection)))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                wanted = [read(10), read(20), read(30)]
                assert await ask(link, *wanted) == [right(request) for request in wanted]
                assert subject.connections == 1

    run(check())


@pytest.mark.parametrize("late_s", [1.1, 1.5, 1.9])
@pytest.mark.parametrize("transparent", [False, True])
def test_a_late_answer_is_never_the_next_requests_value(late_s: float, transparent: bool) -> None:
    """A transparent gateway sends what comes late into whatever connection there is."""
    newest: Connection | None = None

    async def script(connection: Connection) -> None:
        nonlocal newest
        newest = connection
        while True:
            request = await asked(connection)
            if request[0] == 1 and connection.number == 1:
                asyncio.get_running_loop().call_later(late_s, later, connection, request)
            else:
                await asyncio.sleep(0.3)
                await connection.send(right_frame(request))

    def later(connection: Connection, request: bytes) -> None:
        tasks.append(asyncio.ensure_future(send(connection, right_frame(request))))

    async def send(connection: Connection, frame: bytes) -> None:
        assert newest is not None
        with suppress(ConnectionError):
            await (newest if transparent else connection).send(frame)

    tasks: list[asyncio.Future[None]] = []

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                assert reasons(await ask(link, read(10))) == ["read_timeout"]
                for number in range(40):
                    request = read(20 + 2 * number, unit=1 + number % 2)
                    (answer,) = await ask(link, request)
                    assert answer == right(request) or reasons([answer]) == ["backoff_skipped"]
                    await asyncio.sleep(0.05)
                assert answer == right(request)

    run(check())


def test_a_lost_request_is_not_sent_again_at_once() -> None:
    """It may have reached the line: of two answers the second would be the next request's."""

    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await asked(connection)
            return
        await answer_all(connection)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                assert reasons(await ask(link, read())) == ["connection_reset"]
                await asyncio.sleep(TIMEOUT_S)
                assert await ask(link, read()) == [right(read())]
                assert len(subject.requests) == 2

    run(check())


def test_a_gateway_that_closes_after_each_answer_leaves_no_gap() -> None:
    async def script(connection: Connection) -> None:
        await connection.send(right_frame(await asked(connection)))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                wanted = [read(10), read(20), read(30)]
                assert await ask(link, *wanted) == [right(request) for request in wanted]
                await asyncio.sleep(6)
                assert await ask(link, *wanted) == [right(request) for request in wanted]

    run(check())


def test_endless_garbage_ends_the_connection_and_a_later_one_reads() -> None:
    async def script(connection: Connection) -> None:
        while connection.number < 3:
            await connection.send(b"\xff" * 4096)
        await answer_all(connection)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, RTU) as link:
                while reasons(answers := await ask(link, read())) != ["right"]:
                    await asyncio.sleep(0.5)
                assert answers == [right(read())]

    run(check())


def test_the_pause_between_requests_follows_each_answer() -> None:
    times: list[float] = []

    async def script(connection: Connection) -> None:
        while True:
            request = await asked(connection)
            times.append(asyncio.get_running_loop().time())
            await connection.send(right_frame(request))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(rtu=True, request_delay_s=0.5)) as link:
                await asyncio.gather(ask(link, read(), read(20)), ask(link, read(30)))

    run(check())
    assert all(b - a >= 0.499 for a, b in pairwise(times))


def gateway(dead: set[int], time_outs: list[float]) -> misbehaving.Script:
    """Says nothing for the dead units and notes when they were asked."""

    async def script(connection: Connection) -> None:
        while True:
            request = await asked(connection)
            if request[0] in dead:
                time_outs.append(asyncio.get_running_loop().time())
            else:
                await connection.send(right_frame(request))

    return script


def test_a_dead_unit_costs_its_neighbours_one_time_out_in_each_pause_and_no_value() -> None:
    async def check() -> None:
        dead, time_outs = {3}, list[float]()
        async with meter(gateway(dead, time_outs)) as subject:
            with link_to(subject, LinkSettings(rtu=True, backoff_max_s=8)) as link:
                for _ in range(30):
                    answered = await asyncio.gather(
                        *(ask(link, read(unit=unit), read(20, unit=unit)) for unit in (3, 3, 1, 2))
                    )
                    assert [reasons(a) for a in answered[2:]] == [["right"] * 2] * 2
                    assert set(reasons(answered[0])) <= {"read_timeout", "backoff_skipped"}
                    await asyncio.sleep(1)
                pauses = [round(b - a, 1) for a, b in pairwise(time_outs)]
                assert 4 < len(time_outs) < 10
                assert pauses[0] >= 2 * TIMEOUT_S
                assert pauses[2:] == sorted(pauses[2:])
                dead.clear()
                await asyncio.sleep(8)
                assert await ask(link, read(unit=3)) == [right(read(unit=3))]

    run(check())


def test_our_own_server_is_read_over_rtu() -> None:
    def registers(unit: int, code: int, address: int, count: int) -> bytes | int:
        return 2 if address == 99 else misbehaving.data(unit, address, count)

    async def check() -> None:
        server = await serve(registers, "127.0.0.1", 0, stream=answer_rtu_stream)
        with links() as opened:
            link = opened.link("127.0.0.1", server.port, RTU)
            wanted = [read(0, 125), read(10, 1), read(99, 1), read(7, 125, unit=247)]
            answers = await ask(link, *wanted)
            assert reasons(answers) == ["right", "right", "exception:2", "right"]
            assert [answers[0], answers[3]] == [right(wanted[0]), right(wanted[3])]
        server.close()
        await server.wait_closed()

    asyncio.run(check())
