"""What was counted, asked for by HTTP from a real database."""

from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from emdc.reading import MeterProfile, Topic
from tests.web.site import EATON, NEXUS, ZONE, Site
from tests.web.stored import ENERGY, MINUTES, POWER, SILENT, VOLTS

Client = TestClient[Litestar]
RESET = f"{EATON}/Wh_received"


def get(client: Client, topic: str = ENERGY, **query: object) -> dict[str, Any]:
    answer = client.get("/energy", params={"topic": topic, **query})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_days_of_the_meters_zone_up_to_now_are_the_default(client: Client) -> None:
    found = get(client)
    periods = found.pop("periods")
    assert found == {"topic": ENERGY, "unit": "Wh", "zone": ZONE, "per": "day"}
    assert [period["start"] for period in periods] == [
        *(f"2031-04-{day}T07:00:00Z" for day in range(27, 31)),
        *(f"2031-05-0{day}T07:00:00Z" for day in range(1, 5)),
    ]
    assert periods[-1]["end"] == "2031-05-04T12:00:00Z"
    assert periods[0]["energy"] is periods[0]["quality"] is None
    assert periods[-2] == {
        "start": "2031-05-03T07:00:00Z",
        "end": "2031-05-04T07:00:00Z",
        "energy": 14400.0,
        "completeness": 100.0,
        "quality": "measured",
    }


def test_an_outage_is_recovered_and_shows_in_the_completeness(client: Client) -> None:
    found = get(client, start="2031-05-02T12:00Z", end="2031-05-03T00:00", per="total")
    (period,) = found["periods"]
    due = 19 * 60
    assert period["energy"] == 10.0 * due
    assert period["completeness"] == pytest.approx(100 * (due - len(SILENT)) / due)
    assert period["quality"] == "recovered"


@pytest.mark.parametrize(
    ("per", "count"),
    [("15min", 12), ("hour", 3), ("day", 1), ("week", 1), ("month", 1), ("total", 1)],
)
def test_cutting_the_span_changes_no_total(client: Client, per: str, count: int) -> None:
    periods = get(client, start="-3h", end="now", per=per)["periods"]
    assert len(periods) == count
    assert sum(period["energy"] for period in periods) == 1790.0  # up to the last reading


def test_a_reset_is_suspect(client: Client) -> None:
    periods = get(client, RESET, start="-3h", per="hour")["periods"]
    assert [period["quality"] for period in periods] == ["measured", "suspect", "measured"]


def test_energy_of_a_power_is_estimated_in_its_own_unit(client: Client) -> None:
    found = get(client, POWER, start="-3h", end="-1h", per="hour")
    assert found["unit"] == "Wh"
    assert [(p["energy"], p["quality"]) for p in found["periods"]] == [(600.0, "estimated")] * 2


def test_a_day_on_which_the_clock_is_set_has_another_length(client: Client) -> None:
    periods = get(client, start="2031-03-08", end="2031-03-11")["periods"]
    starts = [f"2031-03-0{day}T0{hour}:00:00Z" for day, hour in ((8, 8), (9, 8))]
    assert [period["start"] for period in periods] == [*starts, "2031-03-10T07:00:00Z"]


def test_weeks_begin_on_monday_by_the_clock_of_the_meter(client: Client) -> None:
    periods = get(client, start="2031-W09", end="2031-W12", per="week")["periods"]
    # On the 9th of March the clock was set.
    starts = ["2031-02-24T08:00:00Z", "2031-03-03T08:00:00Z", "2031-03-10T07:00:00Z"]
    assert [period["start"] for period in periods] == starts
    last = get(client, start="2031-04-28", end="2031-05-05", per="week")["periods"]
    assert [period["energy"] for period in last] == [10.0 * (MINUTES - 1)]


def test_csv_has_a_line_for_each_period(client: Client) -> None:
    answer = client.get(f"/energy?topic={ENERGY}&start=2031-05-01", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = answer.text.split("\r\n")
    assert lines[0] == "start,end,energy,completeness,quality"
    assert lines[1] == "2031-05-01T07:00:00Z,2031-05-02T07:00:00Z,,,"
    assert lines[3] == "2031-05-03T07:00:00Z,2031-05-04T07:00:00Z,14400.0,100.0,measured"
    assert client.get(f"/energy?topic={ENERGY}&start=2031-05-01&format=csv").text == answer.text


@pytest.mark.parametrize(
    ("status", "query", "said"),
    [
        (404, f"topic={NEXUS}/Wh_recieved", f"did you mean {ENERGY}"),
        (400, f"topic={VOLTS}", "a gauge in V, expected a counter or a power"),
        (400, f"topic={VOLTS}&format=csv", "a gauge in V, expected a counter or a power"),
        (400, f"topic={ENERGY}&per=decade", "per='decade': expected one of 15min, hour, day, week"),
        (400, f"topic={ENERGY}&start=2000&per=15min", "expected at most 100000"),
        (400, f"topic={ENERGY}&start=tomorrow", "start='tomorrow', expected such as"),
        (400, "", "parameter topic is missing"),
    ],
)
def test_what_has_no_answer_says_why(client: Client, status: int, query: str, said: str) -> None:
    answer = client.get(f"/energy?{query}")
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_counters_of_a_meter_today_and_yesterday(client: Client) -> None:
    answer = client.get("/energy/today", params={"meter": NEXUS})
    today = get(client, start="today")["periods"][0]
    yesterday = get(client, start="yesterday", end="today")["periods"][0]
    assert answer.json() == {
        "meter": NEXUS,
        "counters": [
            {
                "metric": "Wh_received",
                "unit": "Wh",
                "zone": ZONE,
                "today": today,
                "yesterday": yesterday,
            }
        ],
        "left_out": 0,
    }
    assert today["energy"] == 10.0 * (5 * 60 - 1)
    assert MINUTES * 10 > yesterday["energy"] == 14400.0


def test_counters_beyond_fifty_are_left_out_and_those_not_stored_are_null() -> None:
    topics = tuple(Topic(f"Wh_{number}", "Wh", "counter") for number in range(60))
    with Site((MeterProfile("a/b", topics, 1.0),)).client() as client:
        answer = client.get("/energy/today?meter=a/b").json()
    assert len(answer["counters"]) == 50
    assert answer["left_out"] == 10
    assert answer["counters"][0] == {
        "metric": "Wh_0",
        "unit": "Wh",
        "zone": None,
        "today": None,
        "yesterday": None,
    }


def test_today_of_an_unknown_meter_is_404_with_the_nearest(client: Client) -> None:
    answer = client.get("/energy/today", params={"meter": "UW/Mercer/nexus_metre"})
    assert answer.status_code == 404
    assert NEXUS in answer.json()["detail"]
