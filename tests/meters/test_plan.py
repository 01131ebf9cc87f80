from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.meters.plan import MAX_BITS, Avoid, Batch, Span, plan, span_of, split, torn_groups
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
        assert sorted(m.name for part in parts for m in part.metrics) == sorted(
            m.name for m in batch.metrics
        )
        for part in parts:
            assert split(part) == (part,)
            assert {span_of([metric]) for metric in part.metrics} == {part.span}


@given(metrics())
def test_a_batch_is_split_in_two_between_two_values_unless_they_overlap(
    wanted: list[Metric],
) -> None:
    for batch in plan(wanted, max_registers=125, max_gap=40):
        parts = split(batch)
        named = sorted(m.name for part in parts for m in part.metrics)
        assert named == sorted(m.name for m in batch.metrics)
        edges = {m.address for m in batch.metrics} - {batch.address}
        if any(
            all(m.address + m.size <= e or m.address >= e for m in batch.metrics) for e in edges
        ):
            assert len(parts) == 2
            assert parts[0].span.end <= parts[1].address


@given(
    metrics(),
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 30)), max_size=8),
    st.integers(10, 125),
)
def test_nothing_that_was_refused_is_read_with_several_values(
    wanted: list[Metric], places: list[tuple[int, int]], most: int
) -> None:
    apart = tuple(Span(3, address, count) for address, count in places)
    batches = plan(wanted, Avoid(most // 2, apart), max_registers=most, max_gap=40)
    assert sorted(m.name for b in batches for m in b.metrics) == sorted(m.name for m in wanted)
    for batch in batches:
        if len({span_of([metric]) for metric in batch.metrics}) > 1:
            assert not any(batch.span.covers(span) for span in apart)
            assert batch.function_code < 3 or batch.count <= most // 2


def test_what_is_unclear_is_read_apart_from_what_is_beside_it() -> None:
    four = [metric(address) for address in (0, 2, 4, 6)]
    unclear = (Span(3, 2, 4),)
    avoid = Avoid(apart=unclear, secluded=unclear)
    assert spans(plan(four, avoid, max_registers=125, max_gap=0)) == [
        (0, 2),
        (2, 2),
        (4, 2),
        (6, 2),
    ]


def test_a_value_longer_than_the_meter_was_found_to_give_is_read_alone() -> None:
    three = [metric(0), metric(2, 8), metric(10)]
    found = plan(three, Avoid(max_registers=4), max_registers=125, max_gap=0)
    assert spans(found) == [(0, 2), (2, 8), (10, 2)]


def grouped(address: int, group: str, *, code: int = 3) -> Metric:
    return replace(metric(address, code=code), name=f"{group}-{address}", group=group)


def test_a_group_stays_in_one_read_over_any_hole() -> None:
    wanted = [grouped(0, "a"), metric(40), grouped(100, "a"), metric(110)]
    assert spans(plan(wanted, max_registers=125, max_gap=0)) == [(0, 102), (110, 2)]


def test_a_group_is_not_cut_where_a_read_is_full() -> None:
    wanted = [metric(0), metric(2), grouped(4, "a"), grouped(6, "a"), grouped(8, "a")]
    assert spans(plan(wanted, max_registers=8, max_gap=0)) == [(0, 4), (4, 6)]


def test_groups_that_interleave_are_each_in_one_read() -> None:
    wanted = [grouped(0, "a"), grouped(60, "b"), grouped(80, "a"), grouped(150, "b")]
    found = plan(wanted, max_registers=125, max_gap=0)
    assert spans(found) == [(0, 82), (60, 92)]
    assert torn_groups(found) == ()


@pytest.mark.parametrize(
    "wanted",
    [
        [grouped(0, "a"), grouped(124, "a")],
        [grouped(0, "a"), grouped(2, "a", code=4)],
    ],
)
def test_a_group_that_no_read_can_hold_is_told_and_read_all_the_same(wanted: list[Metric]) -> None:
    found = plan(wanted, max_registers=125, max_gap=0)
    assert [m.name for batch in found for m in batch.metrics] == [m.name for m in wanted]
    assert torn_groups(found) == ("a",)


def test_a_value_is_read_together_with_the_registers_of_its_scale() -> None:
    scale = Metric("SF", 30, 1, DataType.INT16)
    wanted = [replace(metric(0), scale_register="SF"), metric(10), scale]
    assert spans(plan(wanted, max_registers=125, max_gap=0)) == [(0, 31)]
    assert spans(plan(wanted, max_registers=20, max_gap=0)) == [(0, 2), (10, 2), (30, 1)]


def test_a_group_that_is_too_long_leaves_its_values_with_their_scales() -> None:
    scale = Metric("SF", 10, 1, DataType.INT16)
    wanted = [replace(grouped(0, "a"), scale_register="SF"), scale, grouped(200, "a")]
    found = plan(wanted, max_registers=125, max_gap=0)
    assert spans(found) == [(0, 11), (200, 2)]
    assert torn_groups(found) == ("a",)


@given(metrics(), st.integers(10, 125), st.data())
def test_a_group_is_in_one_read_whenever_one_could_hold_it(
    wanted: list[Metric], most: int, data: st.DataObject
) -> None:
    names = st.sampled_from(["", "", "a", "b", "c"])
    wanted = [replace(metric, group=data.draw(names)) for metric in wanted]
    torn = torn_groups(plan(wanted, max_registers=most, max_gap=data.draw(st.integers(0, 40))))
    for name in {metric.group for metric in wanted} - {""}:
        members = [metric for metric in wanted if metric.group == name]
        span = span_of(members)
        limit = MAX_BITS if span.function_code < 3 else most
        one_code = len({metric.function_code for metric in members}) == 1
        assert (name in torn) <= (not one_code or span.count > limit)


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
    with pytest.raises(ValueError, match="3-0-9 fills 9 registers, max_registers is 8: raise it"):
        plan([metric(0, 9)], max_registers=8, max_gap=0)
