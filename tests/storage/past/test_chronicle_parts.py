"""Consumption of spans that begin or end within a quarter hour."""

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import Engine, delete

from emdc.energy.answers import Quality
from emdc.reading import MeterProfile, MeterReading
from emdc.storage.database import connected
from emdc.storage.past.asking import Asker
from emdc.storage.past.chronicle import Chronicle
from emdc.storage.schema import interval_days, readings
from tests.storage.past.test_chronicle import ENERGY, at
from tests.storage.past.test_chronicle_energy import METRICS, NOW, TOPICS, energy, fill, minutes
from tests.storage.plant import METER, reading, store, tick
from tests.storage.reckoned import reckon

MEASURED, RECOVERED, SUSPECT, _ = Quality
FIRST = 6 * 60 + 31
"""Seconds after noon, within the first quarter hour."""


def seconds(first: int, end: int) -> list[MeterReading]:
    """A register that rises faster and faster, each second."""
    return [
        reading(n, (round(1000 + (n - first) ** 2 / 1000, 3), 0.6, 120.0), metrics=METRICS)
        for n in range(first, end)
    ]


def risen(start: int, end: int) -> float:
    """What it rose."""
    return float(f"{((end - FIRST) ** 2 - (start - FIRST) ** 2) / 1000:.10g}")


@pytest.fixture
def hours(engine: Engine) -> Engine:
    """Six hours and seven minutes, of which five hours are stored as quarter hours."""
    fill(engine, minutes(0, 367))
    reckon(engine, tick(5 * 3600 + 20))
    return engine


def total(
    engine: Engine, start: float, end: float, now: float
) -> tuple[float | None, Quality | None]:
    (found,) = energy(engine, (start, end), now=now)
    return found.energy, found.quality


@pytest.mark.parametrize("stored", [False, True], ids=["running", "stored"])
def test_a_minute_has_what_the_register_rose_in_it(emptied_engine: Engine, stored: bool) -> None:
    end = 2000 if stored else 600
    fill(emptied_engine, seconds(FIRST, end), interval_s=1)
    if stored:
        reckon(emptied_engine, tick(end))
    now = end - 0.5
    assert total(emptied_engine, 420, 480, now) == (risen(420, 480), MEASURED)
    assert total(emptied_engine, 360, 420, now) == (risen(FIRST, 420), MEASURED)
    assert total(emptied_engine, 420.5, 480.25, now)[1] is MEASURED
    assert total(emptied_engine, 0, 300, now) == (None, None)
    assert total(emptied_engine, 420, 599, now) == (risen(420, 599), MEASURED)


def test_an_end_in_the_future_is_now(engine: Engine) -> None:
    fill(engine, seconds(FIRST, 600), interval_s=1)
    for end in (599.5, 700, 900, 2700, 2701):
        assert total(engine, 420, end, 599.5) == (risen(420, 599), MEASURED)
        assert total(engine, 0, end, 599.5) == (risen(FIRST, 599), MEASURED)
    assert total(engine, 700, 2700, 599.5) == (None, None)


CUTS = (0, 300, 390, 391.5, 420, 899, 1000.25, 1400, 1800.5, 1999)


@pytest.mark.parametrize("closed", [False, True])
def test_parts_add_up_to_the_whole_to_the_last_digit(emptied_engine: Engine, closed: bool) -> None:
    fill(emptied_engine, seconds(FIRST, 2000), interval_s=1)
    now = 1999.5
    if closed:
        now = 3 * 86_400
        rows = [reading(now, (9999.0, 1.0, 1.0), metrics=METRICS)]
        store(emptied_engine, *rows, profiles=[MeterProfile(METER, TOPICS, 1.0)])
    reckon(emptied_engine, tick(now))
    with connected(emptied_engine) as connection:
        assert (connection.execute(interval_days.select()).first() is not None) == closed
    parts = [total(emptied_engine, *span, now)[0] for span in pairwise(CUTS)]
    exact = sum(Decimal(repr(part)) for part in parts if part is not None)
    whole, quality = total(emptied_engine, CUTS[0], CUTS[-1], now)
    assert whole == risen(FIRST, 1999)
    assert float(exact) == whole
    assert quality is MEASURED
    assert parts[:2] == [None, None]


def test_between_readings_a_part_is_by_time(hours: Engine) -> None:
    assert total(hours, 90, 105, NOW) == (2.5, MEASURED)


def test_a_part_within_an_outage_is_recovered(emptied_engine: Engine) -> None:
    rows = minutes(0, 60)
    fill(emptied_engine, [*rows[:20], *rows[23:]])
    reckon(emptied_engine, tick(3600))
    assert total(emptied_engine, 960, 1080, 3600) == (20, MEASURED)
    assert total(emptied_engine, 960, 1200, 3600) == (40, RECOVERED)
    assert total(emptied_engine, 1260, 1320, 3600) == (10, RECOVERED)
    assert total(emptied_engine, 1380, 1440, 3600) == (10, MEASURED)


def test_parts_beside_long_outages_of_a_closed_day(engine: Engine) -> None:
    """Of 6 hours before the quarter hour and of 7 after it."""
    rows = minutes(0, 3000)
    fill(engine, [*rows[:60], *rows[424:432], *rows[860:]])
    reckon(engine, tick(60 * 3000))
    with connected(engine) as connection:
        assert connection.execute(interval_days.select()).first() is not None
    now = 60 * 3000.0
    assert total(engine, 60 * 421, 60 * 423, now) == (20, RECOVERED)
    assert total(engine, 60 * 425, 60 * 428, now) == (30, MEASURED)
    assert total(engine, 60 * 430, 60 * 433, now) == (30, RECOVERED)


def test_only_the_part_in_which_the_register_leapt_is_suspect(engine: Engine) -> None:
    fill(engine, [*minutes(0, 20), *minutes(20, 60, start=5.0)])
    reckon(engine, tick(3600))
    assert total(engine, 960, 1080, 3600) == (20, MEASURED)
    assert total(engine, 1080, 1260, 3600)[1] is SUSPECT
    assert total(engine, 1260, 1320, 3600) == (10, MEASURED)


def test_where_the_readings_are_gone_a_part_is_a_share_by_time(emptied_engine: Engine) -> None:
    fill(emptied_engine, seconds(FIRST, 4000), interval_s=1)
    reckon(emptied_engine, tick(4000))
    with connected(emptied_engine, write=True) as connection:
        connection.execute(delete(readings).where(readings.c.ts < "2026-03-01 12:50:00.000000"))
    whole, quality = total(emptied_engine, 900, 1800, 3999.5)
    assert quality is MEASURED
    assert whole is not None
    part, quality = total(emptied_engine, 900, 1200, 3999.5)
    assert part == pytest.approx(whole / 3)
    assert quality is RECOVERED
    assert total(emptied_engine, 900, 3600, 3999.5) == (risen(900, 3600), MEASURED)


def test_whole_quarter_hours_ask_no_more_than_before(
    hours: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    send = Asker.rows

    def noted(self: Asker, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        asked.append(sql)
        return send(self, sql, parameters)

    monkeypatch.setattr(Asker, "rows", noted)

    def statements(start: float, end: float) -> int:
        asked.clear()
        chronicle.energy(ENERGY, at(start), at(end), "total")
        return len(asked)

    with Chronicle(hours, clock=lambda: at(NOW)) as chronicle:
        statements(0, 3600)
        whole, running = statements(0, 3600), statements(0, 6 * 3600)
        assert statements(0, 3000) > whole
        assert statements(0, NOW) == running
