import pytest
from sqlalchemy import Engine

from emdc.reading import MeterProfile, MeterReading, Topic
from emdc.storage.past.history import latest_readings, sparklines
from tests.storage.plant import METER, METRICS, profile, reading, store, tick
from tests.web.site import Site


def test_last_reading_comes_back_as_it_was_written(engine: Engine) -> None:
    written = reading(1, (121.5, 2**63, "007"))
    store(engine, reading(0), written)
    assert latest_readings(engine, [profile()]) == [written]


def test_values_that_the_last_readings_missed_are_found_further_back(engine: Engine) -> None:
    gaps = {"Voltage_AN": "read_timeout"}
    full, without = reading(0), reading(2, (None, 8, "A1"), gaps=gaps)
    store(engine, full, reading(1, (None, 7, "A1"), gaps=gaps), without)
    assert latest_readings(engine, [profile()]) == [full, without]


def test_readings_of_all_meters_come_oldest_first(engine: Engine) -> None:
    other = profile("UW/Elm/eaton_meter")
    readings = [reading(5), reading(3, meter=other.name)]
    store(engine, *readings, profiles=(profile(), other))
    found = latest_readings(engine, [profile(), other, profile("never/seen")])
    assert [one.meter for one in found] == [other.name, METER]


def test_metric_that_never_answers_ends_the_search(engine: Engine) -> None:
    gaps = {"Voltage_AN": "exception:2"}
    store(engine, *(reading(at, (None, at, "A1"), gaps=gaps) for at in range(320)))
    assert [one.tick for one in latest_readings(engine, [profile()])] == [tick(319)]


def mute(first: int, count: int) -> list[MeterReading]:
    gaps = dict.fromkeys(METRICS, "connect_timeout")
    return [reading(first + n, (None, None, None), gaps=gaps) for n in range(count)]


def test_last_values_of_a_long_mute_meter_are_found(engine: Engine) -> None:
    part = reading(1, (None, 8, "A1"), gaps={"Voltage_AN": "read_timeout"})
    silence = mute(2, 301)
    store(engine, reading(0), part, *silence)
    assert latest_readings(engine, [profile()]) == [reading(0), part, silence[-1]]


def test_meter_that_never_had_a_value_gives_its_last_gaps(engine: Engine) -> None:
    silence = mute(0, 301)
    store(engine, *silence)
    assert latest_readings(engine, [profile()]) == [silence[-1]]


def test_values_of_a_mute_meter_are_not_sought_for_ever(engine: Engine) -> None:
    silence = mute(1, 10_000)
    store(engine, reading(0), *silence)
    assert latest_readings(engine, [profile()]) == [silence[-1]]


def test_plans_of_one_meter_stay_apart(engine: Engine) -> None:
    slow = MeterProfile(METER, (Topic("a"), Topic("b", interval_s=60)), 1.0)
    first = reading(0, (1.0, 2.0), metrics=("a", "b"))
    last = reading(1, (3.0,), metrics=("a",))
    store(engine, first, last, profiles=[slow])
    assert latest_readings(engine, [slow]) == [first, last]


def test_sparkline_of_a_short_time_shows_every_reading(engine: Engine) -> None:
    store(engine, *(reading(at, (float(at), at, "A1")) for at in range(0, 60)))
    lines = sparklines(engine, METER, tick(0))
    assert list(lines) == ["Voltage_AN", "Wh_delivered"]
    assert lines["Voltage_AN"] == [(tick(at).timestamp(), float(at)) for at in range(0, 60)]


def test_sparkline_of_a_long_time_has_two_points_a_minute(engine: Engine) -> None:
    store(engine, *(reading(at, (float(at), at, "A1")) for at in range(0, 3600, 2)))
    points = sparklines(engine, METER, tick(0))["Voltage_AN"]
    ends = [float(at) for minute in range(0, 3600, 60) for at in (minute, minute + 58)]
    assert [value for _, value in points] == ends


def test_peak_of_one_second_in_ten_minutes_reaches_the_first_page(engine: Engine) -> None:
    metrics, peak = ("Voltage_AN",), (tick(301).timestamp(), 999.0)
    volts = (999.0 if at == 301 else 120.0 for at in range(600))
    written = [reading(at, (value,), metrics=metrics) for at, value in enumerate(volts)]
    store(engine, *written, profiles=[profile(metrics=metrics)])
    site = Site((profile(metrics=metrics),))
    site.lines = {METER: sparklines(engine, METER, tick(0))}
    with site.client() as client:
        answer = client.get("/sparklines", params={"meter": METER}).json()
    assert list(peak) in answer["points"]["Voltage_AN"]
    assert len(answer["points"]["Voltage_AN"]) <= 240


APART = {"Voltage_AN": 3.5, "Wh_delivered": 35.0}
"""Seconds: the counter has an interval of ten."""


def outages(points: list[tuple[float, float | None]]) -> list[tuple[float, float]]:
    """The last and the next value around each break of a line, in seconds after noon."""
    times = [time - tick(0).timestamp() for time, _ in points]
    breaks = [place for place, (_, value) in enumerate(points) if value is None]
    return [(times[place - 1], times[place + 1]) for place in breaks]


@pytest.mark.parametrize("count", [200, 3600])
def test_sparkline_breaks_where_more_than_three_intervals_have_no_value(
    engine: Engine, count: int
) -> None:
    """Of 200 readings all are drawn, of 3600 a part; an outage is no part of it either way."""
    gaps = dict.fromkeys(METRICS, "read_timeout")
    mute = {20, 21, *range(25, 28), *range(72, 140)}
    absent = {28, 29, 30, *range(150, 155)}  # no row at all
    store(
        engine,
        *(
            reading(at, (None, None, None), gaps=gaps)
            if at in mute
            else reading(at, (float(at), None if at % 10 else at, "A1"))
            for at in range(count)
            if at not in absent
        ),
    )
    lines = sparklines(engine, METER, tick(0), apart_s=APART)
    assert outages(lines["Voltage_AN"]) == [(24, 31), (71, 140), (149, 155)]
    assert outages(lines["Wh_delivered"]) == [(60 if count > 600 else 70, 140)]
    assert all(value is not None for _, value in sparklines(engine, METER, tick(0))["Voltage_AN"])


def test_sparkline_of_a_long_time_breaks_where_one_metric_alone_was_missing(engine: Engine) -> None:
    gaps = {"Voltage_AN": "exception:2"}
    store(
        engine,
        *(
            reading(at, (None, at, "A1"), gaps=gaps)
            if 305 < at < 420
            else reading(at, (float(at), at, "A1"))
            for at in range(1000)
        ),
    )
    lines = sparklines(engine, METER, tick(0), apart_s=APART)
    assert outages(lines["Voltage_AN"]) == [(300, 420)]
    assert outages(lines["Wh_delivered"]) == []


def test_sparkline_begins_where_it_is_asked_to(engine: Engine) -> None:
    store(engine, *(reading(at, (float(at), at, "A1")) for at in range(0, 200, 20)))
    values = [value for _, value in sparklines(engine, METER, tick(100))["Voltage_AN"]]
    assert values == [100, 120, 140, 160, 180]


def test_sparkline_leaves_out_what_was_not_read(engine: Engine) -> None:
    gaps = {"Voltage_AN": "read_timeout"}
    store(engine, reading(0, (None, 7, "A1"), gaps=gaps), reading(1, (2.0, 8, "A1")))
    lines = sparklines(engine, METER, tick(0))
    assert lines["Voltage_AN"] == [(tick(1).timestamp(), 2.0)]
    assert lines["Wh_delivered"] == [(tick(0).timestamp(), 7.0), (tick(1).timestamp(), 8.0)]


def test_unknown_meter_has_no_lines(engine: Engine) -> None:
    assert sparklines(engine, "nobody", tick(0)) == {}


def test_metrics_of_the_profile_are_in_slot_order(engine: Engine) -> None:
    turned = reading(0, ("A1", 7, 120.0), metrics=METRICS[::-1])
    store(engine, turned)
    assert latest_readings(engine, [profile()])[0].metrics == METRICS
