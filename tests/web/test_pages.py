import re
from pathlib import Path
from typing import Any

import pytest

from emdc.reading import Kind, MeterProfile, Topic, Value
from emdc.web import pages
from emdc.web.app import ROUTES
from tests.web.browser import STATIC, rendered, shown
from tests.web.site import NEXUS, NOW, Site, one_meter, served, two_meters


def test_the_first_page_shows_values_states_and_lines(tmp_path: Path) -> None:
    site = two_meters()
    start = NOW.timestamp() - 600
    site.lines = {NEXUS: {"W": [(start + n, float(n % 9)) for n in range(0, 600, 10)]}}
    with served(site.app()) as address:
        page = rendered(f"{address}/", tmp_path)
    assert shown(page, "value")[:4] == ["120.12", "\u221242.000", "7\u202f000\u202f000", "1.2 é"]
    assert shown(page, "unit")[:3] == ["V", "W", "Wh"]
    assert shown(page, "state") == ["ok", "not read yet"]
    assert "last 10 min: \u221242.000 W to 8.0000 W" in page


NUMBERS: dict[str, tuple[Value, Kind]] = {
    "3 090 123 456.75": (3090123456.75, "counter"),
    "12 345.678": (12345.678, "counter"),
    "9 007 199 254 740 993": (2**53 + 1, "counter"),
    "\u22123 090 123 456 789 012": (-3_090_123_456_789_012, "gauge"),
    "10 000 000 000 000 000": (1e16, "counter"),
    "3 090 123 457": (3090123456.75, "gauge"),
    "\u221212 346": (-12345.678, "gauge"),
    "3.400e+38": (3.4e38, "gauge"),
    "5.000e\u22124": (0.0005, "gauge"),
}


def test_numbers_stand_as_people_read_them_and_counters_with_all_digits(tmp_path: Path) -> None:
    topics = tuple(Topic(f"m{n}", kind=kind) for n, (_, kind) in enumerate(NUMBERS.values()))
    site = Site((MeterProfile(NEXUS, topics, 10.0),))
    values: dict[str, Any] = {f"m{n}": value for n, (value, _) in enumerate(NUMBERS.values())}
    site.read(NEXUS, **values)
    with served(site.app()) as address:
        page = rendered(f"{address}/", tmp_path)
    assert shown(page, "value") == [text.replace(" ", "\u202f") for text in NUMBERS]


def test_lines_stop_where_nothing_was_read(tmp_path: Path) -> None:
    """That of W begins with an outage; those of both are old when the page adds its own value."""
    site = one_meter()
    start = NOW.timestamp() - 100
    line: list[tuple[float, float | None]] = [(start + at, 1.0) for at in (50, 60, 64)]
    site.lines = {NEXUS: {"W": [(start, 7.0), (start + 25, None), *line], "Voltage_AN": line[:2]}}
    with served(site.app()) as address:
        page = rendered(f"{address}/", tmp_path)
    drawn = re.findall(r'<path d="([^"]+)"', page)
    assert [re.sub(r"[0-9.]+ [0-9.]+", "", path) for path in drawn] == ["MLMh2", "Mh2MLLMh2"]


def test_texts_from_outside_stay_texts(tmp_path: Path) -> None:
    site = one_meter()
    site.read(NEXUS, Firmware="<img src=x onerror=alert(1)>")
    with served(site.app()) as address:
        page = rendered(f"{address}/", tmp_path)
    assert "&lt;img src=x" in page
    assert "<img" not in page


def test_the_documentation_page_shows_every_route(tmp_path: Path) -> None:
    with served(one_meter().app()) as address:
        page = rendered(f"{address}/docs", tmp_path)
    assert page.count('<form class="operation">') == len(ROUTES)
    assert f"curl -X POST '{address}/collect'" in page


OWN = [name for _, name, _ in pages.ASSETS if not name.startswith("vendor/")]


@pytest.mark.parametrize("name", ["index.html", "docs.html", *OWN])
def test_no_file_asks_another_host_for_anything(name: str) -> None:
    text = pages.content(name).decode().replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE)


def test_every_file_is_served() -> None:
    files = {str(path.relative_to(STATIC)) for path in STATIC.rglob("*.*")}
    assert files == {"index.html", "docs.html", *(name for _, name, _ in pages.ASSETS)}


def test_files_have_their_media_type() -> None:
    with Site(one_meter().profiles).client() as client:
        for path, _, media in pages.ASSETS:
            assert client.get(path).headers["content-type"].partition(";")[0] == media
        assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
