"""Several requests under way together: what a meter makes of them, and what that may cost."""

import asyncio
import logging
from collections.abc import Callable, Sequence

import pytest

from emdc.modbus import Link, LinkSettings
from emdc.modbus.pipeline import FIRST_PATIENCE_S
from tests import misbehaving
from tests.misbehaving import Connection, framed, good, meter
from tests.modbus.asking import TIMEOUT_S, ask, link_to, links, read, reasons, right
from tests.modbus.twists import BESIDE, WRONG, Twist
from tests.virtual_time import run

FOUR = LinkSettings(pipeline=4)
WANTED = [read(10), read(20), read(30), read(40)]

Group = Callable[[Sequence[bytes]], Sequence[bytes]]
"""From four requests to the segments that answer them."""


async def four(connection: Connection) -> list[bytes]:
    """Four requests that came together."""
    return [await connection.request() for _ in range(4)]


def only_in_groups(group: Group) -> misbehaving.Script:
    """A meter whose first connection shows what it does to requests that come together."""

    async def script(connection: Connection) -> None:
        if connection.number == 1:
            for segment in group(await four(connection)):
                await connection.send(segment)
                await asyncio.sleep(0.01)
            await connection.silent()
        await connection.answer_all()

    return script


def rights(requests: Sequence[bytes]) -> list[bytes]:
    return [misbehaving.right(request) for request in requests]


async def right_values(link: Link, times: int = 1) -> None:
    for _ in range(times):
        assert await ask(link, *WANTED) == [right(request) for request in WANTED]


@pytest.mark.parametrize(
    "group",
    [
        lambda requests: [b"".join(rights(requests))],
        rights,
        lambda requests: [b"".join(rights(requests))[:20], b"".join(rights(requests))[20:]],
        lambda requests: [bytes([byte]) for byte in b"".join(rights(requests))],
        lambda requests: [answer * 2 for answer in rights(requests)],
        lambda requests: [
            *rights(requests[:2]),
            framed(requests[2][:2], b"\1\x83\2"),
            *rights(requests[3:]),
        ],
    ],
    ids=["together", "apart", "cut", "byte by byte", "doubled", "one refused"],
)
def test_answers_in_order_are_taken_however_they_come(group: Group) -> None:
    async def check() -> None:
        async with meter(only_in_groups(group)) as subject:
            with link_to(subject, FOUR) as link:
                answers = await ask(link, *WANTED)
                for answer, request in zip(answers, WANTED, strict=True):
                    assert answer == right(request) or getattr(answer, "code", 0) == 2
                assert (link.pipeline, subject.connections) == (4, 1)
                assert link.backoffs.failures() == 0

    run(check())


@pytest.mark.parametrize("at", range(1, 55))
def test_four_answers_may_be_split_at_every_byte(at: int) -> None:
    async def script(connection: Connection) -> None:
        while True:
            answers = b"".join(rights(await four(connection)))
            await connection.send(answers[:at])
            await asyncio.sleep(0.01)
            await connection.send(answers[at:])

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=2)
                assert (link.pipeline, subject.connections) == (4, 1)

    run(check())


def test_what_came_before_a_group_was_asked_is_no_answer_to_it() -> None:
    """A frame under the id that the next group will begin with, together with the answers."""

    async def script(connection: Connection) -> None:
        asked = await four(connection)
        first, second = (int.from_bytes(request[:2]) for request in asked[:2])
        early = misbehaving.right(asked[3])
        early_id = (int.from_bytes(early[:2]) + second - first) & 0xFFFF
        await connection.send(b"".join(rights(asked)) + early_id.to_bytes(2) + early[2:])
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                wanted = [read(address) for address in range(10, 90, 10)]
                assert await ask(link, *wanted) == [right(request) for request in wanted]

    run(check())


def test_the_ids_of_a_group_that_was_lost_are_not_used_again() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.send(b"".join(rights(await four(connection))))
            await four(connection)
            return
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=3)
                ids = [request[:2] for request in subject.requests]
                assert len(ids) == len(set(ids)) == 16
                assert subject.connections == 2

    run(check())


def test_the_ids_of_groups_go_round_and_none_of_the_last_is_used_again() -> None:
    async def check() -> None:
        async with meter(Connection.answer_all) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=200)
                ids = [int.from_bytes(request[:2]) for request in subject.requests]
                assert len(ids) == len(set(ids)) == 800
                assert min(ids) < 4 * 257  # beyond the last id the first ones come again
                assert (link.pipeline, subject.connections) == (4, 1)

    run(check())


def test_a_link_that_is_given_other_requests_asks_them() -> None:
    async def check() -> None:
        async with meter(Connection.answer_all) as subject:
            with link_to(subject, FOUR) as link:
                for wanted in (WANTED, WANTED[::-1], WANTED[1:], WANTED * 2, WANTED):
                    assert await ask(link, *wanted) == [right(request) for request in wanted]
                assert link.pipeline == 4

    run(check())


@pytest.mark.parametrize(
    ("group", "time_outs"),
    [
        (lambda requests: rights(requests[:1]), 1),
        (lambda requests: rights([requests[0], requests[1], requests[3]]), 0),
        (lambda requests: rights(requests[:3]), 1),
        (lambda requests: rights([requests[1], requests[0], *requests[2:]]), 0),
        (lambda requests: rights(requests[::-1]), 0),
        (lambda requests: [b"".join(rights(requests[::-1]))], 0),
        (lambda requests: [*rights(requests[:2]), b"HTTP/1.1 400 Bad Request\r\n"], 0),
        (lambda requests: [rights(requests)[0], framed(requests[1][:2], b"\2\3\4abcd")], 0),
        (lambda requests: [framed(requests[0][:2], b"\1\3\2ab")], 0),
        (lambda requests: [framed(requests[0][:2], b"\1\4\4abcd")], 0),
    ],
    ids=[
        "the first only",
        "the third is missing",
        "the last is missing",
        "two exchanged",
        "backwards",
        "backwards together",
        "then garbage",
        "then another unit",
        "too few registers",
        "another function code",
    ],
)
def test_a_meter_that_cannot_costs_no_value_and_is_asked_one_at_a_time_from_then_on(
    group: Group, time_outs: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def check() -> None:
        async with meter(only_in_groups(group)) as subject:
            with link_to(subject, FOUR) as link:
                began = asyncio.get_running_loop().time()
                await right_values(link, times=3)
                took_s = asyncio.get_running_loop().time() - began
                assert took_s < time_outs * FIRST_PATIENCE_S + 0.2
                assert (link.pipeline, subject.connections) == (1, 2)
                ids = [request[:2] for request in subject.requests]
                assert len(set(ids)) == len(ids)

    with caplog.at_level(logging.WARNING):
        run(check())
    assert len([r for r in caplog.records if "one at a time" in r.message]) == 1


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("answered", [0, 1, 3])
def test_a_meter_that_closes_on_a_group_is_asked_one_at_a_time(answered: int, reset: bool) -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            for answer in rights(await four(connection))[:answered]:
                await connection.send(answer)
            await asyncio.sleep(0.01)
            if reset:
                connection.reset()
            return
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=2)
                assert (link.pipeline, subject.connections) == (1, 2)

    run(check())


def test_a_meter_that_could_is_tried_again_after_pauses_that_double(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A connection answers two groups and then only the first request of the third."""

    async def script(connection: Connection) -> None:
        for _ in range(2):
            await connection.send(b"".join(rights(await four(connection))))
        await connection.send(rights(await four(connection))[0])
        await connection.silent()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                for pause_s in (60, 120, 60):
                    subject.script = script
                    subject.drop()
                    await right_values(link, times=2)
                    assert link.pipeline == 4
                    subject.script = Connection.answer_all
                    await right_values(link)
                    assert link.pipeline == 1
                    await asyncio.sleep(pause_s - 1)
                    await right_values(link)
                    assert link.pipeline == 1
                    await asyncio.sleep(1.1)
                    await right_values(link)
                    assert link.pipeline == 4
                    if pause_s == 120:  # then all goes well for longer than the next pause
                        await asyncio.sleep(241)

    with caplog.at_level(logging.WARNING):
        run(check())
    said = [r.message.rpartition(" one at a time ")[2] for r in caplog.records]
    assert said == ["for 60 s", "for 120 s", "for 60 s"]


def test_an_answer_that_is_late_is_not_taken_for_another() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            first, second, *rest = rights(await four(connection))
            await connection.send(first)
            await asyncio.sleep(FIRST_PATIENCE_S + 0.1)
            await connection.send(second + b"".join(rest))
            await connection.silent()
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=2)
                assert link.pipeline == 1

    run(check())


def test_a_slow_meter_has_for_each_answer_the_time_that_it_took_for_the_first() -> None:
    async def script(connection: Connection) -> None:
        while True:
            for answer in rights(await four(connection)):
                await asyncio.sleep(0.9)
                await connection.send(answer)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=2)
                assert (link.pipeline, subject.connections) == (4, 1)

    run(check())


def test_a_meter_that_is_busy_with_one_request_gets_one() -> None:
    async def script(connection: Connection) -> None:
        first, *others = await four(connection)
        await connection.send(misbehaving.right(first))
        for request in others:
            await connection.send(framed(request[:2], b"\1\x83\6"))
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                answers = await ask(link, *WANTED)
                assert reasons(answers) == ["right", *["exception:6"] * 3]
                assert link.pipeline == 1
                await right_values(link)
                assert subject.connections == 1

    run(check())


def test_a_meter_that_is_off_for_a_while_keeps_its_pipeline() -> None:
    """Silence alone proves nothing, whether a group was answered before or not."""

    async def check() -> None:
        async with meter(Connection.silent) as subject:
            with link_to(subject, LinkSettings(pipeline=4, backoff_max_s=1)) as link:
                for _ in range(2):
                    for _ in range(20):
                        answered = set(reasons(await ask(link, *WANTED)))
                        assert answered <= {"read_timeout", "backoff_skipped"}
                        await asyncio.sleep(0.5)
                    # asked alone last, or in a group last: both must come out right
                    subject.script = good
                    await asyncio.sleep(2)
                    await right_values(link, times=3)
                    subject.script = Connection.silent
                    subject.drop()

    run(check())


def test_a_meter_that_ignores_groups_is_found_out_by_the_next_single_request() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.silent()
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                assert reasons(await ask(link, *WANTED)) == ["read_timeout"] * 4
                await right_values(link, times=2)
                assert (link.pipeline, subject.connections) == (1, 2)

    run(check())


def test_a_meter_that_closes_when_idle_keeps_its_pipeline() -> None:
    async def script(connection: Connection) -> None:
        for answer in rights(await four(connection)):
            await connection.send(answer)
        await asyncio.sleep(5)

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                for times in range(3):
                    await right_values(link)
                    assert (link.pipeline, subject.connections) == (4, times + 1)
                    await asyncio.sleep(6)

    run(check())


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("twist", [twist for twist, _ in WRONG.values()], ids=WRONG)
def test_a_wrong_answer_in_a_group_is_never_a_value(twist: Twist, place: int) -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            requests = await four(connection)
            answers = rights(requests)
            answers[place] = twist(requests[place])
            await connection.send(b"".join(answers))
        await connection.answer_all()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=2)
                assert link.pipeline == 1

    run(check())


@pytest.mark.parametrize("twist", BESIDE.values(), ids=BESIDE)
def test_what_comes_beside_the_right_answers_is_passed_over_or_ends_the_group(twist: Twist) -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.send(twist(await connection.request()))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link, times=3)

    run(check())


def test_more_requests_than_may_be_under_way_go_in_groups() -> None:
    sizes: list[int] = []

    async def script(connection: Connection) -> None:
        while True:
            requests = await connection.requests()
            sizes.append(len(requests))
            await connection.send(b"".join(rights(requests)))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                wanted = [read(address) for address in range(0, 90, 10)]
                assert await ask(link, *wanted) == [right(request) for request in wanted]
                assert await ask(link, read(7)) == [right(read(7))]

    run(check())
    assert sizes == [4, 4, 1, 1]


def test_a_pause_between_requests_means_one_at_a_time() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject, LinkSettings(pipeline=4, request_delay_s=0.1)) as link:
                assert link.pipeline == 1
                await right_values(link)

    run(check())


def test_exchanges_of_several_units_share_the_link() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject, FOUR) as link:
                units = [[read(10 * n, unit=unit) for n in range(5)] for unit in range(1, 9)]
                answers = await asyncio.gather(*(ask(link, *wanted) for wanted in units))
                assert answers == [[right(one) for one in wanted] for wanted in units]
                assert (link.pipeline, subject.connections) == (4, 1)

    run(check())


def test_done_may_close_the_link_while_more_lies_in_the_buffer() -> None:
    async def script(connection: Connection) -> None:
        answers = b"".join(rights(await four(connection)))
        await connection.send(
            answers + misbehaving.right(bytes.fromhex("7777 0000 0006 01030001 0001"))
        )
        await connection.silent()

    async def check() -> None:
        async with meter(script) as subject:
            with links() as opened:
                link = opened.link(subject.host, subject.port, FOUR)
                await right_values(link)
                opened.close()
                assert reasons(await ask(link, read())) == ["daemon_stopped"]

    run(check())


def test_the_time_out_is_that_of_each_request_once_a_group_was_answered() -> None:
    async def script(connection: Connection) -> None:
        for answer in rights(await four(connection)):
            await connection.send(answer)
        first, *_ = rights(await four(connection))
        await connection.send(first)
        if connection.number == 1:
            await connection.silent()

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, FOUR) as link:
                await right_values(link)
                subject.script = good
                began = asyncio.get_running_loop().time()
                await right_values(link)
                assert asyncio.get_running_loop().time() - began >= TIMEOUT_S
                assert link.pipeline == 1

    run(check())


def test_a_dead_unit_behind_a_gateway_costs_its_neighbours_one_time_out_in_each_pause() -> None:
    asked: list[float] = []

    async def script(connection: Connection) -> None:
        while True:
            requests = await connection.requests()
            if requests[0][6] == 3:
                asked.append(asyncio.get_running_loop().time())
            else:
                await connection.send(b"".join(rights(requests)))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(pipeline=4, backoff_max_s=8)) as link:
                for _ in range(30):
                    answers = await asyncio.gather(
                        *(
                            ask(link, *(read(n, unit=unit) for n in range(4)))
                            for unit in (3, 3, 1, 2)
                        )
                    )
                    assert [reasons(a) for a in answers[2:]] == [["right"] * 4] * 2
                    await asyncio.sleep(1)
                assert 4 < len(asked) < 10
                assert link.pipeline == 4

    run(check())


@pytest.mark.parametrize("code", [10, 11])
def test_a_unit_that_a_gateway_does_not_find_is_looked_for_once_in_each_pause(code: int) -> None:
    """Each look takes the gateway its own time-out, and all of a group would be looked for."""
    asked: list[int] = []

    async def script(connection: Connection) -> None:
        while True:
            requests = await connection.requests()
            if requests[0][6] != 3:
                await connection.send(b"".join(rights(requests)))
                continue
            asked.append(len(requests))
            for request in requests:
                await asyncio.sleep(0.5)
                await connection.send(framed(request[:2], bytes([3, 0x83, code])))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(pipeline=4, backoff_max_s=8)) as link:
                for _ in range(30):
                    began = asyncio.get_running_loop().time()
                    answers = await asyncio.gather(
                        *(ask(link, *(read(n, unit=unit) for n in range(4))) for unit in (3, 1, 2))
                    )
                    assert [reasons(a) for a in answers[1:]] == [["right"] * 4] * 2
                    assert set(reasons(answers[0])) <= {f"exception:{code}", "backoff_skipped"}
                    assert asyncio.get_running_loop().time() - began < 0.6
                    await asyncio.sleep(1)
                assert asked[0] == 4
                assert set(asked[1:]) == {1}
                assert len(asked) < 10
                assert link.pipeline == 4

    run(check())
