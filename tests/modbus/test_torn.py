"""Answers that look right by their first bytes, or by their transaction id, and are none."""

import asyncio

import pytest

from emdc.modbus import LinkSettings
from tests.misbehaving import Connection, Script, meter, right
from tests.modbus import asking
from tests.modbus.asking import ask, link_to, read, reasons


async def pushes_the_next_answer(connection: Connection) -> None:
    """Answer, then send one more frame under the id that a client counting by one uses next."""
    while True:
        request = await connection.request()
        await connection.send(right(request))
        after = (int.from_bytes(request[:2]) + 1 & 0xFFFF).to_bytes(2)
        await connection.request()
        await connection.send(after + right(request)[2:])


async def breaks_off_and_begins_anew(connection: Connection) -> None:
    while True:
        answer = right(await connection.request())
        await connection.send(answer[:12] + answer)


async def begins_the_first_of_three_twice(connection: Connection) -> None:
    if connection.number > 1:
        await connection.answer_all()
    first, *others = [right(await connection.request()) for _ in range(3)]
    await connection.send(first[:12] + first + b"".join(others))
    await connection.silent()


async def begins_the_last_of_three_twice(connection: Connection) -> None:
    if connection.number > 1:
        await connection.answer_all()
    *others, last = [right(await connection.request()) for _ in range(3)]
    await connection.send(b"".join(others) + last[:12] + last)
    await connection.silent()


def test_a_frame_under_the_id_that_comes_next_is_no_answer() -> None:
    async def check() -> None:
        async with meter(pushes_the_next_answer) as subject:
            with link_to(subject) as link:
                answers = await ask(link, read(10), read(20), timeout_s=0.3)
        assert reasons(answers) == ["right", "protocol_error:tid"]

    asyncio.run(check())


def test_an_answer_that_breaks_off_and_begins_anew_is_none() -> None:
    async def check() -> None:
        async with meter(breaks_off_and_begins_anew) as subject:
            with link_to(subject) as link:
                answers = await ask(link, read(10, 16))
        assert reasons(answers)[0].startswith("protocol_error:")

    asyncio.run(check())


@pytest.mark.parametrize(
    "script", [begins_the_first_of_three_twice, begins_the_last_of_three_twice]
)
def test_an_answer_of_a_group_that_breaks_off_and_begins_anew_is_asked_for_again(
    script: Script,
) -> None:
    requests = [read(10, 16), read(30, 16), read(50, 16)]

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(pipeline=3)) as link:
                answers = await ask(link, *requests)
        assert answers == [asking.right(request) for request in requests]

    asyncio.run(check())
