import re
import subprocess
from pathlib import Path

import pytest

from emdc.web import pages
from emdc.web.app import ROUTES
from tests.conftest import need_program
from tests.web.site import NEXUS, NOW, Site, one_meter, served, two_meters

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def rendered(address: str, folder: Path) -> str:
    """The page as Chromium has it after its scripts ran."""
    options = [*QUIET, f"--user-data-dir={folder}", "--virtual-time-budget=3000", "--dump-dom"]
    command = [need_program("chromium"), *options, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout


def shown(page: str, kind: str) -> list[str]:
    return re.findall(rf'<span class="{kind}"[^>]*>([^<]*)</span>', page)


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


@pytest.mark.parametrize("name", ["index.html", "docs.html", *(row[1] for row in pages.ASSETS)])
def test_no_file_asks_another_host_for_anything(name: str) -> None:
    text = pages.content(name).decode().replace("http://www.w3.org/2000/svg", "")
    assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE)


def test_files_have_their_media_type() -> None:
    with Site(one_meter().profiles).client() as client:
        for path, _, media in pages.ASSETS:
            assert client.get(path).headers["content-type"].partition(";")[0] == media
        assert client.get("/").headers["content-type"] == "text/html; charset=utf-8"
