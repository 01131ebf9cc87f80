from typing import Any

import pytest

from emdc.reading import MeterProfile
from emdc.web.overview import thin
from tests.web.site import EATON, NEXUS, NOW, TOPICS, Site, one_meter, two_meters


def test_topics_say_unit_kind_interval_and_newest_value() -> None:
    with one_meter().client() as client:
        answer = client.get("/topics").json()
    assert (answer["total"], answer["next_offset"]) == (4, None)
    assert answer["topics"][0] == {
        "topic": f"{NEXUS}/Voltage_AN",
        "meter": NEXUS,
        "metric": "Voltage_AN",
        "unit": "V",
        "kind": "gauge",
        "interval": 10.0,
        "description": "Phase A to neutral",
        "value": 120.123457,
        "timestamp": "2031-05-04T12:00:00Z",
        "quality": "good",
    }


@pytest.mark.parametrize(
    ("later", "quality"),
    [
        ({"W": None}, "read_timeout"),  # the meter is away: nothing newer of any metric
        ({"W": None, "Voltage_AN": 230.0}, "good"),  # it answers, and has no W
        ({"W": 1.0, "Voltage_AN": 230.0}, "good"),
    ],
)
def test_what_comes_round_seldom_is_good_unless_the_meter_is_away(
    later: dict[str, Any], quality: str
) -> None:
    site = Site((MeterProfile(EATON, TOPICS, 10.0),))
    site.read(EATON, ago=90, Wh_received=60)
    site.read(EATON, ago=20, W=None, Voltage_AN=None)
    site.read(EATON, ago=10, **later)
    with site.client() as client:
        (seldom,) = [
            topic
            for topic in client.get("/topics").json()["topics"]
            if topic["metric"] == "Wh_received"
        ]
    assert (seldom["value"], seldom["quality"]) == (60, quality)


def test_topics_come_in_pages_that_join_to_the_whole() -> None:
    seen: list[str] = []
    offset: int | None = 0
    with two_meters().client() as client:
        while offset is not None:
            page = client.get("/topics", params={"limit": 3, "offset": offset}).json()
            seen += [row["topic"] for row in page["topics"]]
            offset = page["next_offset"]
    assert seen == [f"{meter}/{topic.name}" for meter in (NEXUS, EATON) for topic in TOPICS]


def test_topics_of_one_meter_say_when_it_was_never_read() -> None:
    with two_meters().client() as client:
        answer = client.get("/topics", params={"meter": EATON}).json()
    assert {row["meter"] for row in answer["topics"]} == {EATON}
    assert {row["quality"] for row in answer["topics"]} == {"never read"}


@pytest.mark.parametrize("query", ["limit=0", "limit=-1", "limit=1001", "limit=x", "offset=-1"])
def test_pages_beyond_the_bounds_are_400(query: str) -> None:
    with one_meter().client() as client:
        assert client.get(f"/topics?{query}").status_code == 400


@pytest.mark.parametrize("path", ["/topics", "/state", "/sparklines"])
def test_an_unknown_meter_is_404_with_the_nearest(path: str) -> None:
    with one_meter().client() as client:
        answer = client.get(path, params={"meter": "UW/Mercer/nexus_metre"})
    assert answer.status_code == 404
    assert NEXUS in answer.json()["detail"]


def test_state_has_the_values_of_few_meters_at_once() -> None:
    site = two_meters()
    site.read(EATON, W=None)
    with site.client() as client:
        answer = client.get("/state").json()
    assert answer["refresh_s"] == 10.0
    assert [row["value"] for row in answer["values"][NEXUS]] == [
        120.123457,
        -42.0,
        7000000,
        "1.2 é",
    ]
    assert [row["kind"] for row in answer["values"][NEXUS]] == ["gauge", "gauge", "counter", "text"]
    assert {row["interval"] for row in answer["values"][NEXUS]} == {10.0}
    assert [row["whole"] for row in answer["values"][NEXUS]] == [False, False, True, False]
    assert answer["values"][EATON][1]["missing"] == "read_timeout"


def test_whole_numbers_that_a_page_would_round_are_texts_in_its_state() -> None:
    site = one_meter()
    site.read(NEXUS, Voltage_AN=120.0, W=2**53, Wh_received=2**53 + 1, Firmware="1")
    with site.client() as client:
        rows = client.get("/state").json()["values"][NEXUS]
    assert [row["value"] for row in rows] == [120.0, 2**53, str(2**53 + 1), "1"]
    assert [row["whole"] for row in rows] == [False, True, True, False]


def test_state_of_many_meters_has_the_values_of_the_one_asked_for() -> None:
    site = Site(tuple(MeterProfile(f"m{n}", TOPICS, 1.0) for n in range(51)))
    with site.client() as client:
        assert client.get("/state").json()["values"] == {}
        assert list(client.get("/state?meter=m7").json()["values"]) == ["m7"]


def test_sparklines_are_thinned() -> None:
    start = NOW.timestamp() - 3600
    line = [(start + n, float(n == 1800)) for n in range(3600)]
    site = one_meter()
    site.lines = {NEXUS: {"W": line}}
    with site.client() as client:
        answer = client.get("/sparklines", params={"meter": NEXUS}).json()
    points = answer["points"]["W"]
    assert len(points) <= 240
    assert [start + 1800, 1.0] in points


def test_thinning_keeps_a_break_of_the_line() -> None:
    line: list[tuple[float, float | None]] = [(float(n), float(n % 7)) for n in range(5000)]
    line[2000:3000] = [(2500.0, None)]
    thinned = thin(line)
    assert (2500.0, None) in thinned
    assert thinned == sorted(thinned, key=lambda point: point[0])
    flapping = [(float(n), None if n % 2 else 1.0) for n in range(5000)]
    assert len(thin(flapping)) <= 240
    assert {value for _, value in thin(flapping)} == {None, 1.0}


def test_thinning_keeps_few_points_as_they_are_and_the_order_of_many() -> None:
    few = [(float(n), 1.0) for n in range(240)]
    assert thin(few) == few
    many = [(float(n), float(n % 7)) for n in range(5000)]
    assert thin(many) == sorted(thin(many))
    assert thin([(1.0, 2.0)] * 1000) == [(1.0, 2.0)]
