import pytest

from emdc.reading import MeterProfile
from emdc.web.overview import thin
from tests.web.site import EATON, NEXUS, NOW, TOPICS, Site, one_meter, two_meters


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
