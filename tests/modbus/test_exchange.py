"""How exchanges share a link: order, pauses, lost connections, and callers that ask from `done`."""

import asyncio
import logging
from collections.abc import Sequence
from itertools import pairwise

import pytest

from emdc.errors import LinkError
from emdc.modbus import Link, LinkSettings
from emdc.modbus.exchange import Answer, Exchange
from tests import misbehaving
from tests.misbehaving import Connection, good, meter
from tests.modbus.asking import TIMEOUT_S, ask, link_to, read, reasons, right
from tests.virtual_time import run


async def closes_after_each_answer(connection: Connection) -> None:
    await connection.answer()


async def closes_when_idle(connection: Connection) -> None:
    for _ in range(3):
        await connection.answer()
    await asyncio.sleep(5)


async def resets_when_idle(connection: Connection) -> None:
    await closes_when_idle(connection)
    connection.reset()


def test_failing_gives_the_error_to_all_that_have_no_answer_yet() -> None:
    ended: list[Exchange] = []
    exchange = Exchange([read(), read(20), read(30)], 1, ended.append)
    exchange.answers.append(b"data")
    error = LinkError("read_timeout")
    exchange.fail(error)
    assert (exchange.answers, exchange.failed, ended) == ([b"data", error, error], True, [exchange])


def test_a_caller_that_fails_is_logged_and_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Exchange) -> None:
        raise RuntimeError("a caller's own fault")

    async def check() -> None:
        async with meter(Connection.silent) as subject:
            with link_to(subject) as link:
                link.exchange(Exchange([read()], TIMEOUT_S, broken))
                link.exchange(Exchange([read(unit=2)], TIMEOUT_S, broken))
                assert reasons(await ask(link, read(unit=3))) == ["read_timeout"]
                subject.script = good
                link.exchange(Exchange([read(unit=4)], TIMEOUT_S, broken))
                assert await ask(link, read(unit=5)) == [right(read(unit=5))]

    with caplog.at_level(logging.ERROR):
        run(check())
    assert len([r for r in caplog.records if "a caller's own fault" in (r.exc_text or "")]) == 3


def test_requests_leave_in_the_order_in_which_they_were_asked() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as link:
                await asyncio.gather(
                    ask(link, read(1), read(2)), ask(link, read(3)), ask(link, read(4), read(5))
                )
                assert [request[9] for request in subject.requests] == [1, 2, 3, 4, 5]

    run(check())


@pytest.mark.parametrize("failure", ["none", "mute", "refused", "backing off", "closed"])
def test_done_may_ask_again_at_once_whatever_happened(failure: str) -> None:
    """Many times, each from the `done` of the one before, beside a second caller."""

    async def check() -> None:
        async with meter(good if failure == "none" else Connection.silent) as subject:
            with link_to(subject) as link:
                if failure == "refused":
                    link.dial.port = 1
                elif failure == "backing off":
                    await ask(link, read())
                    await ask(link, read())
                elif failure == "closed":
                    link.close()
                # As often as no stack is deep, where it costs no time.
                times = 1100 if failure in {"backing off", "closed"} else 20
                first, second = await asyncio.gather(
                    ask_from_done(link, times), ask_from_done(link, times)
                )
                assert len(first) == len(second) == times
                assert subject.most_open <= 1

    run(check())


async def ask_from_done(link: Link, times: int) -> Sequence[Answer]:
    finished: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
    answers: list[Answer] = []

    def done(exchange: Exchange) -> None:
        answers.extend(exchange.answers)
        if len(answers) == times:
            finished.set_result(answers)
        else:
            link.exchange(Exchange([read(len(answers))], TIMEOUT_S, done))

    link.exchange(Exchange([read(0)], TIMEOUT_S, done))
    return await finished


def test_done_may_close_the_link() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as link:
                link.exchange(Exchange([read()], TIMEOUT_S, lambda _: link.close()))
                assert reasons(await ask(link, read(20))) == ["daemon_stopped"]
                assert reasons(await ask(link, read(30))) == ["daemon_stopped"]
                assert subject.connections == 1

    run(check())


@pytest.mark.parametrize("script", [Connection.silent, good])
def test_closing_ends_what_is_under_way_and_what_is_queued(script: misbehaving.Script) -> None:
    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(connect_delay_s=5)) as link:
                asked = [asyncio.ensure_future(ask(link, read(), read(20))) for _ in range(3)]
                await asyncio.sleep(5.5 if script is Connection.silent else 1)
                link.close()
                answers = await asyncio.gather(*asked)
                assert [reasons(a) for a in answers] == [["daemon_stopped"] * 2] * 3
                await asyncio.sleep(1)
                assert (subject.open, subject.connections) == (0, 1)

    run(check())


def test_closing_while_connecting_opens_nothing_later() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as link:
                asked = asyncio.ensure_future(ask(link, read()))
                await asyncio.sleep(0)
                link.close()
                assert reasons(await asked) == ["daemon_stopped"]
                await asyncio.sleep(10)
                assert (link.connects, subject.open) == (0, 0)

    run(check())


@pytest.mark.parametrize(
    "script", [closes_after_each_answer, closes_when_idle, resets_when_idle, good]
)
def test_a_meter_that_closes_connections_leaves_no_gap(script: misbehaving.Script) -> None:
    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                for start in range(0, 30, 10):
                    wanted = [read(start), read(start + 1), read(start + 2)]
                    assert await ask(link, *wanted) == [right(request) for request in wanted]
                    await asyncio.sleep(6)
                assert subject.most_open == 1

    run(check())


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("after_request", [False, True])
@pytest.mark.parametrize("delay_s", [0.0, 1.0])
def test_a_lost_connection_is_tried_once_more_and_not_again(
    reset: bool, after_request: bool, delay_s: float
) -> None:
    async def drops(connection: Connection) -> None:
        if after_request:
            await connection.request()
        if reset:
            connection.reset()

    async def check() -> None:
        async with meter(drops) as subject:
            with link_to(subject, LinkSettings(connect_delay_s=delay_s)) as link:
                assert reasons(await ask(link, read(), read(20))) == ["connection_reset"] * 2
                assert subject.connections == 2
                assert reasons(await ask(link, read())) == ["connection_reset"]
                assert subject.connections == 3
                await asyncio.sleep(1)
                subject.script = good
                assert await ask(link, read()) == [right(read())]

    run(check())


def test_the_pause_after_connecting_comes_before_the_first_request() -> None:
    events: list[tuple[str, float]] = []

    async def script(connection: Connection) -> None:
        now = asyncio.get_running_loop().time
        events.append(("connected", now()))
        request = await connection.request()
        events.append(("asked", now()))
        await connection.send(misbehaving.right(request))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(connect_delay_s=2)) as link:
                assert await ask(link, read()) == [right(read())]

    run(check())
    (connected, asked) = events
    assert asked[1] - connected[1] == pytest.approx(2, abs=0.1)


def test_the_pause_between_requests_follows_each_answer() -> None:
    times: list[float] = []

    async def script(connection: Connection) -> None:
        while True:
            await connection.answer()
            times.append(asyncio.get_running_loop().time())

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(request_delay_s=0.5)) as link:
                await asyncio.gather(ask(link, read(), read(20)), ask(link, read(30)))
                await ask(link, read(40))

    run(check())
    assert len(times) == 4
    assert all(b - a >= 0.499 for a, b in pairwise(times))


def test_a_connection_is_given_up_with_a_reset_so_that_the_meter_frees_it() -> None:
    ended: list[type[BaseException] | None] = []

    async def script(connection: Connection) -> None:
        try:
            await connection.silent()
        except ConnectionError as error:
            ended.append(type(error))
            raise
        ended.append(None)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject) as link:
                assert reasons(await ask(link, read())) == ["read_timeout"]
                await asyncio.sleep(0.1)

    run(check())
    assert ended == [ConnectionResetError]


def test_a_meter_that_leaves_during_a_pause_is_asked_on_a_new_connection() -> None:
    async def check() -> None:
        async with meter(closes_after_each_answer) as subject:
            with link_to(subject, LinkSettings(request_delay_s=0.5)) as link:
                wanted = [read(10), read(20), read(30)]
                assert await ask(link, *wanted) == [right(request) for request in wanted]
                assert subject.connections == 3

    run(check())


def test_the_end_of_a_lost_connections_pause_sends_nothing_on_the_next() -> None:
    async def script(connection: Connection) -> None:
        request = await connection.request()
        await asyncio.sleep(0.9 if connection.number == 2 else 0)
        await connection.send(misbehaving.right(request))
        if connection.number == 2:
            await connection.request()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(request_delay_s=0.5)) as link:
                assert await ask(link, read(10), read(20)) == [right(read(10)), right(read(20))]
                await asyncio.sleep(1)
                assert len(subject.requests) == 2

    run(check())


def test_an_exchange_without_requests_ends_at_once_and_holds_nobody_up() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as link:
                assert await ask(link) == []
                assert await ask(link, read()) == [right(read())]
                assert await ask(link) == []
            assert len(subject.requests) == 1

    run(check())
