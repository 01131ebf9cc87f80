from sqlalchemy import Engine

from emdc.reading import MeterProfile, Topic
from emdc.storage import known
from emdc.storage.database import connected
from emdc.storage.layout import MeterLayout
from tests.storage.plant import METER, METRICS, profile, reading, store, tick


def layouts(engine: Engine, *names: str) -> dict[str, MeterLayout]:
    with connected(engine) as connection:
        return known.layouts(connection, names)


def test_meters_have_the_places_that_the_database_gave_them(engine: Engine) -> None:
    first, second = profile(metrics=("a", "b", "c")), profile(metrics=("c", "d"))
    store(engine, profiles=[first])
    store(engine, profiles=[second], now=tick(5))
    assert layouts(engine, METER)[METER].slots == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_only_meters_that_are_asked_for_and_there_are_given(engine: Engine) -> None:
    store(engine, profiles=[profile(), profile("other")])
    assert list(layouts(engine, METER, "never/seen")) == [METER]
    assert layouts(engine) == {}


def test_name_that_begins_like_another_is_not_mixed_up_with_it(engine: Engine) -> None:
    longer = profile(f"{METER}/b", ("x",))
    store(engine, profiles=[profile(metrics=("a",)), longer])
    found = layouts(engine, METER, longer.name)
    assert [dict(found[name].slots) for name in (METER, longer.name)] == [{"a": 0}, {"x": 0}]


def test_ticks_are_those_of_the_schedules_in_force(engine: Engine) -> None:
    topics = (Topic("a"), Topic("b", interval_s=60))
    store(engine, profiles=[MeterProfile(METER, topics, 1.0)])
    store(engine, profiles=[MeterProfile(METER, topics, 5.0)], now=tick(5))
    assert layouts(engine, METER)[METER].intervals == {5.0, 60.0}


def test_values_are_taken_as_they_are(engine: Engine) -> None:
    store(engine)
    row = layouts(engine, METER)[METER].row(reading(0, (1 / 3, 7, "A1")))
    assert row.vals == '[0.3333333333333333,7,"A1"]'
    assert layouts(engine, METER)[METER].knows(METRICS)


def test_topic_of_the_old_collector_alone_has_no_place(engine: Engine) -> None:
    store(engine)
    with connected(engine, write=True) as connection:
        sql = "INSERT INTO topics (topic_id, topic_name) VALUES (99, ?)"
        connection.exec_driver_sql(sql, (f"{METER}/Current_A",))
    assert not layouts(engine, METER)[METER].knows(("Current_A",))
