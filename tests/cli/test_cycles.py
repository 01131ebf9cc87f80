import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from emdc.cli import cycles
from emdc.collector.latest import Latest, MeterState
from emdc.collector.ticker import Ticker
from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.web.service import Service

NOW = datetime(2031, 5, 4, 12, 0, 0, tzinfo=UTC)
TOPICS = (Topic("W", "W"), Topic("Wh_delivered", "Wh", "counter"))
NAMES = ("UW/Mercer/nexus_meter", "UW/Alder/eaton_meter")


@dataclass
class Clockwork:
    """A ticker that stands still until a test moves it."""

    last_tick: datetime | None = None


def reading(meter: str, tick: datetime, *values: float | None) -> MeterReading:
    names = tuple(topic.name for topic in TOPICS)
    found = values or (41_200.0, 1_234_500.0)
    gaps = {n: "read_timeout" for n, v in zip(names, found, strict=True) if v is None}
    return MeterReading(meter, tick, tick, names, found, gaps)


def states(*readings: MeterReading) -> list[MeterState]:
    latest = Latest(MeterProfile(name, TOPICS, 1.0) for name in NAMES)
    asyncio.run(latest.write(readings))
    return list(latest.meters.values())


def test_a_line_says_what_came_and_a_few_telling_values() -> None:
    at = NOW.astimezone().strftime("%H:%M:%S")
    found = cycles.line(states(*(reading(name, NOW) for name in NAMES)), NOW)
    assert found == (
        f"{at}  2 of 2 meters  4 values   Mercer 41.2 kW, 1,234.5 kWh   Alder 41.2 kW, 1,234.5 kWh"
    )


def test_a_line_says_which_meter_gave_nothing_and_why() -> None:
    found = cycles.line(states(reading(NAMES[0], NOW, None, None)), NOW)
    assert "0 of 2 meters  0 values" in found
    assert "Mercer read_timeout" in found
    assert "Alder no answer" in found


def test_a_missing_value_is_left_out() -> None:
    found = cycles.line(states(reading(NAMES[0], NOW, None, 5000.0)), NOW)
    assert "1 of 2 meters  1 values" in found
    assert "Mercer 5.0 kWh" in found


def test_readings_of_another_tick_or_by_hand_do_not_count() -> None:
    late = reading(NAMES[0], NOW - timedelta(seconds=1))
    manual = reading(NAMES[1], NOW)._replace(scheduled=False)
    assert "0 of 2 meters" in cycles.line(states(late, manual), NOW)


def watched(
    monkeypatch: pytest.MonkeyPatch, steps: Sequence[Callable[[Latest, Clockwork], Any]]
) -> list[str]:
    """Lines that are printed while each step is followed by two looks."""
    printed: list[str] = []
    monkeypatch.setattr(cycles, "LOOK_S", 0)
    monkeypatch.setattr(cycles, "say", printed.append)

    async def story() -> None:
        latest = Latest(MeterProfile(name, TOPICS, 1.0) for name in NAMES)
        clockwork = Clockwork()
        service = cast("Service", SimpleNamespace(collector=SimpleNamespace(latest=latest)))
        running = cast("list[Ticker]", [clockwork])
        task = asyncio.create_task(cycles.print_lines(service, running))
        for step in steps:
            done = step(latest, clockwork)
            if done is not None:
                await done
            for _ in range(4):
                await asyncio.sleep(0)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(story())
    return printed


def tick(moment: datetime) -> Callable[[Latest, Clockwork], None]:
    def step(_: Latest, clockwork: Clockwork) -> None:
        clockwork.last_tick = moment

    return step


def answers(*readings: MeterReading) -> Callable[[Latest, Clockwork], Any]:
    return lambda latest, _: latest.write(readings)


def test_a_line_is_printed_once_when_all_meters_have_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, other = (reading(name, NOW) for name in NAMES)
    assert len(watched(monkeypatch, [tick(NOW), answers(one)])) == 0
    assert len(watched(monkeypatch, [tick(NOW), answers(one), answers(other), tick(NOW)])) == 1


def test_a_tick_that_a_meter_missed_is_printed_when_the_next_one_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = reading(NAMES[0], NOW)
    printed = watched(monkeypatch, [tick(NOW), answers(one), tick(NOW + timedelta(seconds=1))])
    assert len(printed) == 1
    assert "1 of 2 meters" in printed[0]


def test_each_cycle_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    later = NOW + timedelta(seconds=1)
    first, second = ([reading(name, at) for name in NAMES] for at in (NOW, later))
    steps = [tick(NOW), answers(*first), tick(later), answers(*second)]
    assert len(watched(monkeypatch, steps)) == 2
