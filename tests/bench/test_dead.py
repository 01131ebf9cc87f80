"""The schedule of attempts that `bench dead` holds against what it sees."""

from itertools import accumulate

from bench.dead import CAP_S, Schedule

SCHEDULE = Schedule()


def attempts(*pauses_s: float) -> list[float]:
    return list(accumulate(pauses_s, initial=100.0))


def test_pauses_that_grow_to_the_cap_are_right() -> None:
    assert all(SCHEDULE.judge(attempts(0.0, 1.0, 2.0, CAP_S, CAP_S)))


def test_half_of_a_pause_may_be_left_out() -> None:
    assert all(SCHEDULE.judge(attempts(0.0, 0.5, 1.0, CAP_S / 2)))


def test_an_attempt_in_every_tick_is_too_often() -> None:
    assert SCHEDULE.judge(attempts(1.0, 1.0, 1.0, 1.0)) == [True, True, True, False]


def test_a_meter_that_is_given_up_is_seen() -> None:
    assert SCHEDULE.judge(attempts(1.0, 1.0, 2.0, 60.0)) == [True, True, True, False]


def test_the_count_of_attempts_lies_between_the_shortest_and_the_longest_pauses() -> None:
    assert SCHEDULE.least(18) == 3
    assert SCHEDULE.most(18) == 12
