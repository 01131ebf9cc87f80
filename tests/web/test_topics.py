from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from emdc.reading import MeterProfile
from tests.storage.filled import fill as fill_values
from tests.web.site import EATON, NEXUS, TOPICS, Site, one_meter, two_meters
from tests.web.stored import opened, stored_site


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
        "configured": True,
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


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database that knows the Nexus, which is configured, and a meter of earlier times."""
    made = opened(tmp_path_factory.mktemp("stored") / "emdc.db")
    names = [f"{NEXUS}/{topic.name}" for topic in TOPICS]
    names += [f"Old/Mercer/{name}" for name in ("W", "Wh_received", "Wh_100%")]
    fill_values(made, {name: {0: 1.0} for name in names})
    yield made
    made.dispose()


def found(engine: Engine, **query: object) -> list[tuple[str, bool]]:
    with stored_site(engine).client() as client:
        answer = client.get("/topics", params=query)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"] >= len(answer.json()["topics"])
    return [(row["topic"], row["configured"]) for row in answer.json()["topics"]]


@pytest.mark.parametrize(
    ("words", "metrics"),
    [
        ("VOLT", ["Voltage_AN"]),
        ("neutral phase", ["Voltage_AN"]),
        ("mercer energy wh", ["Wh_received"]),
        ("power", ["W"]),
        ("meter's", ["Firmware"]),
        ("volt energy", []),
        ("'; DROP TABLE topics --", []),
    ],
)
def test_search_finds_all_words_in_name_unit_and_description(
    engine: Engine, words: str, metrics: list[str]
) -> None:
    assert found(engine, search=words) == [(f"{NEXUS}/{name}", True) for name in metrics]


def test_search_finds_stored_topics_behind_the_configured_ones(engine: Engine) -> None:
    assert found(engine, search="mercer wh") == [
        (f"{NEXUS}/Wh_received", True),
        ("Old/Mercer/Wh_100%", False),
        ("Old/Mercer/Wh_received", False),
    ]
    assert found(engine, search="100%") == [("Old/Mercer/Wh_100%", False)]
    assert found(engine, search="mercer wh", meter=NEXUS) == [(f"{NEXUS}/Wh_received", True)]


def test_stored_topic_that_is_not_configured_says_so(engine: Engine) -> None:
    with stored_site(engine).client() as client:
        (row,) = client.get("/topics?search=100%25").json()["topics"]
    assert row == {
        "topic": "Old/Mercer/Wh_100%",
        "meter": "Old/Mercer",
        "metric": "Wh_100%",
        "unit": "",
        "kind": "gauge",
        "interval": None,
        "description": "",
        "value": None,
        "timestamp": None,
        "quality": "not configured",
        "configured": False,
    }


def test_pages_of_a_search_join_to_the_whole(engine: Engine) -> None:
    whole = found(engine, search="mercer")
    assert len(whole) == len(TOPICS) + 3
    seen: list[tuple[str, bool]] = []
    for offset in range(0, 9, 3):
        seen += found(engine, search="mercer", limit=3, offset=offset)
    assert seen == whole
    with stored_site(engine).client() as client:
        nexts = [
            client.get(f"/topics?search=mercer&limit=3&offset={n}").json()["next_offset"]
            for n in (0, 3, 6)
        ]
    assert nexts == [3, 6, None]


def test_a_search_of_very_many_words_is_400() -> None:
    with one_meter().client() as client:
        assert client.get("/topics", params={"search": "a " * 10}).status_code == 200
        answer = client.get("/topics", params={"search": "a " * 11})
    assert answer.status_code == 400
    assert "expected at most 10 words" in answer.json()["detail"]


def test_without_a_search_the_database_is_not_asked(engine: Engine) -> None:
    assert found(engine) == [(f"{NEXUS}/{topic.name}", True) for topic in TOPICS]
    assert found(engine, search="") == found(engine)
