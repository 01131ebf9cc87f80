import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.errors import ConfigError
from emdc.storage.database import connected
from emdc.storage.places import Place, names_of, place, split
from tests.storage.plant import METER, execute, profile, rows, store, tick

TOPICS = "SELECT topic_id, topic_name, meter_id, slot FROM topics ORDER BY topic_id"


def placed(
    engine: Engine,
    *names: str,
    numbers: dict[str, int] | None = None,
    units: dict[str, str] | None = None,
) -> dict[str, Place]:
    with connected(engine, write=True) as connection:
        return place(connection, names, numbers=numbers or {}, units=units or {})


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("UW/Mercer/nexus_meter/W", ("UW/Mercer/nexus_meter", "W")),
        ("a/b", ("a", "b")),
        ("temperature", ("temperature", "temperature")),
    ],
)
def test_meter_is_all_before_the_last_slash(name: str, parts: tuple[str, str]) -> None:
    assert split(name) == parts


@pytest.mark.parametrize("name", ["/W", "a/"])
def test_a_name_without_a_meter_or_without_a_metric_is_an_error(name: str) -> None:
    with pytest.raises(ConfigError, match="no name at one side"):
        split(name)


def test_new_topics_get_meters_slots_and_meta(engine: Engine, path: Path) -> None:
    found = placed(engine, "a/W", "b/W", "a/V", units={"a/V": "V"})
    assert found["a/V"] == Place(3, found["a/W"].meter_id, 1, new=True)
    assert [found[name].slot for name in ("a/W", "b/W")] == [0, 0]
    metas = [json.loads(text) for (text,) in rows(path, "SELECT metadata FROM meta")]
    expected = {"units": "", "tz": "UTC", "type": "float", "kind": "gauge"}
    assert metas == [expected, expected, expected | {"units": "V"}]


def test_a_topic_that_is_there_keeps_its_place_and_what_is_said_of_it(
    engine: Engine, path: Path
) -> None:
    store(engine, profiles=[profile()])
    before = rows(path, TOPICS), rows(path, "SELECT * FROM meta")
    name = f"{METER}/Wh_delivered"
    assert placed(engine, name, units={name: "J"}) == {name: Place(2, 1, 1, new=False)}
    assert (rows(path, TOPICS), rows(path, "SELECT * FROM meta")) == before


def test_a_topic_whose_name_is_another_meters_stays_with_its_meter(engine: Engine) -> None:
    store(engine, profiles=[profile("a", ("b/c",))])
    assert placed(engine, "a/b/c")["a/b/c"] == Place(1, 1, 0, new=False)


def test_a_new_topic_of_a_recorded_meter_gets_a_slot_that_was_never_given(
    engine: Engine,
) -> None:
    store(engine, profiles=[profile(metrics=("a", "b"))])
    store(engine, profiles=[profile(metrics=("a",))], now=tick(9))
    assert placed(engine, f"{METER}/c")[f"{METER}/c"].slot == 2


def test_a_topic_of_the_old_collector_keeps_its_number_and_its_meta(
    engine: Engine, path: Path
) -> None:
    execute(path, "INSERT INTO topics (topic_id, topic_name) VALUES (41, 'a/W'), (42, 'a/V')")
    execute(path, "INSERT INTO meta VALUES (41, 'as it was')")
    assert placed(engine, "a/W", "a/V")["a/W"] == Place(41, 1, 0, new=True)
    assert rows(path, "SELECT metadata FROM meta WHERE topic_id = 41") == [("as it was",)]
    assert rows(path, "SELECT count(*) FROM meta") == [(2,)]


def test_a_number_that_is_free_is_given_and_others_follow_it(engine: Engine) -> None:
    found = placed(engine, "a/W", "a/V", numbers={"a/V": 1})
    assert {name: one.topic_id for name, one in found.items()} == {"a/V": 1, "a/W": 2}


@pytest.mark.parametrize(
    ("numbers", "problem"),
    [
        ({"a/V": 1}, "topic a/V: the number 1 belongs to a/W"),
        ({"a/W": 7}, "topic a/W: has the number 1, not 7"),
        ({"a/V": 7, "a/U": 7}, "topic a/U: the number 7 belongs to a/V"),
    ],
)
def test_a_number_of_another_topic_is_an_error_and_creates_nothing(
    numbers: dict[str, int], problem: str, engine: Engine, path: Path
) -> None:
    placed(engine, "a/W")
    with pytest.raises(ConfigError, match=problem):
        placed(engine, *numbers, "c/W", numbers=numbers)
    assert rows(path, TOPICS) == [(1, "a/W", 1, 0)]
    assert rows(path, "SELECT name FROM meters") == [("a",)]


def test_names_of_numbers_leave_out_those_that_are_free(engine: Engine) -> None:
    placed(engine, "a/W", "a/V")
    with connected(engine) as connection:
        assert names_of(connection, [2, 9]) == {2: "a/V"}
        assert names_of(connection, []) == {}
