import ast
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emdc import reading
from emdc.reading import GAP_REASONS, MeterReading, Topic

SOURCE = Path(reading.__file__).parent
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)
RAISERS = {"LinkError", "ProtocolError"}


def reasons_raised() -> set[str]:
    """Every literal reason that a meter's error is made with anywhere in the program."""
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in RAISERS:
                (argument, *_) = node.args
                if isinstance(argument, ast.Constant):
                    found.add(str(argument.value))
    return found


def test_every_reason_that_the_program_gives_is_on_the_list() -> None:
    raised = reasons_raised()
    assert {"read_timeout", "connection_reset", "protocol_error:unit"} <= raised
    assert raised <= GAP_REASONS


def test_a_reading_cannot_be_changed() -> None:
    subject = MeterReading("m", MOMENT, MOMENT, ("a",), (1,), {})
    assert subject.scheduled
    with pytest.raises(AttributeError):
        subject.meter = "other"  # type: ignore[misc]


def test_a_topic_needs_no_more_than_its_name() -> None:
    topic = Topic("W")
    assert (topic.kind, topic.unit, topic.digits, topic.interval_s) == ("gauge", "", None, None)


@pytest.mark.parametrize(
    ("reasons", "answered"),
    [
        ({}, True),
        ({"a": "read_timeout"}, True),
        ({"a": "read_timeout", "b": "read_timeout"}, False),
        ({"a": "not_available", "b": "not_available"}, True),
        ({"a": "exception:2", "b": "out_of_range"}, True),
        ({"a": "exception:11", "b": "backoff_skipped"}, False),
    ],
)
def test_an_answer_without_a_value_is_an_answer(reasons: dict[str, str], answered: bool) -> None:
    values = tuple(None if name in reasons else 1.0 for name in ("a", "b"))
    subject = MeterReading("m", MOMENT, MOMENT, ("a", "b"), values, reasons)
    assert subject.answered is answered
