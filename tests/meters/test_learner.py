"""One meter that does not answer every read, over a real connection: what is learned, and when."""

from itertools import pairwise
from random import Random

import pytest

from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.reading import GapReason
from tests.meters.picky import book, picky, refuses, right, values
from tests.virtual_time import run

DAY_S = 86_400
TWENTY = range(100, 120)


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize("bad", [100, 107, 119])
def test_one_refused_value_among_twenty_costs_no_other_and_is_not_asked_in_the_next_tick(
    bad: int, code: int
) -> None:
    async def check() -> None:
        async with picky(refuses({bad}, code), book(TWENTY)) as meter:
            expected = {**right(meter.all), f"m{bad}": f"exception:{code}"}
            assert values(await meter.polled()) == expected
            sent = len(meter.spans())
            assert sent <= 11
            assert values(await meter.polled()) == expected
            after = meter.spans()[sent:]
            assert len(after) == (1 if bad in (100, 119) else 2)
            assert all(bad not in range(first, first + count) for first, count in after)

    run(check())


def test_a_meter_that_refuses_holes_loses_nothing_and_is_soon_read_piece_by_piece() -> None:
    mapped = [*range(0, 10), *range(14, 20), *range(21, 30), *range(35, 37)]
    holes = set(range(40)) - set(mapped)

    async def check() -> None:
        async with picky(refuses(holes), book(mapped, max_gap=8)) as meter:
            for _ in range(3):
                assert values(await meter.polled()) == right(meter.all)
            pieces = [(0, 10), (14, 6), (21, 9), (35, 2)]
            assert await meter.asked() == pieces
            # Another set of metrics is held to the same.
            assert await meter.asked(frozenset({"m9", "m14", "m29", "m35"})) == [
                (9, 1),
                (14, 1),
                (29, 1),
                (35, 1),
            ]

    run(check())


def test_a_meter_that_refuses_a_read_by_its_first_register_loses_only_that_value() -> None:
    async def check() -> None:
        def rule(first: int, count: int) -> int | None:
            return 2 if first == 0 else None

        async with picky(rule, book(range(0, 40, 2), size=2)) as meter:
            expected = {**right(meter.all, 2), "m0": "exception:2"}
            assert values(await meter.polled()) == expected
            assert await meter.asked() == [(2, 38)]

    run(check())


def test_after_a_start_no_read_is_sent_that_was_refused_before() -> None:
    mapped = [*range(0, 60), *range(64, 90)]

    def rule(first: int, count: int) -> int | None:
        asked = set(range(first, first + count))
        return 3 if count > 50 else 2 if asked & {7} or asked - set(mapped) else None

    async def check() -> None:
        async with picky(rule, book(mapped, max_gap=8)) as meter:
            for _ in range(3):
                await meter.polled()
            lessons, reads = meter.reader.lessons, await meter.asked()
        async with picky(rule, book(mapped, max_gap=8), lessons=lessons) as meter:
            assert values(await meter.polled()) == {**right(meter.all), "m7": "exception:2"}
            assert meter.spans() == reads
            assert all(rule(*span) is None for span in reads)

    run(check())


def test_a_refused_value_is_asked_again_ever_later_and_read_once_it_is_answered() -> None:
    async def check() -> None:
        async with picky(refuses({107}), book(TWENTY)) as meter:
            without = {**right(meter.all), "m107": "exception:2"}
            await meter.polled()
            for minutes in (1, 10, 60, 360, 1440, 1440):
                meter.clock.step(60 * minutes - 30)
                assert (107, 1) not in await meter.asked()
                meter.clock.step(60)
                assert (await meter.asked())[-1] == (107, 1)
                assert (107, 1) not in await meter.asked()
            meter.rule(lambda *_: None)
            meter.reader.link.restart("the meter was mended")
            meter.clock.step(DAY_S)
            assert values(await meter.polled()) == without
            assert values(await meter.polled()) == right(meter.all)
            assert await meter.asked() == [(100, 20)]

    run(check())


def test_after_a_day_a_refused_read_is_tried_behind_a_whole_reading() -> None:
    mapped = [*range(0, 10), *range(14, 20)]
    state = {"refuses": True}

    def rule(first: int, count: int) -> int | None:
        crosses = set(range(10, 14)) & set(range(first, first + count))
        return 2 if crosses and state["refuses"] else None

    async def check() -> None:
        async with picky(rule, book(mapped, max_gap=8)) as meter:
            await meter.polled()
            for _ in range(2):
                meter.clock.step(DAY_S - 3600)
                assert await meter.asked() == [(0, 10), (14, 6)]
                meter.clock.step(3600)
                reading = values(await meter.polled())
                assert reading == right(meter.all)
                assert meter.spans()[-3:] == [(0, 10), (14, 6), (0, 20)]
            state["refuses"] = False
            meter.clock.step(DAY_S)
            assert values(await meter.polled()) == right(meter.all)
            assert meter.reader.lessons == ()
            assert await meter.asked() == [(0, 20)]

    run(check())


@pytest.mark.parametrize("how", ["silent", "short", 4, 5, 6, 10, 11])
def test_what_is_no_refusal_confirms_none_and_takes_no_reason_away(how: int | str) -> None:
    state: dict[str, int | str] = {"how": 2}

    def rule(first: int, count: int) -> int | str | bytes | None:
        return state["how"] if (first, count) == (107, 1) else refuses({107})(first, count)

    async def check() -> None:
        async with picky(rule, book(TWENTY)) as meter:
            await meter.polled()
            state["how"] = how
            for _ in range(3):
                meter.clock.step(61)
                assert (await meter.polled()).gaps == {"m107": "exception:2"}
                assert meter.spans()[-1] == (107, 1)
                (lesson,) = meter.reader.lessons
                assert (lesson.reason, lesson.times) == ("exception:2", 1)
                assert (107, 1) not in await meter.asked()

    run(check())


def test_one_thing_is_tried_at_a_time_and_only_while_the_tick_has_time() -> None:
    async def check() -> None:
        async with picky(refuses({3, 9, 15}), book(range(20))) as meter:
            await meter.polled()
            reads = len(await meter.asked())
            meter.clock.step(DAY_S)
            before = len(meter.spans())
            await meter.polled(within_s=0.01)
            assert len(meter.spans()) - before == reads
            for _ in range(3):
                assert len(await meter.asked()) == reads + 1
            assert len(await meter.asked()) == reads

    run(check())


def test_without_time_in_the_tick_nothing_more_is_asked_and_the_next_tick_goes_on() -> None:
    async def check() -> None:
        async with picky(refuses({103}), book(TWENTY)) as meter:
            seen: list[set[GapReason]] = []
            for _ in range(8):
                before, planned = len(meter.spans()), meter.reader.batches(meter.all)
                reading = await meter.polled(within_s=0)
                seen.append(set(reading.gaps))
                assert len(meter.spans()) - before == len(planned)
            assert seen[0] == set(meter.all)
            assert all(later <= earlier for earlier, later in pairwise(seen))
            assert seen[-1] == {"m103"}

    run(check())


def test_what_is_not_asked_does_not_make_a_dead_meter_look_alive() -> None:
    async def check() -> None:
        async with picky(refuses({107}), book(TWENTY)) as meter:
            await meter.polled()
            reading = await meter.polled()
            assert reading.answered
            assert reading.gaps == {"m107": "exception:2"}
            meter.rule(lambda *_: "silent")
            meter.reader.link.restart("the meter has lost its power")
            reading = await meter.polled()
            assert not reading.answered
            assert set(reading.gaps.values()) == {"read_timeout"}

    run(check())


def test_a_meter_that_refuses_all_is_asked_for_one_value_and_read_when_it_gives_it() -> None:
    state = {"code": 2}

    def rule(first: int, count: int) -> int | None:
        return state["code"] or None

    async def check() -> None:
        async with picky(rule, book(TWENTY)) as meter:
            await meter.polled()
            for _ in range(3):
                before = len(meter.spans())
                reading = await meter.polled()
                assert len(meter.spans()) - before == 1
                assert set(reading.gaps.values()) == {"exception:2"}
                assert set(reading.gaps) == set(meter.all)
            state["code"] = 0
            await meter.polled()
            assert values(await meter.polled()) == right(meter.all)
            assert await meter.asked() == [(100, 20)]

    run(check())


def test_a_meter_that_refused_all_is_read_again_also_when_its_first_value_is_bad() -> None:
    state = {"starting": True}

    def rule(first: int, count: int) -> int | None:
        return 2 if state["starting"] or first == 100 else None

    async def check() -> None:
        async with picky(rule, book(TWENTY)) as meter:
            await meter.polled()
            state["starting"] = False
            meter.clock.step(60)
            for _ in range(3):
                reading = await meter.polled()
            assert values(reading) == {**right(meter.all), "m100": "exception:2"}

    run(check())


def test_a_group_that_a_meter_refuses_is_read_in_parts() -> None:
    wanted = book([0, 40], groups="phase")

    async def check() -> None:
        async with picky(refuses({20}), wanted) as meter:
            assert [batch.count for batch in meter.reader.batches(meter.all)] == [41]
            assert values(await meter.polled()) == right(meter.all)
            assert await meter.asked() == [(0, 1), (40, 1)]

    run(check())


def test_readings_have_the_same_metrics_in_the_same_order_whatever_is_learned() -> None:
    async def check() -> None:
        async with picky(refuses({107}), book(TWENTY)) as meter:
            first, second, third = [await meter.polled() for _ in range(3)]
            assert first.metrics == second.metrics == third.metrics
            assert set(first.metrics) == meter.all

    run(check())


def test_values_that_share_registers_are_told_apart_when_one_is_refused() -> None:
    wanted = RegisterMap(
        "shared",
        (
            Metric("m10", 10, 2, DataType.UINT32),
            Metric("m11", 11, 1, DataType.UINT16),
            Metric("m12", 12, 1, DataType.UINT16),
        ),
    )

    async def check() -> None:
        # Reads may not begin inside the value at 10.
        async with picky(lambda first, _: 2 if first == 11 else None, wanted) as meter:
            reading = values(await meter.polled())
            assert reading["m10"] == right(["m10"], 2)["m10"]

    run(check())


@pytest.mark.parametrize("seed", range(25))
def test_whatever_a_meter_refuses_no_other_value_is_missing_or_wrong_in_any_tick(seed: int) -> None:
    random = Random(seed)
    mapped = sorted(random.sample(range(0, 300, 2), random.randint(3, 120)))
    bad = set(random.sample(mapped, random.choice([0, 1, 3])))
    holes = {a for a in range(300) if a - a % 2 not in mapped} if random.random() < 0.5 else set()
    most, code = random.choice([2, 16, 50, 125]), random.choice([2, 3])

    def rule(first: int, count: int) -> int | None:
        asked = set(range(first, first + count))
        return code if count > most or asked & (bad | holes) or first in bad else None

    async def check() -> None:
        register_map = book(mapped, size=2, max_gap=random.choice([0, 4, 32]))
        async with picky(rule, register_map) as meter:
            expected = {**right(meter.all, 2), **{f"m{a}": f"exception:{code}" for a in bad}}
            for _ in range(40):
                before = len(meter.spans())
                assert values(await meter.polled()) == expected
                if all(rule(*span) is None for span in meter.spans()[before:]):
                    break
            else:
                pytest.fail("it goes on asking what is refused")

    run(check())
