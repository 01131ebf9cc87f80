"""The page's modules that need no browser, run by node."""

from pathlib import Path
from typing import Any

import pytest

from tests.web.browser import plain, told

NOW = "new Date('2026-03-02T03:00:00Z')"  # still the first of March in Los Angeles
WEEKDAY = "new Date('2026-03-11T12:00:00Z')"


def bounds(folder: Path, span: str, at: str, *, now: str = WEEKDAY) -> dict[str, Any]:
    given = f"{{span: '{span}', at: '{at}', zone: 'America/Los_Angeles', now: {now}}}"
    found: dict[str, Any] = told(folder, "calendar", f"m.bounds({given})")
    return found | {"title": plain(found["title"])}


def test_the_current_day_is_the_one_of_the_meters_zone_and_goes_on(tmp_path: Path) -> None:
    assert bounds(tmp_path, "day", "", now=NOW) == {
        "start": "2026-03-01",
        "end": None,
        "until": "2026-03-02",
        "title": "Sunday 1 March 2026",
        "previous": "2026-02-28",
        "next": None,
    }


def test_a_week_begins_on_monday(tmp_path: Path) -> None:
    found = bounds(tmp_path, "week", "2026-03-08")
    assert (found["start"], found["end"]) == ("2026-03-02", "2026-03-09")
    assert found["title"] == "2\u20138 March 2026"


def test_the_span_before_the_current_one_leads_back_to_it_by_no_date(tmp_path: Path) -> None:
    assert bounds(tmp_path, "week", "2026-03-02")["next"] == ""
    assert bounds(tmp_path, "week", "2026-02-23")["next"] == "2026-03-02"


@pytest.mark.parametrize(
    ("span", "at", "previous", "end"),
    [
        ("month", "2026-01-31", "2025-12-01", "2026-02-01"),
        ("year", "2025-06-01", "2024-01-01", "2026-01-01"),
        ("day", "2024-03-01", "2024-02-29", "2024-03-02"),
        ("hour", "2026-03-08T09:00:00Z", "2026-03-08T08:00:00Z", "2026-03-08T10:00:00Z"),
    ],
)
def test_spans_follow_the_calendar(
    tmp_path: Path, span: str, at: str, previous: str, end: str
) -> None:
    found = bounds(tmp_path, span, at)
    assert (found["previous"], found["end"]) == (previous, end)


def test_an_address_that_means_nothing_shows_the_current_span(tmp_path: Path) -> None:
    for at in ("2026-02-31x", "2027-01-01", "yesterday", "0000-01-01"):
        assert bounds(tmp_path, "month", at)["start"] == "2026-03-01"


def test_an_hour_over_a_clock_change_says_both_times(tmp_path: Path) -> None:
    assert bounds(tmp_path, "hour", "2026-03-08T09:00:00Z")["title"] == (
        "8 Mar 2026 01:00\u201303:00"
    )


def test_a_selected_span_moves_by_its_own_length(tmp_path: Path) -> None:
    found = bounds(tmp_path, "zoom", "2026-03-01T08:00:00Z/2026-03-01T08:30:00Z")
    assert found["previous"] == "2026-03-01T07:30:00Z/2026-03-01T08:00:00Z"


def test_another_span_shows_the_same_time(tmp_path: Path) -> None:
    def anchor(span: str, at: str, wanted: str) -> Any:
        given = f"{{span: '{span}', at: '{at}', zone: 'America/Los_Angeles', now: {WEEKDAY}}}"
        return told(tmp_path, "calendar", f"m.anchor({given}, '{wanted}')")

    assert anchor("day", "2026-03-03", "week") == "2026-03-03"
    assert anchor("hour", "2026-03-03T02:00:00Z", "day") == "2026-03-02"
    assert anchor("day", "2026-03-03", "hour") == "2026-03-03T00:00:00Z"
    assert anchor("day", "", "month") == ""


def lines(folder: Path, rows: list[list[Any]], step: int, **gap: str) -> Any:
    """Times of the points; None at a break."""
    given = [{"ticks": 1, "reason": "x", **gap}] if gap else []
    facts = "{interval: 60, kind: 'gauge'}"
    answer = f"{{step_s: {step}, rows: {rows!r}}}"
    return told(
        folder,
        "series",
        f"m.linesOf({answer}, m.gapsOf({{gaps: {given!r}}}), {facts})"
        ".points.map((point) => point && point.start)",
    )


def row(seconds: int) -> list[Any]:
    return [f"1970-01-01T00:{seconds // 60:02}:{seconds % 60:02}Z", 1, 1, 1, 1, 1, 1]


def test_a_line_of_readings_breaks_after_more_than_three_intervals(tmp_path: Path) -> None:
    rows = [row(at) for at in (0, 61, 240, 500)]
    assert lines(tmp_path, rows, 0) == [0, 61, 240, None, 500]


def test_a_line_of_readings_breaks_at_each_gap(tmp_path: Path) -> None:
    gap = {"start": "1970-01-01T00:01:00Z", "end": "1970-01-01T00:02:00Z"}
    assert lines(tmp_path, [row(at) for at in (0, 120, 180)], 0, **gap) == [0, None, 120, 180]


def test_a_line_of_steps_breaks_where_one_is_missing(tmp_path: Path) -> None:
    rows = [row(at) for at in (0, 300, 900)]
    assert lines(tmp_path, rows, 300) == [0, 300, None, 900]


ENERGIES = [
    (0, "Wh", "0 kWh"),
    (5, "Wh", "0.005 kWh"),
    (14_400, "Wh", "14.40 kWh"),
    (1_234_567, "Wh", "1_235 kWh"),
    (12_345.6, "kWh", "12.35 MWh"),
    (3.5, "MVARh", "3_500 kVARh"),
    (2.5e8, "kWh", "250.0 GWh"),
    (12, "m\u00b3", "12 m\u00b3"),
]


def test_energies_are_shown_in_the_unit_that_is_best_read(tmp_path: Path) -> None:
    given = [list(row[:2]) for row in ENERGIES]
    found = told(tmp_path, "format", f"{given!r}.map((pair) => m.energy(...pair))")
    assert found == [row[2].replace("_", "\u202f") for row in ENERGIES]


MAPS = [
    (["Wh_delivered", "Wh_delivered_A", "Wh_received", "VAh"], ["Wh_delivered", "Wh_received"]),
    (["Wh_total", "Wh_received"], ["Wh_received"]),
    (["TotWhExpPhA", "TotWhImp", "TotWhExp"], ["TotWhImp", "TotWhExp"]),
    (["Wh_tariff_2", "Wh"], ["Wh"]),
    ([], []),
]


def test_main_counters_are_those_of_all_phases_in_each_direction(tmp_path: Path) -> None:
    given: list[list[dict[str, Any]]] = [
        [{"metric": name, "unit": "VAh" if name == "VAh" else "Wh", "today": {}} for name in names]
        for names, _ in MAPS
    ]
    code = f"{given!r}.map((each) => m.mainCounters(each).map((one) => one.metric))"
    assert told(tmp_path, "energy", code) == [main for _, main in MAPS]


def test_an_address_with_a_chart_is_read_as_it_was_written(tmp_path: Path) -> None:
    where = "{meter: 'A/b c?#\u00fc', metric: 'W & x', span: 'zoom', at: 'a/b', view: 'energy'}"
    code = (
        f"(globalThis.location = {{hash: m.written({where})}}, [location.hash.split('?').length,"
        " m.read()])"
    )
    pieces, read = told(tmp_path, "address", code)
    assert pieces == 2
    assert read == {
        "meter": "A/b c?#\u00fc",
        "metric": "W & x",
        "span": "zoom",
        "at": "a/b",
        "view": "energy",
    }
