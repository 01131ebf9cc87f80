from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.meters.learned import ZEROS, Lesson, Lessons, Tried, lessons_of, too_long
from emdc.meters.plan import Avoid, Batch, Span, plan, split
from emdc.meters.register_map import DataType, Metric

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
REFUSED = "exception:2"


def batch(*addresses: int, code: int = 3) -> Batch:
    metrics = [Metric(f"m{a}", a, 1, DataType.UINT16, function_code=code) for a in addresses]
    (found,) = plan(metrics, max_registers=125, max_gap=124)
    return found


def value(address: int, *, at: datetime = NOW, times: int = 1) -> Lesson:
    span = Span(3, address, 1)
    return Lesson(kind="value", read=span, reason=REFUSED, learned=NOW, asked=at, times=times)


def apart(address: int, count: int, cut: Span | None = None) -> Lesson:
    read = Span(3, address, count)
    return Lesson(
        kind="apart", read=read, reason=REFUSED, learned=NOW, asked=NOW, apart=cut or read
    )


def taught(*tried: Tried, answered: tuple[Batch, ...] = ()) -> list[Lesson]:
    outcome = {one.batch.span: one.reason for one in tried}
    return lessons_of(tried, {**outcome, **{one.span: None for one in answered}}, NOW)


def test_a_value_that_is_refused_alone_explains_all_that_held_it() -> None:
    whole, left, right = batch(0, 1, 2), batch(0), batch(1, 2)
    one, other = split(right)
    found = taught(
        Tried(whole, REFUSED, (left, right)),
        Tried(right, REFUSED, (one, other)),
        Tried(other, REFUSED),
        answered=(left, one),
    )
    assert found == [value(2)]


def test_a_read_whose_parts_are_answered_is_not_to_be_made_over_its_cut() -> None:
    whole, left, right = batch(0, 1, 5, 6), batch(0, 1), batch(5, 6)
    (found,) = taught(Tried(whole, REFUSED, (left, right)), answered=(left, right))
    assert found == apart(0, 7, Span(3, 1, 5))


def test_a_read_that_nothing_was_asked_of_is_to_be_read_in_parts() -> None:
    assert taught(Tried(batch(0, 1, 5, 6), REFUSED)) == [apart(0, 7)]


def test_a_read_whose_parts_were_not_answered_is_unclear() -> None:
    whole, left, right = batch(0, 1, 5, 6), batch(0, 1), batch(5, 6)
    silent = {whole.span: REFUSED, left.span: None, right.span: "read_timeout"}
    assert lessons_of([Tried(whole, REFUSED, (left, right))], silent, NOW) == [apart(0, 7)]


def test_a_long_read_without_a_hole_is_too_long() -> None:
    whole = batch(*range(60))
    (found,) = taught(Tried(whole, REFUSED, split(whole)), answered=split(whole))
    assert (found.kind, found.limit) == ("length", 30)


def test_a_longer_read_that_was_answered_says_that_it_is_not_the_length() -> None:
    whole = batch(*range(60))
    parts = split(whole)
    (found,) = taught(Tried(whole, REFUSED, parts), answered=(*parts, batch(*range(100, 170))))
    assert found == apart(0, 60, Span(3, 29, 2))


def test_exception_3_says_the_length_where_2_says_the_hole() -> None:
    whole = batch(*range(30), *range(40, 60))
    parts = split(whole)
    kinds = [
        taught(Tried(whole, reason, parts), answered=parts)[0].kind
        for reason in ("exception:2", "exception:3")
    ]
    assert kinds == ["apart", "length"]


def test_bits_and_short_reads_are_never_too_long() -> None:
    for whole in (batch(*range(60), code=1), batch(*range(16))):
        (found,) = taught(Tried(whole, "exception:3", split(whole)), answered=split(whole))
        assert found.kind == "apart"


def test_zeros_are_a_matter_of_length() -> None:
    whole = batch(*range(40))
    (found,) = taught(Tried(whole, ZEROS, split(whole)), answered=split(whole))
    assert (found.kind, found.limit, found.reason) == ("length", 20, ZEROS)


@pytest.mark.parametrize(
    ("times", "pause"),
    [(1, "0:01"), (2, "0:10"), (3, "1:00"), (4, "6:00"), (5, "24:00"), (9, "24:00")],
)
def test_a_refused_value_is_asked_again_later_and_later(times: int, pause: str) -> None:
    hours, minutes = map(int, pause.split(":"))
    assert value(0, times=times).again_at == NOW + timedelta(hours=hours, minutes=minutes)


def test_other_reads_are_asked_again_once_a_day_and_a_guess_at_once() -> None:
    assert apart(0, 9).again_at == NOW + timedelta(days=1)
    guess = too_long(Span(3, 0, 40), "read_timeout", NOW, times=0)
    assert guess.again_at < NOW
    assert guess.limit == 20


def test_what_waits_longest_is_due_first() -> None:
    lessons = Lessons([value(1, at=NOW), value(2, at=NOW - timedelta(minutes=3)), apart(0, 9)])
    assert lessons.due(NOW - timedelta(minutes=2, seconds=1)) is None
    due = lessons.due(NOW)
    assert due is not None
    assert due.read.address == 2
    lessons.confirm(due, "exception:3", NOW)
    assert lessons.due(NOW) is None
    assert {(one.reason, one.times) for one in lessons.all} == {(REFUSED, 1), ("exception:3", 2)}


def test_values_of_one_reading_are_believed_together() -> None:
    later = msgspec.structs.replace(value(3), learned=NOW + timedelta(hours=1))
    lessons = Lessons([value(1), value(2), later, apart(10, 9)])
    assert lessons.forget(value(1)) == [value(1), value(2)]
    assert lessons.all == (later, apart(10, 9))


def test_what_is_known_already_changes_nothing() -> None:
    lessons = Lessons()
    assert lessons.learn([value(1), apart(0, 9, Span(3, 4, 3))]) != []
    before = lessons.all
    again = msgspec.structs.replace(value(1), asked=NOW + timedelta(days=3))
    assert lessons.learn([again, apart(0, 20), apart(2, 6, Span(3, 3, 5))]) == []
    assert lessons.all == before


def test_a_smaller_fact_takes_the_place_of_those_that_it_explains() -> None:
    lessons = Lessons([apart(0, 40), apart(60, 30)])
    lessons.learn([apart(0, 20), value(65)])
    assert lessons.all == (apart(0, 20), value(65))
    shorter = too_long(Span(3, 0, 24), REFUSED, NOW)
    lessons.learn([apart(70, 30), shorter])
    assert lessons.all == (value(65), shorter)
    assert lessons.avoid.max_registers == 12
    assert lessons.learn([too_long(Span(3, 0, 100), REFUSED, NOW)]) == []


@given(
    st.sets(st.integers(0, 120), min_size=1, max_size=40),
    st.sets(st.integers(0, 120), max_size=3),
    st.integers(5, 125),
)
def test_whatever_a_meter_refuses_only_that_is_lost_and_the_plan_comes_to_rest(
    addresses: set[int], bad: set[int], most: int
) -> None:
    """A meter that refuses bad registers and long reads, as `learner` treats it, without a link."""
    metrics = [Metric(f"m{a}", a, 1, DataType.UINT16) for a in addresses]
    lessons = Lessons()

    def refuses(span: Span) -> bool:
        asked = range(span.address, span.end)
        return span.count > most or any(address in asked for address in bad)

    for _ in range(60):
        wanted = [m for m in metrics if Span(3, m.address, 1) not in lessons.refused]
        queue = list(plan(wanted, lessons.avoid, max_registers=125, max_gap=8))
        tried, outcome, refused = [], {}, False
        for one in queue:
            outcome[one.span] = REFUSED if refuses(one.span) else None
            if outcome[one.span]:
                refused = True
                parts = () if one.is_one_value else split(one)
                tried.append(Tried(one, REFUSED, parts))
                queue += parts
        given_ = {m.name for one in queue if outcome[one.span] is None for m in one.metrics}
        assert given_ == {f"m{a}" for a in addresses - bad}
        if not refused:
            break
        lessons.learn(lessons_of(tried, outcome, NOW))
    else:
        pytest.fail("it goes on asking what is refused")
    assert {span.address for span in lessons.refused} == addresses & bad


def test_nothing_learned_avoids_nothing() -> None:
    assert Lessons().avoid == Avoid()
