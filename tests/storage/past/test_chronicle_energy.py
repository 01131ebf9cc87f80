"""Consumption by period: stored quarter hours, what happened since, and power."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine, delete

from emdc.energy.answers import Consumption, Per, Quality
from emdc.errors import ConfigError
from emdc.reading import MeterProfile, MeterReading, Topic, Value
from emdc.storage.database import connected
from emdc.storage.past.chronicle import Chronicle, Zones
from emdc.storage.schema import interval_days, interval_progress, interval_rows
from tests.storage.past.test_chronicle import ENERGY, SERIAL, VOLTS, at
from tests.storage.plant import METER, reading, store, tick
from tests.storage.reckoned import reckon

METRICS = ("Wh_delivered", "W", "Voltage_AN")
TOPICS = (Topic("Wh_delivered", "Wh", "counter"), Topic("W", "kW"), Topic("Voltage_AN", "V"))
MEASURED, RECOVERED, SUSPECT, ESTIMATED = Quality


def minutes(first: int, end: int, start: float = 1000.0) -> list[MeterReading]:
    """Ten Wh a minute, 0.6 kW."""
    return [
        reading(60 * n, (start + 10 * (n - first), 0.6, 120.0), metrics=METRICS)
        for n in range(first, end)
    ]


def fill(engine: Engine, rows: Sequence[MeterReading], interval_s: float = 60) -> None:
    store(engine, *rows, profiles=[MeterProfile(METER, TOPICS, interval_s)])


def energy(
    engine: Engine,
    span: tuple[float, float],
    per: Per = "total",
    *,
    now: float = 1e6,
    topic: str = ENERGY,
    zone: str = "UTC",
) -> list[Consumption]:
    """Periods with seconds after noon."""
    with Chronicle(engine, clock=lambda: at(now), zones=Zones({}, zone)) as chronicle:
        found = chronicle.energy(topic, at(span[0]), at(span[1]), per).periods
        return [one._replace(start=one.start - at(0), end=one.end - at(0)) for one in found]


@pytest.fixture
def hours(engine: Engine) -> Engine:
    """Six hours and seven minutes, of which five hours are stored as quarter hours."""
    fill(engine, minutes(0, 367))
    reckon(engine, tick(5 * 3600 + 20))
    return engine


NOW = 366 * 60 + 5.0


def test_consumption_of_stored_quarter_hours(hours: Engine) -> None:
    assert energy(hours, (3600, 7200), "15min", now=NOW) == [
        Consumption(3600 + 900 * n, 4500 + 900 * n, 150, 100, MEASURED) for n in range(4)
    ]
    assert energy(hours, (3600, 7200), now=NOW) == [Consumption(3600, 7200, 600, 100, MEASURED)]


def test_energy_reaches_to_the_last_reading(hours: Engine) -> None:
    assert energy(hours, (0, NOW), now=NOW) == [Consumption(0, NOW, 3660, 100, MEASURED)]
    assert energy(hours, (0, 43_200), now=NOW) == [Consumption(0, 43_200, 3660, 100, MEASURED)]
    last = energy(hours, (5 * 3600, 7 * 3600), "hour", now=NOW)
    assert [(one.energy, one.completeness, one.quality) for one in last] == [
        (600, 100, MEASURED),
        (60, 100, MEASURED),
    ]


@pytest.mark.parametrize("stored", [0, 900, 17_100, 18_000, 21_600])
def test_what_is_stored_does_not_show_in_the_answer(engine: Engine, stored: float) -> None:
    fill(engine, minutes(0, 367))
    if stored:
        reckon(engine, tick(stored + 20))
    found = energy(engine, (0, NOW), "hour", now=NOW)
    assert [one.energy for one in found] == [600] * 6 + [60]
    assert {(one.completeness, one.quality) for one in found} == {(100, MEASURED)}


def test_an_outage_over_the_end_of_what_is_stored_is_shared(engine: Engine) -> None:
    """The state of the counter goes on from there."""
    rows = minutes(0, 367)
    fill(engine, [*rows[:299], *rows[303:]])
    reckon(engine, tick(5 * 3600 + 250))
    found = energy(engine, (4 * 3600, 6 * 3600), "hour", now=NOW)
    assert [(one.energy, one.quality) for one in found] == [(600, RECOVERED), (600, RECOVERED)]


def test_readings_that_came_late_are_in_the_answer_at_once(engine: Engine) -> None:
    rows = minutes(0, 121)
    fill(engine, [*rows[:20], *rows[70:]])
    reckon(engine, tick(7300))
    before = energy(engine, (0, 7200), "15min", now=7300)
    assert {one.quality for one in before} == {MEASURED, RECOVERED}
    store(engine, *rows[20:70], profiles=[MeterProfile(METER, TOPICS, 60.0)])
    found = energy(engine, (0, 7200), "15min", now=7300)
    assert [(one.energy, one.completeness) for one in found] == [(150, 100)] * 8
    assert {one.quality for one in found} == {MEASURED}


def test_meter_that_fell_silent_is_incomplete(hours: Engine) -> None:
    later = NOW + 1800
    (found,) = energy(hours, (21_600, 23_400), now=later)
    assert (found.energy, found.quality) == (60, RECOVERED)
    assert found.completeness == pytest.approx(100 * 7 / 30)


def test_an_outage_is_recovered_and_said(engine: Engine) -> None:
    fill(engine, [*minutes(0, 20), *minutes(70, 120, start=1700.0)])
    reckon(engine, tick(7200))
    found = energy(engine, (0, 7200), "15min", now=7300)
    assert sum(one.energy or 0 for one in found) == pytest.approx(1190)
    assert [one.quality for one in found[:6]] == [MEASURED, *[RECOVERED] * 4, MEASURED]
    assert [round(one.completeness or 0) for one in found[:6]] == [100, 33, 0, 0, 33, 100]


def test_cutting_a_span_anywhere_changes_no_total(hours: Engine) -> None:
    whole = energy(hours, (0, 21_600), now=NOW)[0].energy
    for cut in (1, 1234.5, 17_999, 20_000):
        parts = [energy(hours, span, now=NOW)[0].energy for span in ((0, cut), (cut, 21_600))]
        assert sum(part or 0 for part in parts) == pytest.approx(whole, rel=1e-12)


def test_days_are_those_of_the_zone(engine: Engine) -> None:
    fill(
        engine, [reading(600 * n, (1000.0 + n, 1.0, 1.0), metrics=METRICS) for n in range(450)], 600
    )
    reckon(engine, tick(600 * 449))
    with connected(engine) as connection:
        assert connection.execute(interval_days.select()).first() is not None
    found = energy(engine, (0, 3 * 86_400), "day", now=600 * 449, zone="Asia/Kolkata")
    # 18:30 UTC is midnight there.
    assert [one.end for one in found[:-1]] == [23_400, 109_800, 196_200]
    assert [one.energy for one in found] == [39, 144, 144, 105]


def test_power_is_estimated_by_its_mean(hours: Engine) -> None:
    found = energy(hours, (0, 7200), "hour", topic=f"{METER}/W", now=NOW)
    assert found == [Consumption(3600 * n, 3600 * n + 3600, 0.6, 100, ESTIMATED) for n in range(2)]
    (running,) = energy(hours, (21_600, 22_500), topic=f"{METER}/W", now=NOW)
    assert running.energy == pytest.approx(0.6 * 7 / 60)
    with Chronicle(hours) as chronicle:
        assert chronicle.energy(f"{METER}/W", at(0), at(60), "total").topic.unit == "kWh"


def test_power_counts_only_the_time_in_which_it_was_read(engine: Engine) -> None:
    fill(engine, minutes(0, 5))
    reckon(engine, tick(1000))
    (found,) = energy(engine, (0, 900), topic=f"{METER}/W", now=1000)
    assert found.energy == pytest.approx(0.6 * 5 / 60)
    assert found.completeness == pytest.approx(100 / 3)


def test_power_that_flows_back_is_netted(engine: Engine) -> None:
    rows = [reading(60 * n, (1.0, -3.0 if n % 3 else 3.0, 1.0), metrics=METRICS) for n in range(15)]
    fill(engine, rows)
    reckon(engine, tick(1000))
    assert energy(engine, (0, 900), topic=f"{METER}/W", now=1000)[0].energy == -0.25


def test_a_mark_of_a_swap_is_heeded_before_it_is_stored(engine: Engine) -> None:
    rows = [*minutes(0, 30), *minutes(30, 60, start=5.0)]
    fill(engine, rows)
    with connected(engine, write=True) as connection:
        connection.exec_driver_sql(
            "INSERT INTO counter_epochs SELECT topic_id, '2026-03-01 12:30:00.000000', 'swap',"
            f" 1300, 0, 'user', '' FROM topics WHERE topic_name = '{ENERGY}'"
        )
    (found,) = energy(engine, (0, 3600), now=3590)
    assert (found.energy, found.quality) == (290 + 10 + 5 + 290, SUSPECT)


def test_glitch_at_the_end_changes_nothing(engine: Engine) -> None:
    fill(engine, [*minutes(0, 20), reading(1200, (0, 0.6, 120.0), metrics=METRICS)])
    (found,) = energy(engine, (0, 3600), now=1205)
    assert found.energy == 190


def test_nothing_known_is_no_energy(hours: Engine) -> None:
    assert energy(hours, (-7200, -3600), now=NOW) == [Consumption(-7200, -3600, None, None, None)]


def test_gauges_and_texts_have_no_energy(engine: Engine) -> None:
    values: tuple[Value, ...] = (120.5, 7, "A1")
    store(engine, reading(0, values))
    with pytest.raises(
        ConfigError, match="a gauge in V, expected a counter or a power in W, kW, MW"
    ):
        energy(engine, (0, 60), topic=VOLTS)
    with pytest.raises(ConfigError, match="a text, expected a counter"):
        energy(engine, (0, 60), topic=SERIAL)


def test_too_many_periods_are_refused(hours: Engine) -> None:
    with pytest.raises(ConfigError, match=f"energy of {ENERGY}: .* expected at most"):
        energy(hours, (0, 1e9), "15min")


def test_lost_quarter_hours_are_made_of_readings(hours: Engine) -> None:
    expected = energy(hours, (0, NOW), "hour", now=NOW)
    with connected(hours, write=True) as connection:
        for table in (interval_rows, interval_progress):
            connection.execute(delete(table))
    assert energy(hours, (0, NOW), "hour", now=NOW) == expected
