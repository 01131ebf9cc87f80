"""One meter that finds long reads too long, over a real connection: refusals, silence, zeros."""

import asyncio
from dataclasses import replace

import pytest

from emdc.meters import library
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.reads import want
from emdc.meters.zeros import BELIEVED_S, LONG
from emdc.modbus import LinkSettings
from emdc.modbus.server import serve
from emdc.synthetic.simulator import Simulator
from tests import misbehaving
from tests.meters.picky import book, picky, refuses_beyond, right, values
from tests.misbehaving import Connection
from tests.modbus.asking import links
from tests.virtual_time import WallClock, run

DAY_S = 86_400


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize("most", [16, 50, 100])
def test_reads_that_are_too_long_are_halved_in_the_same_tick(most: int, code: int) -> None:
    async def check() -> None:
        wanted = book(range(0, 250, 2), size=2)
        async with picky(refuses_beyond(most, code), wanted) as meter:
            expected = right(meter.all, 2)
            assert values(await meter.polled()) == expected
            sent = len(meter.spans())
            assert values(await meter.polled()) == expected
            after = meter.spans()[sent:]
            assert max(count for _, count in after) <= most
            assert min(count for _, count in after[:-1]) > most / 2 - 2

    run(check())


def test_short_limits_and_a_bad_value_and_holes_at_once_are_all_found() -> None:
    mapped = [a for a in range(0, 200) if a % 37]

    def rule(first: int, count: int) -> int | None:
        asked = set(range(first, first + count))
        return 3 if count > 50 else 2 if asked & {90} or asked - set(mapped) else None

    async def check() -> None:
        async with picky(rule, book(mapped, max_gap=4)) as meter:
            expected = {**right(meter.all), "m90": "exception:2"}
            for _ in range(4):
                assert values(await meter.polled()) == expected
            sent = set(meter.spans())
            for _ in range(3):
                after = await meter.asked()
                assert all(rule(*span) is None for span in after)
                assert set(after) <= sent

    run(check())


@pytest.mark.parametrize("how", ["silent", "short"])
@pytest.mark.parametrize("most", [16, 50, 100])
def test_silence_after_a_long_read_halves_it_once_another_read_was_answered(
    most: int, how: str
) -> None:
    async def check() -> None:
        # The long read comes first, so that nothing is answered before it.
        wanted = book([*range(0, 120, 2), 500], size=2)
        async with picky(refuses_beyond(most, how), wanted) as meter:
            expected = right(meter.all, 2)
            for _ in range(10):
                if values(await meter.polled()) == expected:
                    break
            for _ in range(3):
                assert values(await meter.polled()) == expected
            (lesson,) = meter.reader.lessons
            assert (lesson.kind, lesson.times > 0) == ("length", True)
            assert max(count for _, count in await meter.asked()) <= most

    run(check())


def test_a_dead_meter_teaches_nothing_and_is_read_as_before_when_it_is_back() -> None:
    async def check() -> None:
        async with picky(lambda *_: "silent", book(range(0, 60))) as meter:
            for _ in range(6):
                reading = await meter.polled()
                assert set(reading.gaps.values()) <= {"read_timeout", "backoff_skipped"}
            assert meter.reader.lessons == ()
            meter.rule(lambda *_: None)
            await meter.polled()
            assert values(await meter.polled()) == right(meter.all)
            assert await meter.asked() == [(0, 60)]

    run(check())


def test_a_guess_that_a_read_is_too_long_is_tried_and_dropped() -> None:
    async def check() -> None:
        wanted = book([*range(0, 60), 500])
        async with picky(refuses_beyond(20, "silent"), wanted) as meter:
            while not meter.reader.lessons:
                await meter.polled()
            meter.rule(lambda *_: None)
            assert values(await meter.polled()) == right(meter.all)
            assert meter.reader.lessons == ()
            assert await meter.asked() == [(0, 60), (500, 1)]

    run(check())


@pytest.mark.parametrize("how", ["zeros", "half zeros"])
@pytest.mark.parametrize("most", [16, 50, 100])
def test_zeros_in_place_of_what_is_too_long_are_never_values(most: int, how: str) -> None:
    async def check() -> None:
        wanted = book(range(1, 121))
        async with picky(refuses_beyond(most, how), wanted) as meter:
            for _ in range(4):
                assert values(await meter.polled()) == right(meter.all)
            assert max(count for _, count in await meter.asked()) <= most
            meter.clock.step(DAY_S)
            assert values(await meter.polled()) == right(meter.all)
            assert meter.spans()[-1][1] > most
            assert max(count for _, count in await meter.asked()) <= most

    run(check())


def test_a_long_read_that_ends_in_a_number_with_a_zero_register_is_believed_again() -> None:
    async def round_number(connection: Connection) -> None:
        while True:
            await connection.send(misbehaving.right(await connection.request())[:-2] + bytes(2))

    async def check() -> None:
        async with picky(refuses_beyond(16, "zeros"), book(range(0, 40, 2), size=2)) as meter:
            await meter.polled()
            assert [lesson.reason for lesson in meter.reader.lessons] == ["zeros"]
            meter.peer.script = round_number
            meter.reader.link.restart("the meter has new firmware")
            for _ in range(3):
                meter.clock.step(DAY_S)
                await meter.polled()
            assert meter.reader.lessons == ()
            assert await meter.asked() == [(0, 40)]

    run(check())


def test_reads_that_are_not_made_any_more_are_not_waited_for() -> None:
    async def check() -> None:
        async with picky(refuses_beyond(50, "zeros"), book(range(1, 121))) as meter:
            for _ in range(3):
                await meter.polled()
            assert [lesson.reason for lesson in meter.reader.lessons] == ["zeros"]
            assert max(count for _, count in await meter.asked()) > LONG
            assert meter.reader._learner.zeros.unproven == {}

    run(check())


def test_zeros_that_the_parts_have_too_are_believed_and_not_asked_every_time() -> None:
    async def check() -> None:
        async with picky(lambda *_: "zeros", book(range(0, 60))) as meter:
            zeros = dict.fromkeys(meter.all, 0)
            assert values(await meter.polled()) == zeros
            assert len(meter.spans()) > 1
            assert meter.reader.lessons == ()
            for _ in range(3):
                assert await meter.asked() == [(0, 60)]

    run(check())


@pytest.mark.parametrize("how", ["silent", "closed", 2, 3, 4, 6])
def test_zeros_are_no_values_when_nobody_can_tell_whether_they_are_true(how: int | str) -> None:
    async def check() -> None:
        rule = refuses_beyond(LONG, "half zeros")
        async with picky(lambda *span: rule(*span) or how, book(range(100, 140))) as meter:
            for _ in range(3):
                reading = await meter.polled()
                assert set(reading.values) <= {None, *right(meter.all).values()}
                assert reading.gaps["m139"]
            meter.rule(rule)
            meter.reader.link.restart("the meter is well again")
            for _ in range(3):
                meter.clock.step(DAY_S)
                reading = await meter.polled()
            assert values(reading) == right(meter.all)

    run(check())


@pytest.mark.parametrize("how", ["silent", "closed", 6])
def test_zeros_of_which_nobody_can_tell_once_are_asked_again_as_what_the_link_lost(
    how: int | str,
) -> None:
    rule, first_time = refuses_beyond(LONG, "half zeros"), iter([how])

    async def check() -> None:
        async with picky(
            lambda *span: rule(*span) or next(first_time, None), book(range(100, 140))
        ) as meter:
            meter.reader.settings = replace(meter.reader.settings, retries=1)
            assert values(await meter.polled()) == right(meter.all)

    run(check())


@pytest.mark.parametrize(
    ("most", "size", "zero_from"),
    # In the last one half of m116 is left out, and all behind it is zero.
    [(16, 1, 220), (17, 2, 220), (45, 1, 220), (45, 2, 220), (17, 2, 118)],
)
def test_a_zero_that_is_true_vouches_for_no_zero_before_it(
    most: int, size: int, zero_from: int
) -> None:
    def rule(first: int, count: int) -> bytes:
        some = b"".join(
            bytes(2) if address >= zero_from else misbehaving.data(1, address, 1)
            for address in range(first, first + count)
        )
        return some if count <= most else some[: 2 * most] + bytes(2 * (count - most))

    async def check() -> None:
        wanted = book(range(100, 221, size), size=size)
        async with picky(rule, wanted) as meter:
            true = {
                name: 0 if int(name[1:]) >= zero_from else value
                for name, value in right(meter.all, size).items()
            }
            for _ in range(3):
                assert values(await meter.polled()) == true
            assert max(count for _, count in await meter.asked()) <= most

    run(check())


@pytest.mark.parametrize("code", [1, 2, 3])
def test_values_that_are_zero_among_others_and_refused_alone_cost_no_other(code: int) -> None:
    def rule(first: int, count: int) -> int | bytes:
        has = misbehaving.data(1, first, max(0, min(count, 130 - first)))
        return has.ljust(2 * count, b"\0") if has else code

    async def check() -> None:
        async with picky(rule, book(range(100, 140))) as meter:
            expected = {
                name: f"exception:{code}" if name >= "m130" else value
                for name, value in right(meter.all).items()
            }
            for _ in range(3):
                assert values(await meter.polled()) == expected
                meter.clock.step(DAY_S)
            assert max(count for _, count in await meter.asked()) == 30

    run(check())


def test_zeros_are_looked_at_again_only_when_they_are_not_believed_any_more() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        async with picky(lambda *_: "zeros", book(range(0, 60))) as meter:
            meter.reader.batches(meter.all)
            zeros = meter.reader._learner.zeros
            assert zeros.look_at <= loop.time()
            await meter.polled()
            for pause_s in BELIEVED_S[:1]:
                assert zeros.look_at > loop.time()
                assert await meter.asked() == [(0, 60)]
                await asyncio.sleep(pause_s)
                assert zeros.look_at <= loop.time()
                asked = await meter.asked()
                assert max(count for _, count in asked[1:]) <= LONG
                assert sum(count for _, count in asked[1:]) == 60
            meter.rule(lambda *_: None)
            meter.reader.link.restart("the meter has something to say")
            await asyncio.sleep(BELIEVED_S[1])
            await meter.polled()
            assert zeros.look_at == float("inf")

    run(check())


def test_a_simulated_meter_that_has_less_than_the_map_says_gives_all_that_it_has() -> None:
    whole = library.find("eaton-pxm-4000")
    first = whole.metrics[0].name
    less = tuple(metric for metric in whole.metrics if metric.name not in {first, "Wh_net"})
    peer = Simulator(replace(whole, metrics=less, max_gap=0, max_registers=16))

    async def check() -> None:
        server = await serve(peer.answer, "127.0.0.1", 0)
        with links() as opened:
            link = opened.link("127.0.0.1", server.port, LinkSettings())
            settings = MeterSettings(timeout_s=1, retries=0)
            reader = Meter("site/eaton", whole, link, settings, clock=WallClock())
            wanted = want(metric.name for metric in whole.metrics)
            for _ in range(12):
                reading = await reader.read(wanted)
                assert {n for n, r in reading.gaps.items() if r == "exception:2"} == {
                    first,
                    "Wh_net",
                }
                assert set(reading.gaps.values()) <= {"exception:2", "not_available"}
            assert max(batch.count for batch in reader.batches(wanted)) <= 16
        server.close()
        await server.wait_closed()

    run(check())
