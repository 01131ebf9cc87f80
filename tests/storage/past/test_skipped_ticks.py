"""Ticks at which a meter was not asked, because it had failed, in the ranges of what is missing."""

from random import Random

import pytest
from sqlalchemy import Engine

from emdc.reading import MeterProfile, MeterReading
from emdc.storage.past import gap_ranges
from tests.storage.past.test_chronicle_gaps import (
    AB,
    MIXED,
    PROFILE,
    Range,
    ranges,
    row,
    rows,
)
from tests.storage.plant import METER, store

REFUSED, SKIPPED = "connect_refused", "backoff_skipped"


def of_all(*reasons: str | None, start: int = 0) -> list[MeterReading]:
    """Ticks one after the other at which all had one reason; None: the values came."""
    return [
        row(start + n, {} if reason is None else dict.fromkeys(AB, reason))
        for n, reason in enumerate(reasons)
    ]


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("page", [1, 2, 3, 4, 10_000])
def test_ticks_at_which_nobody_asked_belong_to_the_failure_before(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, page: int, *, newest_first: bool
) -> None:
    store(engine, *of_all(None, REFUSED, REFUSED, SKIPPED, REFUSED, SKIPPED, SKIPPED, REFUSED),
          *of_all(SKIPPED, "read_timeout", SKIPPED, "read_timeout", SKIPPED, None, start=8),
          profiles=[PROFILE])  # fmt: skip
    monkeypatch.setattr(gap_ranges, "_ROWS_AT_ONCE", page)
    expected = [(1, 9, 8, REFUSED), (9, 13, 4, "read_timeout")]
    found = ranges(engine, newest_first=newest_first)
    assert found == [(None, *one) for one in (expected[::-1] if newest_first else expected)]
    assert ranges(engine, name=f"{METER}/b") == [("b", *one) for one in expected]


@pytest.mark.parametrize("newest_first", [False, True])
def test_skipped_ticks_without_a_failure_before_keep_their_reason(
    engine: Engine, *, newest_first: bool
) -> None:
    store(engine, *of_all(SKIPPED, REFUSED, None, SKIPPED, SKIPPED, None),
          *of_all(REFUSED, SKIPPED, SKIPPED, REFUSED, start=20), profiles=[PROFILE])  # fmt: skip
    expected: list[Range] = [
        (None, 0, 1, 1, SKIPPED),
        (None, 1, 2, 1, REFUSED),
        (None, 3, 5, 2, SKIPPED),
    ]
    found = ranges(engine, (0, 10), newest_first=newest_first)
    assert found == (expected[::-1] if newest_first else expected)
    # The failure before lies outside of the span.
    assert ranges(engine, (21, 30), newest_first=newest_first)[:: -1 if newest_first else 1] == [
        (None, 21, 23, 2, SKIPPED),
        (None, 23, 24, 1, REFUSED),
    ]


@pytest.mark.parametrize("newest_first", [False, True])
def test_an_answer_without_a_value_is_no_failure_that_ticks_are_skipped_for(
    engine: Engine, *, newest_first: bool
) -> None:
    store(engine, *of_all("exception:2", SKIPPED, None, "exception:11", SKIPPED),
          profiles=[PROFILE])  # fmt: skip
    assert ranges(engine, newest_first=newest_first)[:: -1 if newest_first else 1] == [
        (None, 0, 1, 1, "exception:2"),
        (None, 1, 2, 1, SKIPPED),
        (None, 3, 5, 2, "exception:11"),
    ]


def test_skipped_ticks_belong_to_a_failure_of_the_same_metrics(engine: Engine) -> None:
    store(engine, *rows([0], a=REFUSED), *rows([1], a=SKIPPED), *rows([2], a=REFUSED, b=SKIPPED),
          *rows([3], a=SKIPPED, b=SKIPPED), profiles=[PROFILE])  # fmt: skip
    assert ranges(engine) == [
        ("a", 0, 3, 3, REFUSED),
        ("b", 2, 3, 1, SKIPPED),
        (None, 3, 4, 1, SKIPPED),
    ]


@pytest.mark.parametrize("profile", [PROFILE, MIXED], ids=["one interval", "two intervals"])
@pytest.mark.parametrize("seed", range(4))
def test_both_orders_and_all_pages_give_the_same_ranges(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, profile: MeterProfile, seed: int
) -> None:
    rng = Random(seed)
    reasons = (None, REFUSED, SKIPPED, SKIPPED, "read_timeout", "not_available")
    found: list[MeterReading] = []
    for second in range(120):
        due = AB if profile is PROFILE or second % 10 == 0 else ("a",)
        said = rng.choice(reasons)
        mine = {name: rng.choice(reasons) if rng.random() < 0.1 else said for name in due}
        found.append(row(second, {k: why for k, why in mine.items() if why is not None}, due))
    store(engine, *found, profiles=[profile])
    whole = ranges(engine)
    assert sum(ticks or 0 for *_, ticks, _ in whole) >= sum(bool(one.gaps) for one in found)
    for page in (1, 7, 10_000):
        monkeypatch.setattr(gap_ranges, "_ROWS_AT_ONCE", page)
        assert ranges(engine) == whole
        assert ranges(engine, newest_first=True) == whole[::-1]
