from datetime import UTC, datetime

import pytest

from emdc.cli.moments import moment, span
from emdc.errors import ConfigError
from emdc.storage.past.samples import Span
from tests.storage.plant import NOON


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00Z", NOON),
        ("2026-03-01T04:00:00-08:00", NOON),
        ("2026-03-01 12:00Z", NOON),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
    ],
)
def test_an_instant_has_a_zone_or_is_midnight_utc(text: str, expected: datetime) -> None:
    assert moment("start", text) == expected
    assert moment("start", None) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-03-01T12:00", "has no time zone, expected 2026-03-01T12:00Z for UTC or 2026-"),
        ("20260301", "has no time zone"),
        ("yesterday", "'yesterday', expected such as 2026-03-01T12:00:00Z"),
        ("0000-01-01", "expected such as"),
        ("9999-12-31T23:59:59-01:00", "beyond the calendar"),
        ("99999-01-01", "expected such as"),
        ("", "expected such as"),
    ],
)
def test_what_leaves_the_instant_open_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"^--start: .*{said}"):
        moment("start", text)


def test_a_span_is_text_as_it_is_stored() -> None:
    assert span("2026-03-01", "2026-03-02", NOON) == Span(
        "2026-03-01 00:00:00.000000", "2026-03-02 00:00:00.000000"
    )
    assert span(None, None, NOON) == Span()
    assert span(None, "9999-12-31", NOON).end == "9999-12-31 00:00:00.000000"


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-03-01", "2026-02-28", "--start: 2026-03-01 is not before --end 2026-02-28"),
        ("2026-03-01", "2026-03-01", "is not before"),
        ("2026-03-02", None, "lies in the future, expected at most 2026-03-01T12:00:00Z"),
    ],
)
def test_a_span_that_can_hold_nothing_is_refused(start: str, end: str | None, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        span(start, end, NOON)
