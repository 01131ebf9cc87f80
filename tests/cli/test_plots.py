"""What stands on the time axis, and how a plot is drawn."""

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from emdc.cli import plots

PACIFIC = ZoneInfo("America/Los_Angeles")


def labels(start: str, end: str, most: int = 8, zone: ZoneInfo = PACIFIC) -> list[str]:
    """The labels of a span, with each at the time that it names."""
    low, high = (datetime.fromisoformat(text).replace(tzinfo=zone) for text in (start, end))
    found = plots.ticks(low.timestamp(), high.timestamp(), zone, most)
    for at, text in found:
        local = datetime.fromtimestamp(at, zone)
        forms = ("%H:%M:%S", "%H:%M", "%m-%d", "%Y-%m", "%Y")
        assert text in [local.strftime(form) for form in forms]
        assert low <= local <= high
    return [text for _, text in found]


@pytest.mark.parametrize(
    ("start", "end", "texts"),
    [
        ("2026-03-01 12:00:00", "2026-03-01 12:00:40", ["12:00:00", "12:00:05", "12:00:10"]),
        ("2026-03-01 12:00", "2026-03-01 12:07", ["12:00", "12:01", "12:02"]),
        ("2026-03-01 22:10", "2026-03-02 01:10", ["22:30", "23:00", "23:30", "03-02", "00:30"]),
        ("2026-03-01 10:30", "2026-03-03 10:30", ["12:00", "18:00", "03-02", "06:00", "12:00"]),
        ("2026-03-07", "2026-03-10", ["03-07", "12:00", "03-08", "12:00", "03-09", "12:00"]),
        ("2026-03-01", "2026-03-31", ["03-01", "03-05", "03-09"]),
        ("2026-01-01", "2026-12-31", ["2026-01", "2026-03", "2026-05"]),
        ("2001-01-01", "2026-12-31", ["2001", "2005", "2009"]),
    ],
)
def test_ticks_are_round_local_times(start: str, end: str, texts: list[str]) -> None:
    assert labels(start, end)[: len(texts)] == texts


def test_ticks_of_a_zone_beside_the_full_hour_are_its_own() -> None:
    assert labels("2026-03-01", "2026-03-02", zone=ZoneInfo("Asia/Kolkata"))[:3] == [
        "03-01",
        "03:00",
        "06:00",
    ]


def test_level_line_has_room_and_one_point_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("LINES", "14")
    for value in (0.0, -5.0):
        line = plots.Line([100.0, 200.0], [value, value])
        drawn = plots.lines([line, plots.Line([400.0], [value])], 0, 500, PACIFIC).splitlines()
        assert len(drawn) == 11
        assert max(map(len, drawn)) == 50
        (row,) = [row for row in drawn if re.search("[\u2801-\u28ff]", row)]
        assert re.search("[\u2801-\u28ff]{8,} +[\u2801-\u28ff] +│", row)


def test_bars_have_as_many_labels_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "12")
    names = ["03-01", *(f"{hour:02}:00" for hour in range(1, 24)), "03-02"]
    drawn = plots.bars(names, [None, *map(float, range(24))])
    assert drawn.splitlines()[-1].split() == [
        *("03-01", "04:00", "08:00", "12:00", "16:00", "20:00", "03-02"),
    ]
    assert "█" not in plots.bars(["a", "b"], [None, 0.0])
