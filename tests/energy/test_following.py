"""Glitches, resets and roll-overs: sequences with their energy reckoned by hand, and properties."""

from collections.abc import Sequence
from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdc.energy.counter import NEW, Followed, Mark, Point, Rules, State
from emdc.energy.following import follow

KW = 100.0
"""The most that these counters rise in an hour: 1.67 in a minute."""
METER = Rules(max_rate=KW)
HOUR = 60  # readings, one a minute


def minutes(values: Sequence[float], *, start: float = 0.0) -> list[Point]:
    return [Point(start + 60.0 * n, value) for n, value in enumerate(values)]


def followed(values: Sequence[float], rules: Rules = METER, marks: Sequence[Mark] = ()) -> Followed:
    return follow(NEW, minutes(values), rules=rules, marks=marks)


def total(found: Followed) -> float:
    return round(fsum(step.energy for step in found.steps), 9)


def kinds(found: Followed) -> list[str]:
    return [epoch.kind for epoch in found.epochs]


def climbing(first: float, n: int, *, by: float = 1) -> list[float]:
    return [round(first + by * i, 6) for i in range(n)]


@pytest.mark.parametrize(
    ("values", "energy"),
    [
        ([], 0),
        ([53700], 0),
        ([53700, 53701, 53702], 2),
        ([53700.15, 53700.18], 0.03),
        ([53700, 53700, 53700], 0),
        # One transient zero: a collector that books the return counts the meter's whole life.
        ([53700, 53701, 0, 53702, 53703], 3),
        ([53700, 53701, 0, 0, 53702, 53703], 3),
        ([53700, 53701, 4294967295, 53702, 53703], 3),
        ([53700, 53701, -1, 10**12, 53702, 53703], 3),
        ([0, 53700, 53701, 53702], 2),
        ([53700, 0, 53700, 0, 53700, 0, 53701], 1),
        # A spike that the meter could have reached is taken back.
        ([53700, 53701, 53702, 53703.5, 53702, 53702, 53703], 3),
        ([53700, 53701, 53702, 53703.5, 53704, 53702, 53702, 53703], 3),
        # A register summed of three FLOAT32 trembles in its last place.
        ([53700.5, 53700.496, 53700.496, 53700.496, 53700.496, 53700.504], 0.004),
    ],
)
def test_glitches_count_nothing(values: list[float], energy: float) -> None:
    found = followed(values)
    assert total(found) == energy
    assert found.epochs == []
    assert not any(step.suspect for step in found.steps)


@pytest.mark.parametrize(
    ("before", "after", "kind", "energy"),
    [
        # From 0 on: what it shows was counted since, when that can be.
        (climbing(53700, 5), [1, 2, 3, 4], "reset", 4 + 4),
        (climbing(53700, 5), [0, 0, 0, 1], "reset", 4 + 1),
        # Another meter, or another ratio: nothing is known of the step.
        (climbing(53700, 5), climbing(12345, 4), "reset", 4 + 3),
        (climbing(53700, 5), climbing(12345678, 4), "jump", 4 + 3),
        # Its last kWh was lost when the power failed.
        (climbing(53700, 5, by=0), climbing(53699, 4, by=0), "reset", 0),
        (climbing(-5, 5), climbing(-50, 4), "reset", 4 + 3),
    ],
)
def test_a_leap_that_stays_is_an_epoch(
    before: list[float], after: list[float], kind: str, energy: float
) -> None:
    found = followed(before + after)
    assert kinds(found) == [kind]
    assert (found.epochs[0].before, found.epochs[0].after) == (before[-1], after[0])
    assert found.epochs[0].at == 60.0 * len(before)
    assert total(found) == energy
    assert [step.end.at for step in found.steps if step.suspect] == [found.epochs[0].at]


@pytest.mark.parametrize(
    ("modulus", "last", "first", "energy"),
    [
        (10**6, 999_999, 0, 1),
        (1e6, 999_999.4, 0.3, 0.9),
        (2**32, 2**32 - 1, 0, 1),
        (10**16, 10**16 - 1, 0, 1),
        (1e16, 10**16 - 1, 1, 2),  # integers beyond 2^53 stay exact
        (2**64, 2**64 - 1, 0, 1),
    ],
)
def test_a_register_that_is_full_begins_again(
    modulus: float, last: float, first: float, energy: float
) -> None:
    rules = Rules(max_rate=KW, modulus=modulus)
    found = followed([last - 2, last - 1, last, first, first + 1, first + 2], rules)
    assert kinds(found) == ["rollover"]
    assert total(found) == 2 + energy + 2


def test_a_register_far_from_full_did_not_roll_over() -> None:
    rules = Rules(max_rate=KW, modulus=10**6)
    assert kinds(followed(climbing(700_000, 4) + climbing(0, 4), rules)) == ["reset"]
    # Half a year later it can have.
    points = [*minutes(climbing(700_000, 4)), *minutes(climbing(10, 4), start=1.6e7)]
    assert kinds(follow(NEW, points, rules=rules)) == ["rollover"]
    # A year later it can have, but then it would have been half full before.
    points = [*minutes(climbing(400_000, 4)), *minutes(climbing(10, 4), start=3.2e7)]
    assert kinds(follow(NEW, points, rules=rules)) == ["reset"]


def test_without_a_rate_only_a_register_that_was_nearly_full_rolls_over() -> None:
    rules = Rules(modulus=10**6)
    assert kinds(followed(climbing(999_990, 4) + climbing(5, 4), rules)) == ["rollover"]
    assert kinds(followed(climbing(700_000, 4) + climbing(5, 4), rules)) == ["reset"]


@pytest.mark.parametrize("rules", [METER, Rules()])
@pytest.mark.parametrize("wrong", [3, HOUR, 30 * HOUR])
def test_a_false_zero_of_any_length_never_becomes_consumption(rules: Rules, wrong: int) -> None:
    found = followed(climbing(53700, 5) + [0] * wrong + climbing(53706, 5), rules)
    assert kinds(found) == ["return"]
    assert (found.epochs[0].before, found.epochs[0].after) == (53704, 53706)
    assert total(found) == 53710 - 53700
    # Of all the time between nothing is vouched for.
    away = [step for step in found.steps if step.suspect]
    assert [(step.start.at, step.end.at, step.energy) for step in away] == [
        (240, 60 * (5 + wrong), 2)
    ]


def test_a_false_zero_before_an_outage_never_becomes_consumption() -> None:
    # In 60 days at full power the register could have risen from 0 to where it is.
    points = minutes(climbing(53700, 5) + [0] * 5)
    points += minutes(climbing(53800, 5), start=60 * 86400.0)
    found = follow(NEW, points, rules=METER)
    assert kinds(found) == ["return"]
    assert total(found) == 104


def test_a_false_zero_near_the_modulus_is_no_roll_over() -> None:
    rules = Rules(max_rate=KW, modulus=53_705)
    found = followed(climbing(53700, 5) + [0] * HOUR + climbing(53704, 1), rules)
    assert kinds(found) == ["rollover"]
    found = followed(climbing(53700, 5) + [0] * HOUR + [53704.25, 53704.5, 53704.75], rules)
    assert kinds(found) == ["return"]
    assert total(found) == 4.75


def test_a_false_height_of_any_length_never_becomes_consumption() -> None:
    found = followed(climbing(53700, 5) + [99999] * HOUR + climbing(53706, 5))
    assert kinds(found) == ["return"]
    assert total(found) == 10


def test_garbage_upon_garbage_comes_back_to_what_was_true() -> None:
    garbage = [5.0] * 4 + [0.0] * 4 + [99999.0] * 4 + [0.0] * 4
    found = followed(climbing(53700, 5) + garbage + climbing(53706, 5))
    assert kinds(found) == ["return"]
    assert total(found) == 10


def test_what_a_false_register_counted_is_part_of_what_was_counted() -> None:
    found = followed(climbing(53700, 5) + climbing(0, 4) + climbing(53710, 5))
    assert kinds(found) == ["return"]
    assert total(found) == 14


def test_a_register_comes_back_to_where_it_was_last() -> None:
    days = 3 * 86400.0
    points = minutes(climbing(100, 5) + climbing(5000, 4))
    points += minutes(climbing(5004, 4) + [10**6] * 4 + climbing(5008, 4), start=days)
    found = follow(NEW, points, rules=METER)
    assert kinds(found) == ["jump", "return"]
    assert total(found) == 4 + 0 + 3 + 1 + 3 + 1 + 3


def test_zeros_before_the_first_true_reading_are_no_register_that_stood() -> None:
    found = followed([0] * 30 * HOUR + climbing(2000, 5))
    assert kinds(found) == ["jump"]
    assert total(found) == 4


def test_a_new_meter_that_climbs_past_the_old_register_is_no_return() -> None:
    found = followed([*climbing(20, 5), *climbing(0, 40)])
    assert kinds(found) == ["reset"]
    assert total(found) == 4 + 39


def test_a_new_meter_that_passes_the_old_register_in_an_outage_is_no_return() -> None:
    points = minutes(climbing(6, 5) + climbing(0, 5))
    found = follow(NEW, points + minutes(climbing(12, 4), start=3600.0), rules=METER)
    assert kinds(found) == ["reset"]
    assert total(found) == 4 + 4 + 8 + 3


@pytest.mark.parametrize(("outage", "kinds_"), [(6 * 3600.0, ["reset"]), (60.0, ["return"])])
def test_a_meter_that_counts_may_pass_the_old_register_when_it_can(
    outage: float, kinds_: list[str]
) -> None:
    # In one step it rises more than half of what is between: as fast as that it can, or not.
    points = minutes(climbing(300, 5) + climbing(0, 5, by=0.5))
    found = follow(NEW, points + minutes(climbing(310, 4), start=540 + outage), rules=METER)
    assert kinds(found) == kinds_


def test_false_zeros_that_flicker_and_stand_never_become_consumption() -> None:
    # In the six hours that it stood at 0.5 it could have risen to where it was.
    false = [0.0] * 10 + [0.5] * 6 * HOUR
    found = followed(climbing(300, 5, by=0.1) + false + climbing(302, 5, by=0.1))
    assert kinds(found) == ["return"]
    assert total(found) == 2.4


def test_a_register_that_counted_a_year_does_not_fall_back() -> None:
    year = [Point(3600.0 * n, 5000 + n) for n in range(1, 8760)]
    points = minutes(climbing(300, 5)) + year + minutes(climbing(1000, 4), start=3600.0 * 8760)
    found = follow(NEW, points, rules=METER)
    assert kinds(found) == ["jump", "reset"]
    assert total(found) == 4 + 8758 + 3


def test_what_counted_for_long_does_not_come_back() -> None:
    days = 40
    points = minutes(climbing(53700, 5))
    points += [Point(3600.0 * n, n) for n in range(1, 24 * days)]
    points += minutes(climbing(54000, 4), start=days * 86400.0)
    assert kinds(follow(NEW, points, rules=METER)) == ["reset", "jump"]


def test_where_a_new_meter_went_by_is_forgotten() -> None:
    found = followed(climbing(20, 5) + climbing(0, 60) + climbing(30, 4))
    assert kinds(found) == ["reset", "reset"]


def test_a_counter_that_flaps_between_true_and_false_counts_once() -> None:
    values: list[float] = []
    for n in range(5):
        values += climbing(53700 + 4 * n, 4) + [0.0] * 4
    assert total(followed(values + climbing(53720, 4))) == 23


def test_a_register_that_is_written_every_quarter_hour_is_no_leap() -> None:
    found = followed([53700.0 + 12.5 * (n // 15) for n in range(120)])
    assert found.epochs == []
    assert total(found) == 12.5 * 7


def test_whole_units_that_tick_each_second_are_no_leap() -> None:
    points = [Point(float(n), 53700 + n // 40) for n in range(400)]
    found = follow(NEW, points, rules=METER)
    assert found.epochs == []
    assert total(found) == 9


@pytest.mark.parametrize(("n", "at"), [(900, 1), (900, 450), (900, 899), (901, 899), (901, 900)])
def test_one_leap_among_many_small_steps_is_seen(n: int, at: int) -> None:
    values = [round(53700 + 0.001 * i + (5 if i >= at else 0), 3) for i in range(n)]
    found = follow(NEW, [Point(float(n), value) for n, value in enumerate(values)], rules=METER)
    assert found.state.pending or found.epochs or found.steps[0].start == Point(1.0, values[1])


def test_a_register_put_aside_may_stand_still_too() -> None:
    values = [*climbing(53700, 5), 12000.5, 12000.5, 12002.7, 12002.7]
    found = followed(values, Rules(max_rate=KW, confirm=4))
    assert [epoch.after for epoch in found.epochs] == [12000.5]


def test_an_outage_lets_a_register_rise_by_what_it_can_in_that_time() -> None:
    points = [*minutes(climbing(53700, 4)), *minutes(climbing(55000, 4), start=86400.0)]
    assert total(follow(NEW, points, rules=METER)) == 3 + 1297 + 3
    points = [*minutes(climbing(53700, 4)), *minutes(climbing(59000, 4), start=86400.0)]
    assert kinds(follow(NEW, points, rules=METER)) == ["jump"]


@pytest.mark.parametrize(
    ("mark", "energy"),
    [
        (Mark(300.0, "swap"), 4 + 3),
        (Mark(300.0, "swap", before=53705, after=12344), 4 + 1 + 1 + 3),
        (Mark(300.0, "swap", before=53705), 4 + 1 + 3),
        (Mark(300.0, "swap", after=12344), 4 + 1 + 3),
        (Mark(300.0, "ratio"), 4 + 3),
        (Mark(300.0, "reset", after=12300), 4 + 45 + 3),
    ],
)
def test_a_mark_decides_what_the_step_over_it_counts(mark: Mark, energy: float) -> None:
    found = followed(climbing(53700, 5) + climbing(12345, 4), marks=[mark])
    assert total(found) == energy
    assert kinds(found) == [mark.kind]
    assert found.epochs[0].marked
    assert [step.end.at for step in found.steps if step.suspect] == [300.0]


def test_a_swap_makes_what_was_before_it_no_place_to_return_to() -> None:
    values = climbing(53700, 5) + [0] * 4 + climbing(100, 4) + climbing(53710, 4)
    assert kinds(followed(values, marks=[Mark(540.0, "swap")])) == ["reset", "swap", "jump"]


def test_a_marked_leap_is_taken_at_once() -> None:
    found = followed([*climbing(53700, 5), 12345], marks=[Mark(300.0, "swap")])
    assert found.state.pending == ()
    assert found.steps[-1].end == Point(300.0, 12345)


def test_a_glitch_right_after_a_swap_counts_nothing() -> None:
    mark = Mark(300.0, "swap", before=53704, after=12345)
    found = followed([*climbing(53700, 5), 10**9, *climbing(12345, 4)], marks=[mark])
    assert total(found) == 4 + 3


def test_a_reset_that_only_a_glitch_bore_out_counts_nothing() -> None:
    found = followed([53700, 1, 53701, 53702, 53703], marks=[Mark(60.0, "reset")])
    assert total(found) == 3
    assert found.epochs == []


def test_a_ratio_that_changes_counts_nothing_though_the_register_goes_on() -> None:
    found = followed(climbing(53700, 10), marks=[Mark(300.0, "ratio")])
    assert total(found) == 9 - 1


def test_a_jump_that_is_said_to_be_real_counts() -> None:
    found = followed(climbing(100, 5) + climbing(53700, 4), marks=[Mark(300.0, "real")])
    assert total(found) == 4 + 53596 + 3
    assert not any(step.suspect for step in found.steps)


def test_a_mark_at_a_rollover_counts_up_to_the_modulus() -> None:
    values = climbing(700_000, 5) + climbing(2, 4)
    rules = Rules(max_rate=KW, modulus=10**6)
    found = followed(values, rules, [Mark(300.0, "rollover")])
    assert total(found) == 4 + (10**6 - 700_004 + 2) + 3


def test_what_is_said_to_be_a_glitch_is_never_confirmed() -> None:
    values = climbing(53700, 5) + [0] * HOUR + climbing(53706, 4)
    found = followed(values, marks=[Mark(300.0, "glitch")])
    assert found.epochs == []
    assert total(found) == 9
    assert len(followed(values[:40], marks=[Mark(300.0, "glitch")]).state.pending) == 3


def test_a_state_survives_json() -> None:
    found = followed(climbing(53700, 5) + [0] * 5 + [7])
    plain = found.state.to_plain()
    assert State.from_plain(plain) == found.state
    assert State.from_plain(NEW.to_plain()) == NEW
    assert NEW.to_plain() == []


GLITCH = st.one_of(
    st.sampled_from([0, 1, -1, 10**12]),
    st.integers(-(10**9), 10**12),
    st.integers(536_990, 537_400),  # near, in tenths
)
quick = settings(max_examples=40, derandomize=True, deadline=None)


@st.composite
def glitched(draw: st.DrawFn) -> tuple[int, list[float], float]:
    """How many readings confirm; readings with runs of glitches; what was counted really."""
    confirm = draw(st.integers(2, 4))
    good = [537_000]
    values: list[float] = []
    for _ in range(draw(st.integers(1, 6))):
        rises = draw(st.lists(st.integers(0, 16), min_size=confirm, max_size=8))
        for rise in rises:
            good.append(good[-1] + rise)
            values.append(good[-1] / 10)
        run = draw(st.lists(GLITCH, max_size=confirm - 1))
        values += [glitch / 10 for glitch in run]
    values += [good[-1] / 10] * confirm
    return confirm, values, round((good[-1] - good[1]) / 10, 6)


@pytest.mark.parametrize("max_rate", [KW, None])
@quick
@given(sequence=glitched())
def test_runs_of_glitches_shorter_than_confirm_change_nothing(
    max_rate: float | None, sequence: tuple[int, list[float], float]
) -> None:
    confirm, values, energy = sequence
    found = followed(values, Rules(max_rate=max_rate, confirm=confirm))
    assert found.epochs == []
    assert total(found) == energy


@pytest.mark.parametrize("max_rate", [KW, None])
@quick
@given(
    parts=st.lists(
        st.tuples(st.lists(st.integers(0, 16), min_size=3, max_size=8), st.integers(0, 40)),
        min_size=2,
        max_size=6,
    )
)
def test_false_zeros_of_any_length_change_no_total(
    max_rate: float | None, parts: list[tuple[list[int], int]]
) -> None:
    good, values = [537_000], [53_700.0] * 3
    for rises, zeros in parts:
        values += [0.0] * zeros
        for rise in rises:
            good.append(good[-1] + rise)
            values.append(good[-1] / 10)
    assert total(followed(values, Rules(max_rate=max_rate))) == (good[-1] - good[0]) / 10


SEQUENCES = st.lists(
    st.one_of(
        st.integers(0, 3).map(lambda by: ("rise", by)),
        st.sampled_from([("set", 0), ("set", 53700), ("set", 99_999), ("set", 40), ("fall", 1)]),
    ),
    min_size=1,
    max_size=40,
)
MARKS = st.lists(
    st.builds(
        Mark,
        at=st.integers(0, 40).map(lambda n: 60.0 * n),
        kind=st.sampled_from(["swap", "ratio", "reset", "rollover", "glitch", "real"]),
        before=st.sampled_from([None, 53700.0]),
        after=st.sampled_from([None, 0.0]),
    ),
    max_size=2,
).map(lambda marks: sorted(marks, key=lambda mark: mark.at))
RULES = st.builds(
    Rules,
    max_rate=st.sampled_from([None, 100.0]),
    modulus=st.sampled_from([None, 100_000.0]),
    confirm=st.integers(1, 4),
)


def readings(sequence: list[tuple[str, int]]) -> list[Point]:
    value, values = 53700, []
    for what, number in sequence:
        value = number if what == "set" else value + (number if what == "rise" else -number)
        values.append(value)
    return minutes(values)


@quick
@given(sequence=SEQUENCES, cut=st.integers(0, 40), rules=RULES, marks=MARKS)
def test_cut_anywhere_readings_give_the_same(
    sequence: list[tuple[str, int]], cut: int, rules: Rules, marks: list[Mark]
) -> None:
    points = readings(sequence)
    whole = follow(NEW, points, rules=rules, marks=marks)
    first = follow(NEW, points[:cut], rules=rules, marks=marks)
    stored = State.from_plain(first.state.to_plain())
    second = follow(stored, points[cut:], rules=rules, marks=marks)
    assert second.state == whole.state
    begin = first.state.tail[0].at if first.state.tail else -1.0
    if second.steps:  # the register may have come back to where it was earlier
        begin = min(begin, second.steps[0].start.at)
    kept = [step for step in first.steps if step.end.at <= begin]
    assert kept + second.steps == whole.steps
    early = [epoch for epoch in first.epochs if epoch.at <= begin]
    assert early + second.epochs == whole.epochs


@quick
@given(sequence=SEQUENCES, rules=RULES)
def test_no_step_is_negative_and_readings_that_fit_are_taken_at_once_or_one_by_one(
    sequence: list[tuple[str, int]], rules: Rules
) -> None:
    points = readings(sequence)
    whole = follow(NEW, points, rules=rules)
    assert all(step.energy >= 0 for step in whole.steps)
    state = NEW
    for point in points:
        state = follow(state, [point], rules=rules).state
    assert state == whole.state
