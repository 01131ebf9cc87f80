from emdc.energy.cells import Due
from emdc.energy.dues import expected, intervals, longest_step, ticks

DAY = 86400.0


def test_a_schedule_owes_its_ticks_to_its_slots() -> None:
    schedule = [Due(0.0, 60.0, frozenset({0, 2})), Due(0.0, 3600.0, frozenset({3}))]
    assert expected(schedule, DAY, slots=5) == [15, None, 15, 1, None]
    assert expected(schedule, DAY + 900, slots=5) == [15, None, 15, 0, None]


def test_a_schedule_in_force_at_its_end_counts_for_the_whole_cell() -> None:
    schedule = [
        Due(DAY + 899.0, 60.0, frozenset({0})),
        Due(DAY + 1800.0, 60.0, frozenset({0, 1})),
        Due(DAY + 3000.0, 60.0, frozenset()),
    ]
    found = [expected(schedule, DAY + 900 * n, slots=2) for n in range(-1, 4)]
    assert found == [[None, None], [15, None], [15, None], [15, 15], [None, None]]


def test_ticks_that_do_not_divide_a_cell_are_counted() -> None:
    assert [ticks((700_000_000,), 900.0 * n) for n in range(7)] == [2, 1, 1, 2, 1, 1, 1]
    assert ticks((500_000,), 0.0) == 1800


def test_ticks_shared_by_two_intervals_count_once() -> None:
    schedule = [Due(0.0, 60.0, frozenset({0})), Due(0.0, 40.0, frozenset({0}))]
    assert intervals(schedule, 0.0, slots=1) == [(40_000_000, 60_000_000)]
    assert expected(schedule, 0.0, slots=1) == [23 + 15 - 8]


def test_where_a_tick_is_due_it_must_be_read_itself() -> None:
    assert longest_step((60_000_000,), 900.0) == 0
    assert longest_step((700_000_000,), 900.0) == 700.0
    assert longest_step((3_600_000_000,), 900.0) == 3600.0
    assert longest_step((), 900.0) == 900.0
    assert [longest_step((1_000_000,), at) for at in (DAY + 1, DAY + 1.25)] == [0, 1]


def test_slots_that_the_meter_has_no_more_owe_nothing() -> None:
    assert expected([Due(0.0, 60.0, frozenset({0, 7}))], 0.0, slots=1) == [15]
