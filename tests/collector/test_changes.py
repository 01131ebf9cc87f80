import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from emdc.collector.changes import Changes
from emdc.reading import Gap, MeterReading

NOW = datetime(2031, 5, 4, 12, tzinfo=UTC)
METER = "UW/Mercer/nexus_meter"


def reading(*reasons: str | None) -> MeterReading:
    """A reading of as many metrics as there are reasons; None: it has a value."""
    names = tuple(f"m{place}" for place in range(len(reasons)))
    values = tuple(1.0 if reason is None else None for reason in reasons)
    gaps = {name: reason for name, reason in zip(names, reasons, strict=True) if reason}
    return MeterReading(METER, NOW, NOW, names, values, gaps)


async def said(
    caplog: pytest.LogCaptureFixture, readings: Sequence[MeterReading], problems: Sequence[str]
) -> list[tuple[str, ...]]:
    """What is logged; each problem is that of the connection at the reading in its place."""
    caplog.set_level(logging.INFO)
    for_each = [*problems, *[""] * (len(readings) - len(problems))]
    known = {METER: ""}
    changes = Changes(known.__getitem__)
    for one, known[METER] in zip(readings, for_each, strict=True):
        await changes.write([one])
    await changes.write_gaps([Gap(METER, NOW, NOW, "overrun")])
    names = ("reason", "held_by", "error")
    return [
        (record.getMessage(), *(str(vars(record)[name]) for name in names if name in vars(record)))
        for record in caplog.records
        if record.name == "emdc.collector.changes"
    ]


def run(
    caplog: pytest.LogCaptureFixture, *readings: MeterReading, problems: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    return asyncio.run(said(caplog, readings, problems))


def test_a_meter_that_stays_silent_is_mentioned_once(caplog: pytest.LogCaptureFixture) -> None:
    silent = reading("connect_refused", "connect_refused")
    waiting = reading("backoff_skipped", "backoff_skipped")
    assert run(caplog, silent, waiting, silent) == [("meter does not answer", "connect_refused")]


def test_a_meter_that_answers_again_is_mentioned(caplog: pytest.LogCaptureFixture) -> None:
    silent, well = reading("read_timeout"), reading(None)
    assert run(caplog, well, silent, well, well) == [
        ("meter does not answer", "read_timeout"),
        ("meter answers again",),
    ]


def test_a_meter_that_misses_some_values_answers(caplog: pytest.LogCaptureFixture) -> None:
    assert run(caplog, reading(None, "not_available")) == []


def test_the_holder_of_a_meter_is_named(caplog: pytest.LogCaptureFixture) -> None:
    assert run(caplog, reading("meter_held"), problems=["its holder"]) == [
        ("meter does not answer", "meter_held", "its holder")
    ]


def test_what_is_wrong_with_a_connection_is_said_once_and_when_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    refused, waiting = reading("connect_refused"), reading("backoff_skipped")
    readings = [refused, waiting, refused, refused, waiting, reading(None)]
    gone, closed = "/dev/ttyUSB0: No such file", "/dev/ttyUSB0: this user may not use it"
    found = run(caplog, *readings, problems=[gone, gone, gone, closed, closed])
    assert found == [
        ("meter does not answer", "connect_refused", gone),
        ("meter does not answer", "connect_refused", closed),
        ("meter answers again",),
    ]
