from hypothesis import given
from hypothesis import strategies as st

from emdc.errors import LinkError, ProtocolError
from emdc.modbus.backoff import HELD_RETRY_S, Backoff, Backoffs

RESET = LinkError("connection_reset")
SILENT = LinkError("read_timeout")


def pauses(count: int, jitter: float) -> list[float]:
    backoff = Backoff(1.0, 30.0, lambda: jitter)
    found = []
    for _ in range(count):
        backoff.failed(RESET, 100.0)
        found.append(max(backoff.retry_at - 100.0, 0.0))
    return found


def test_the_pause_starts_with_the_second_failure_doubles_and_is_capped() -> None:
    assert pauses(9, jitter=0.0) == [0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_ten_thousand_failures_are_no_number_too_large() -> None:
    assert pauses(10_000, jitter=0.0)[-1] == 30


@given(st.floats(0, 1))
def test_jitter_takes_at_most_half_of_a_pause_away(jitter: float) -> None:
    for pause, most in zip(pauses(8, jitter), pauses(8, 0.0), strict=True):
        assert most / 2 <= pause <= most


def test_a_refusal_says_what_happened_before_and_ends_with_the_pause() -> None:
    backoff = Backoff(1.0, 30.0, lambda: 0.0)
    backoff.failed(RESET, 100.0)
    assert backoff.refusal(100.0) is None
    backoff.failed(RESET, 100.0)
    refusal = backoff.refusal(100.9)
    assert refusal is not None
    assert str(refusal) == "backoff_skipped: connection_reset"
    assert backoff.refusal(101.0) is None


def test_a_meter_that_another_process_holds_is_asked_for_again_soon() -> None:
    backoff = Backoff(8.0, 30.0, lambda: 0.0)
    for now in range(100):
        backoff.failed(LinkError("meter_held"), float(now))
        assert backoff.retry_at == now + HELD_RETRY_S
    assert backoff.failures == 0


def test_a_silent_unit_waits_alone() -> None:
    backoffs = Backoffs(1.0, 30.0, lambda: 0.0)
    for _ in range(3):
        backoffs.failed(SILENT, 0.0, unit=3)
    assert backoffs.refusal(0.5, unit=3) is not None
    assert backoffs.refusal(0.5, unit=1) is None
    assert backoffs.refusal(0.5) is None
    assert backoffs.failures() == 3


def test_a_broken_connection_makes_everything_wait_until_something_answers() -> None:
    backoffs = Backoffs(1.0, 30.0, lambda: 0.0)
    for _ in range(3):
        backoffs.failed(RESET, 0.0, unit=3)
    assert backoffs.refusal(0.5) is not None
    assert backoffs.answered(unit=3)
    backoffs.failed(RESET, 10.0)
    assert (backoffs.failures(), backoffs.refusal(10.0)) == (1, None)


def test_an_answer_forgives_its_own_unit_only() -> None:
    backoffs = Backoffs(1.0, 30.0, lambda: 0.0)
    backoffs.failed(SILENT, 0.0, unit=3)
    assert not backoffs.answered(unit=1)
    assert backoffs.failures() == 1
    assert backoffs.answered(unit=3)
    assert backoffs.failures() == 0


def test_a_unit_that_is_held_waits_without_having_failed() -> None:
    backoffs = Backoffs(1.0, 30.0, lambda: 0.0)
    backoffs.hold(SILENT, 3.0, unit=3)
    assert backoffs.refusal(2.9, unit=3) is not None
    assert backoffs.refusal(2.9, unit=1) is None
    assert backoffs.refusal(3.0, unit=3) is None
    assert backoffs.failures() == 0


def test_a_hold_shortens_no_pause() -> None:
    backoffs = Backoffs(8.0, 30.0, lambda: 0.0)
    for _ in range(2):
        backoffs.failed(SILENT, 0.0, unit=3)
    backoffs.hold(SILENT, 3.0, unit=3)
    assert backoffs.refusal(7.9, unit=3) is not None


def test_a_wrong_answer_makes_everything_wait_and_on_a_line_its_unit_alone() -> None:
    wrong = ProtocolError("protocol_error:crc")
    for on_line in (False, True):
        backoffs = Backoffs(1.0, 30.0, lambda: 0.0)
        backoffs.on_line = on_line
        for _ in range(2):
            backoffs.failed(wrong, 0.0, unit=3)
        assert (backoffs.refusal(0.5) is None) == on_line
        assert (backoffs.refusal(0.5, unit=3) is not None) == on_line
