from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.meters.plan import MAX_BITS, Batch, plan, split
from emdc.meters.register_map import DataType, Metric


def metric(address: int, size: int = 2, *, code: int = 3) -> Metric:
    name = f"{code}-{address}-{size}"
    return Metric(name, address, size, DataType.STRING, function_code=code)


@st.composite
def metrics(draw: st.DrawFn) -> list[Metric]:
    places = draw(
        st.lists(
            st.tuples(st.integers(0, 400), st.integers(1, 10), st.sampled_from([1, 2, 3, 4])),
            max_size=60,
            unique=True,
        )
    )
    return [metric(address, size, code=code) for address, size, code in places]


def spans(batches: tuple[Batch, ...]) -> list[tuple[int, int]]:
    return [(batch.address, batch.count) for batch in batches]


@given(metrics(), st.integers(10, 125), st.integers(0, 40))
def test_every_metric_lies_in_exactly_one_batch_that_keeps_the_meters_limits(
    wanted: list[Metric], max_registers: int, max_gap: int
) -> None:
    batches = plan(wanted, max_registers=max_registers, max_gap=max_gap)
    assert sorted(m.name for b in batches for m in b.metrics) == sorted(m.name for m in wanted)
    for batch in batches:
        assert {m.function_code for m in batch.metrics} == {batch.function_code}
        assert batch.count <= (MAX_BITS if batch.function_code < 3 else max_registers)
        mapped = {a for m in batch.metrics for a in range(m.address, m.address + m.size)}
        assert mapped <= set(range(batch.address, batch.address + batch.count))
        assert {batch.address, batch.address + batch.count - 1} <= mapped
        assert longest_hole(batch, mapped) <= max_gap


def longest_hole(batch: Batch, mapped: set[int]) -> int:
    longest = hole = 0
    for address in range(batch.address, batch.address + batch.count):
        hole = 0 if address in mapped else hole + 1
        longest = max(hole, longest)
    return longest


@given(metrics(), st.integers(10, 125), st.integers(0, 40))
def test_two_batches_that_follow_one_another_could_not_be_one(
    wanted: list[Metric], max_registers: int, max_gap: int
) -> None:
    batches = plan(wanted, max_registers=max_registers, max_gap=max_gap)
    for one, next_ in pairwise(batches):
        if one.function_code == next_.function_code:
            limit = MAX_BITS if one.function_code < 3 else max_registers
            first = next_.metrics[0]
            end = one.address + one.count
            assert first.address - end > max_gap or (
                max(end, first.address + first.size) - one.address > limit
            )


@given(metrics(), st.randoms(use_true_random=False))
def test_the_order_of_the_sheet_does_not_matter(wanted: list[Metric], random: Random) -> None:
    before = plan(wanted, max_registers=125, max_gap=8)
    random.shuffle(wanted)
    assert plan(wanted, max_registers=125, max_gap=8) == before


@given(metrics())
def test_splitting_again_and_again_ends_with_what_cannot_be_told_apart(
    wanted: list[Metric],
) -> None:
    for batch in plan(wanted, max_registers=125, max_gap=40):
        parts = [batch]
        for _ in range(len(batch.metrics)):
            parts = [half for part in parts for half in split(part)]
        assert [m for part in parts for m in part.metrics] == list(batch.metrics)
        for part in parts:
            assert split(part) == (part,)
            spread = {a for m in part.metrics for a in range(m.address, m.address + m.size)}
            assert len(spread) == part.count


@given(metrics())
def test_a_batch_is_split_in_two_between_two_values(wanted: list[Metric]) -> None:
    for batch in plan(wanted, max_registers=125, max_gap=40):
        halves = split(batch)
        assert len(halves) in {1, 2}
        assert tuple(m for half in halves for m in half.metrics) == batch.metrics
        if len(halves) == 2:
            assert halves[0].address + halves[0].count <= halves[1].address


def test_a_gap_of_the_allowed_size_is_crossed_and_a_longer_one_starts_a_new_batch() -> None:
    two = [metric(0), metric(10)]
    assert spans(plan(two, max_registers=125, max_gap=8)) == [(0, 12)]
    assert spans(plan(two, max_registers=125, max_gap=7)) == [(0, 2), (10, 2)]


def test_a_value_that_does_not_fit_any_more_starts_a_new_batch_whole() -> None:
    seven = [metric(address) for address in range(0, 14, 2)]
    assert spans(plan(seven, max_registers=5, max_gap=0)) == [(0, 4), (4, 4), (8, 4), (12, 2)]


def test_values_that_overlap_share_their_registers() -> None:
    shared = [metric(0, 4), metric(0, 2), metric(1, 1), metric(3, 2)]
    assert spans(plan(shared, max_registers=125, max_gap=0)) == [(0, 5)]


def test_a_long_value_before_a_short_one_inside_it_keeps_its_end() -> None:
    nested = [metric(0, 10), metric(2, 1), metric(10, 1)]
    assert spans(plan(nested, max_registers=125, max_gap=0)) == [(0, 11)]


def test_the_widest_hole_is_where_a_batch_is_split() -> None:
    (batch,) = plan([metric(a) for a in (0, 2, 4, 20, 22, 30)], max_registers=125, max_gap=16)
    assert spans(split(batch)) == [(0, 6), (20, 12)]


def test_a_batch_without_holes_is_split_in_the_middle() -> None:
    (batch,) = plan([metric(a) for a in range(0, 16, 2)], max_registers=125, max_gap=0)
    assert spans(split(batch)) == [(0, 8), (8, 8)]


def test_nothing_wanted_is_nothing_read() -> None:
    assert plan([], max_registers=125, max_gap=0) == ()


def test_a_value_longer_than_the_meter_gives_is_named() -> None:
    with pytest.raises(ValueError, match="3-0-9 fills 9 registers, the meter gives 8"):
        plan([metric(0, 9)], max_registers=8, max_gap=0)
