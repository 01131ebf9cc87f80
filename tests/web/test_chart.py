"""Energies and charts on the first page, over a database with two days of readings."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import Engine

from tests.web.browser import plain, rendered, shown
from tests.web.site import EATON, NEXUS, Site, served
from tests.web.stored import EATON_PROFILE, MINUTES, NEXUS_PROFILE, filled, opened


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = filled(tmp_path_factory.mktemp("stored") / "emdc.sqlite")
    yield engine
    engine.dispose()


@pytest.fixture
def site(engine: Engine) -> Site:
    site = Site((NEXUS_PROFILE, EATON_PROFILE), engine=engine)
    site.read(NEXUS, Voltage_AN=230.0, W=600.0, Wh_received=7_000_000 + 10 * MINUTES)
    return site


def texts(page: str, tag: str) -> list[str]:
    """What stands in each element of a kind, without markup."""
    found = re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", page, flags=re.DOTALL)
    return [plain(unescape(re.sub(r"<[^>]*>", "", text))) for text in found]


def dialog(page: str) -> str:
    found = re.search(r"<dialog.*</dialog>", page, flags=re.DOTALL)
    assert found, "no dialog"
    return found[0]


def csv_address(page: str) -> tuple[str, dict[str, list[str]]]:
    found = re.search(r'class="csv" href="([^"]+)"', page)
    assert found, "no link"
    parts = urlsplit(unescape(found[1]))
    return parts.path, parse_qs(parts.query)


def test_cards_show_energies_and_rows_lead_to_charts(site: Site, tmp_path: Path) -> None:
    with served(site.app()) as address:
        page = rendered(f"{address}/", tmp_path)
    amounts = [text.replace("\u202f", " ") for text in re.findall(r'"amount"[^>]*>(.*?</b>)', page)]
    assert amounts == [
        "today <b>2.990 kWh</b>",
        "yesterday <b>14.40 kWh</b>",
        "today <b>0.298 kWh</b>",
        "yesterday <b>\u2014</b>",
    ]
    assert shown(page, "doubt") == ["suspect"]
    assert "suspect: the counter leapt or began anew; 99.3 % of the readings" in page

    assert f'class="row" href="#{NEXUS}?metric=Voltage_AN"' in page
    assert not re.search(r"<dialog[^>]* open", page)


def test_an_address_opens_a_chart_with_breaks_for_gaps(site: Site, tmp_path: Path) -> None:
    wanted = "metric=W&span=zoom&at=2031-05-02T13:00:00Z/2031-05-03T07:00:00Z"
    with served(site.app()) as address:
        page = dialog(rendered(f"{address}/#{NEXUS}?{wanted}", tmp_path))
    assert re.match(r"<dialog[^>]* open", page)
    assert "<canvas" in page
    assert "2 May 2031 06:00 \u2013 3 May 2031 00:00" in plain(page)
    assert (
        "Altogether: mean 600.00 W, least 600.00 W, greatest 600.00 W, 1\u202f070 readings" in page
    )
    assert texts(page, "li") == [
        "Fri 2 May 2031 21:40 for 10 min: read timeout 10 readings missing"
    ]
    assert "Times of America/Los_Angeles." in page
    path, given = csv_address(page)
    assert path == "history"
    assert given == {
        "topic": [f"{NEXUS}/W"],
        "start": ["2031-05-02T13:00:00Z"],
        "end": ["2031-05-03T07:00:00Z"],
        "step": ["0"],
        "format": ["csv"],
    }


def test_a_counter_is_drawn_as_energy_of_each_period(site: Site, tmp_path: Path) -> None:
    with served(site.app()) as address:
        page = dialog(rendered(f"{address}/#{EATON}?metric=Wh_received", tmp_path))
    assert "<canvas" in page
    assert 'aria-pressed="true">Energy</button>' in page
    assert "Altogether 0.298 kWh" in page
    notes = texts(page, "li")
    assert notes[2] == ("Sun 4 May 2031 04:00: the counter began anew from 502\u202f819 to 0 Wh")
    assert notes[-1].startswith("Sun 4 May 2031 03:00\u201304:00: 0.059 kWh; suspect:")
    path, given = csv_address(page)
    assert (path, given["per"], given["end"]) == ("energy", ["hour"], ["2031-05-04T13:00:00Z"])


@pytest.mark.parametrize(
    ("span", "reach"),
    [
        ("day", "Sun 4 May 2031 00:00 \u2013 Mon 5 May 2031 00:00"),
        ("week", "Mon 28 Apr 2031 00:00 \u2013 Mon 5 May 2031 00:00"),
        ("month", "Thu 1 May 2031 00:00 \u2013 Sun 1 Jun 2031 00:00"),
        ("hour", "Sun 4 May 2031 04:00\u201305:00"),
    ],
)
def test_a_chart_reaches_over_its_whole_span_and_not_only_where_values_are(
    span: str, reach: str, site: Site, tmp_path: Path
) -> None:
    """The first value is of 2 May 05:00, and now it is 4 May 05:00."""
    for metric in ("W", "Wh_received"):
        with served(site.app()) as address:
            page = dialog(rendered(f"{address}/#{NEXUS}?metric={metric}&span={span}", tmp_path))
        label = re.search(r'aria-label="(Chart of [^"]*)"', page)
        assert label, "no chart"
        assert plain(label[1]) == (
            f"Chart of {NEXUS}/{metric} {reach}; arrow keys go from point to point"
        )


def test_a_counter_has_its_register_beside(site: Site, tmp_path: Path) -> None:
    with served(site.app()) as address:
        page = dialog(rendered(f"{address}/#{NEXUS}?metric=Wh_received&view=values", tmp_path))
    assert 'aria-pressed="true">Register</button>' in page
    assert "From 7\u202f025\u202f800 Wh to 7\u202f028\u202f790 Wh, 300 readings" in page


def test_texts_are_listed_where_they_changed(site: Site, tmp_path: Path) -> None:
    with served(site.app()) as address:
        page = dialog(rendered(f"{address}/#{NEXUS}?metric=Firmware", tmp_path))
    assert texts(page, "li") == ["Sun 4 May 2031 00:00: =1+1"]
    assert "<canvas" not in page


def test_a_time_without_values_is_said(site: Site, tmp_path: Path) -> None:
    with served(site.app()) as address:
        page = dialog(rendered(f"{address}/#{NEXUS}?metric=W&span=month&at=2030-02-01", tmp_path))
    assert "Nothing was stored in this time." in page
    assert "February 2030" in page
    assert "<canvas" not in page


def test_a_metric_that_does_not_exist_is_said(site: Site, tmp_path: Path) -> None:
    with served(site.app()) as address:
        page = dialog(rendered(f"{address}/#{NEXUS}?metric=Volts", tmp_path))
    notice = "The chart could not be loaded: no topic is called"
    assert notice in page
    assert "Trying again" not in page


def test_a_database_that_fails_is_said_on_card_and_chart(site: Site, tmp_path: Path) -> None:
    broken = opened(tmp_path / "broken.sqlite")
    with broken.begin() as connection:
        connection.exec_driver_sql("DROP TABLE topics")
    site.engine = broken
    with served(site.app()) as address:
        page = rendered(f"{address}/#{NEXUS}?metric=W", tmp_path / "browser")
    assert re.search("The chart could not be loaded: .*topics.* Trying again.", dialog(page))
    assert "no energy: " in page
