"""What was stored, asked for by HTTP from a real database."""

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from emdc.web import history
from tests.web.site import NEXUS, NOW, ZONE
from tests.web.stored import (
    FIRMWARE,
    MINUTES,
    SILENT,
    TEXT,
    VOLTS,
    minute,
    stored_site,
    volts,
)

COLUMNS = ["start", "count", "minimum", "maximum", "mean", "first", "last"]
CSV = {"Accept": "text/csv"}

Client = TestClient[Litestar]


def get(client: Client, topic: str = VOLTS, **query: object) -> dict[str, Any]:
    answer = client.get("/history", params={"topic": topic, **query})  # type: ignore[dict-item]
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def z(number: int) -> str:
    """So many minutes after the begin, as answers have it."""
    return minute(number).isoformat().replace("+00:00", "Z")


def refusal(client: Client, status: int, query: str) -> str:
    answer = client.get(f"/history?{query}")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    detail: str = answer.json()["detail"]
    return detail


def test_last_day_is_given_in_the_round_step_that_fits_its_points(client: Client) -> None:
    found = get(client)
    rows = found.pop("rows")
    assert found == {
        "topic": VOLTS,
        "unit": "V",
        "zone": ZONE,
        "start": z(MINUTES - 1440),
        "end": z(MINUTES),
        "step_s": 120.0,
        "source": "readings",
        "columns": COLUMNS,
        "next": None,
    }
    assert len(rows) == 720
    one, other = volts(MINUTES - 1440), volts(MINUTES - 1439)
    assert rows[0] == [z(MINUTES - 1440), 2, other, one, (one + other) / 2, one, other]


def test_fewer_readings_than_points_are_rows_of_their_own(client: Client) -> None:
    found = get(client, start="-1h")
    assert (found["step_s"], found["columns"]) == (0.0, COLUMNS)
    assert [row[4] for row in found["rows"]] == [volts(n) for n in range(MINUTES - 60, MINUTES)]


def test_a_silence_has_no_row(client: Client) -> None:
    found = get(client, start=z(SILENT.start - 2), end=z(SILENT.stop + 2), step=60)
    there = [*range(SILENT.start - 2, SILENT.start), *range(SILENT.stop, SILENT.stop + 2)]
    assert [row[0] for row in found["rows"]] == [z(n) for n in there]


@pytest.mark.parametrize("step", ["900", "900s", "15min", "15m"])
def test_quarter_hours_come_from_the_stored_ones(client: Client, step: str) -> None:
    found = get(client, start=z(0), end=z(60), step=step)
    assert (found["step_s"], found["source"]) == (900.0, "intervals")
    first = [volts(n) for n in range(15)]
    assert found["rows"][0] == [z(0), 15, min(first), max(first), sum(first) / 15, *first[::14]]
    assert len(found["rows"]) == 4


def pages(client: Client, topic: str = VOLTS, **query: object) -> list[dict[str, Any]]:
    found = [get(client, topic, **query)]
    while found[-1]["next"] is not None:
        answer = client.get(found[-1]["next"])
        assert answer.status_code == 200
        found.append(answer.json())
    return found


def joined(found: list[dict[str, Any]]) -> list[list[Any]]:
    return [row for page in found for row in page["rows"]]


def test_pages_of_readings_join_to_the_whole(client: Client) -> None:
    found = pages(client, start="-2d", step=0, limit=1000)
    assert [len(page["rows"]) for page in found] == [1000, 1000, MINUTES - len(SILENT) - 2000]
    assert {tuple(page["columns"]) for page in found} == {("ts", "value")}
    there = [n for n in range(MINUTES) if n not in SILENT]
    assert joined(found) == [[z(n), volts(n)] for n in there]


def test_pages_of_steps_join_to_the_whole(client: Client) -> None:
    found = pages(client, start="-2d", step="1h", limit=7)
    assert [len(page["rows"]) for page in found] == [7] * 6 + [6]
    assert joined(found) == get(client, start="-2d", step="1h")["rows"]


def test_now_stands_still_over_the_pages(engine: Engine) -> None:
    site = stored_site(engine)
    with site.client() as client:
        first = get(client, start="-2h", end="now", step="1min", limit=50)
        site.now = lambda: NOW + timedelta(hours=1)
        second = client.get(first["next"]).json()
    assert (first["end"], second["end"]) == (z(MINUTES), z(MINUTES))


def test_a_page_is_made_of_a_bounded_number_of_readings(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = get(client, start="-2d", step="10min")["rows"]
    monkeypatch.setattr(history, "_PARTS_AT_ONCE", 500)
    found = pages(client, start="-2d", step="10min")
    assert {len(page["rows"]) for page in found[:-1]} == {50, 49}
    assert joined(found) == whole


def test_texts_are_given_as_they_are(client: Client) -> None:
    found = get(client, TEXT, start="-5min")
    assert (found["columns"], found["step_s"]) == (["ts", "value"], 0.0)
    assert found["rows"] == [[z(n), FIRMWARE] for n in range(MINUTES - 5, MINUTES)]
    assert "holds texts, expected step=0" in refusal(client, 400, f"topic={TEXT}&step=60")


@pytest.mark.parametrize(
    ("start", "end", "utc"),
    [
        ("2031-05-03", "today", ("2031-05-03T07:00:00Z", "2031-05-04T07:00:00Z")),
        ("yesterday", "now", ("2031-05-03T07:00:00Z", "2031-05-04T12:00:00Z")),
        ("2031-05-03T01:30", "-7h", ("2031-05-03T08:30:00Z", "2031-05-04T05:00:00Z")),
        ("2031-05-03T08:30:00Z", None, ("2031-05-03T08:30:00Z", "2031-05-04T12:00:00Z")),
        (None, "2031-05-03T08:30:00+02:00", ("2031-05-02T06:30:00Z", "2031-05-03T06:30:00Z")),
    ],
)
def test_times_without_offset_go_by_the_clock_of_the_meter(
    client: Client, start: str | None, end: str | None, utc: tuple[str, str]
) -> None:
    given = {"start": start, "end": end}
    found = get(client, **{name: text for name, text in given.items() if text})
    assert (found["start"], found["end"]) == utc


def test_plus_of_an_offset_may_be_lost_in_an_address(client: Client) -> None:
    answer = client.get(f"/history?topic={VOLTS}&start=2031-05-03T08:30:00+02:00&step=0&limit=1")
    assert answer.json()["start"] == "2031-05-03T06:30:00Z"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("start=monday", "start='monday', expected such as 2026-03-01"),
        ("end=2031-02-30", "end='2031-02-30', expected such as"),
        ("start=now", "start='now' is 2031-05-04T12:00:00Z and end='now' is 2031-05-04T12:00:00Z"),
        ("start=-1h&end=-2h", "expected a start before the end"),
        ("step=1.5", "step='1.5': expected whole seconds up to 366 days, such as 60"),
        ("step=-60", "step='-60': expected"),
        ("step=1y", "step='1y': expected"),
        ("step=367d", "step='367d': expected"),
        ("start=1970&step=1s", "1,935,633,600 steps, expected at most 40,000,000"),
        ("points=0", "points='0': expected a whole number from 1 to 10000"),
        ("limit=10001", "limit='10001': expected a whole number from 1 to 10000"),
        ("format=xml", "format='xml': expected one of json, csv"),
    ],
)
def test_what_cannot_be_meant_is_400_with_what_was_expected(
    client: Client, query: str, said: str
) -> None:
    assert said in refusal(client, 400, f"topic={VOLTS}&{query}")
    assert said in refusal(client, 400, f"topic={VOLTS}&{query}".replace("xml", "xml&step=1h"))


def test_an_unknown_topic_is_404_with_the_nearest(client: Client) -> None:
    assert f"did you mean {VOLTS}" in refusal(client, 404, f"topic={NEXUS}/Voltage_AM")


def test_steps_are_aligned_and_in_order_over_a_long_span(client: Client) -> None:
    found = get(client, start="2031-04-01", points=100)
    starts = [row[0] for row in found["rows"]]
    assert all(before < after for before, after in pairwise(starts))
    assert found["step_s"] % 3600 == 0
    assert sum(row[1] for row in found["rows"]) == MINUTES - len(SILENT)
