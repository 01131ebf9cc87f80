import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.errors import ConfigError
from emdc.reading import MeterProfile, Topic
from emdc.storage.recorder import Recorder
from tests.storage.plant import METER, NOON, execute, profile, reading, rows, store, tick

SLOTS = "SELECT topic_name, slot FROM topics WHERE slot IS NOT NULL ORDER BY slot"
SCHEDULES = "SELECT from_ts, interval_s, slots FROM schedules ORDER BY from_ts, interval_s"


def configured(engine: Engine, *profiles: MeterProfile, at: float = 0) -> None:
    """One start and clean stop of a recorder with this configuration."""
    store(engine, profiles=profiles, now=tick(at))


def slots(path: Path) -> dict[str, int]:
    return {name.removeprefix(f"{METER}/"): slot for name, slot in rows(path, SLOTS)}


def clock(text: str) -> str:
    return f"2026-03-01 {text}.000000"


def test_slots_follow_the_order_of_the_map(engine: Engine, path: Path) -> None:
    configured(engine, profile())
    assert slots(path) == {"Voltage_AN": 0, "Wh_delivered": 1, "Serial": 2}


def test_slots_never_change_and_are_never_given_twice(engine: Engine, path: Path) -> None:
    configured(engine, profile(metrics=("a", "b", "c")))
    configured(engine, profile(metrics=("c", "a")))
    configured(engine, profile(metrics=("d", "c")))
    assert slots(path) == {"a": 0, "b": 1, "c": 2, "d": 3}


def test_old_values_stay_under_their_topic_when_the_map_changes(engine: Engine, path: Path) -> None:
    store(
        engine, reading(0, (1.0, 2.0), metrics=("a", "b")), profiles=[profile(metrics=("a", "b"))]
    )
    store(
        engine,
        reading(9, (3.0, 4.0), metrics=("c", "b")),
        profiles=[profile(metrics=("c", "b"))],
        now=tick(9),
    )
    found = rows(path, "SELECT topic_name, value FROM samples ORDER BY ts, topic_id")
    assert [(name[-1], value) for name, value in found] == [
        ("a", 1.0),
        ("b", 2.0),
        ("b", 4.0),
        ("c", 3.0),
    ]


def test_topic_of_the_old_collector_is_adopted_by_its_name(engine: Engine, path: Path) -> None:
    execute(path, f"INSERT INTO topics (topic_id, topic_name) VALUES (41, '{METER}/Voltage_AN')")
    configured(engine, profile())
    assert rows(path, "SELECT topic_id FROM topics WHERE slot = 0") == [(41,)]


def test_topic_of_two_meters_is_an_error(engine: Engine) -> None:
    one, two = profile("a/b", ("c",)), profile("a", ("b/c",))
    configured(engine, one)
    with pytest.raises(ConfigError, match="topic a/b/c: already recorded for another meter"):
        configured(engine, one, two)


@pytest.mark.parametrize("name", ["x" * 513, "x" * 505 + "/y"])
def test_names_that_do_not_fit_are_an_error(engine: Engine, name: str) -> None:
    with pytest.raises(ConfigError, match="expected at most 512"):
        configured(engine, profile(name))


def test_meta_says_what_a_topic_is(engine: Engine, path: Path) -> None:
    configured(engine, profile())
    metas = [json.loads(text) for (text,) in rows(path, "SELECT metadata FROM meta")]
    assert metas[1:] == [
        {"units": "Wh", "tz": "UTC", "type": "float", "kind": "counter"},
        {"units": "", "tz": "UTC", "type": "string", "kind": "text"},
    ]


@pytest.mark.parametrize(
    ("modulus", "text"),
    [(429_496_729_600, "429496729600"), (0.5, "0.5"), (2.0**64, "1.8446744073709552e19")],
)
def test_meta_says_where_a_counter_begins_again(
    modulus: float, text: str, engine: Engine, path: Path
) -> None:
    topic = Topic("Wh", "Wh", "counter", modulus=modulus)
    configured(engine, MeterProfile(METER, (topic,)))
    (found,) = rows(path, "SELECT metadata FROM meta")[0]
    assert found.endswith(f',"kind":"counter","modulus":{text}}}')


def test_meta_follows_the_map(engine: Engine, path: Path) -> None:
    for unit in ("V", "kV"):
        configured(engine, MeterProfile(METER, (Topic("Voltage_AN", unit),)))
    assert '"kV"' in rows(path, "SELECT metadata FROM meta")[0][0]


def test_settings_are_kept_with_the_time_from_which_they_hold(engine: Engine, path: Path) -> None:
    def ratio(value: float) -> MeterProfile:
        return MeterProfile(METER, (Topic("W"),), settings={"pt_ratio": 1.0, "ct_ratio": value})

    for at, value in ((0, 100.0), (60, 100.0), (120, 200.0), (120, 400.0)):
        configured(engine, ratio(value), at=at)
    assert rows(path, "SELECT from_ts, settings FROM meter_settings ORDER BY from_ts") == [
        (clock("12:00:00"), '{"ct_ratio":100.0,"pt_ratio":1.0}'),
        (clock("12:02:00"), '{"ct_ratio":400.0,"pt_ratio":1.0}'),
    ]


def test_schedule_begins_with_the_next_tick(engine: Engine, path: Path) -> None:
    configured(engine, profile(metrics=("a", "b"), interval_s=60), at=0.5)
    assert rows(path, SCHEDULES) == [(clock("12:01:00"), 60.0, "[0,1]")]


def test_schedule_is_written_again_only_when_it_changes(engine: Engine, path: Path) -> None:
    for at in (0, 5):
        configured(engine, profile(metrics=("a",), interval_s=1), at=at)
    configured(engine, profile(metrics=("a", "b"), interval_s=1), at=10)
    assert rows(path, SCHEDULES) == [
        (clock("12:00:00"), 1.0, "[0]"),
        (clock("12:00:10"), 1.0, "[0,1]"),
    ]


def test_metrics_with_an_interval_of_their_own_have_a_row_of_their_own(
    engine: Engine, path: Path
) -> None:
    topics = (Topic("a"), Topic("b", interval_s=60), Topic("c"))
    configured(engine, MeterProfile(METER, topics, 1.0), at=1)
    assert rows(path, SCHEDULES) == [
        (clock("12:00:01"), 1.0, "[0,2]"),
        (clock("12:01:00"), 60.0, "[1]"),
    ]


def test_changed_interval_closes_the_old_one(engine: Engine, path: Path) -> None:
    configured(engine, profile(metrics=("a",), interval_s=1))
    configured(engine, profile(metrics=("a",), interval_s=5), at=7)
    assert rows(path, SCHEDULES)[1:] == [
        (clock("12:00:07"), 1.0, "[]"),
        (clock("12:00:10"), 5.0, "[0]"),
    ]


def test_meter_that_left_the_configuration_owes_nothing(engine: Engine, path: Path) -> None:
    configured(engine, profile(metrics=("a",)))
    configured(engine, profile("other", ("a",)), at=3)
    left = rows(path, "SELECT from_ts, slots FROM schedules WHERE meter_id = 1 ORDER BY from_ts")
    assert left == [(clock("12:00:00"), "[0]"), (clock("12:00:03"), "[]")]


def test_row_before_its_first_tick_is_corrected(engine: Engine, path: Path) -> None:
    for at, metrics in ((0.25, ("a",)), (0.5, ("a", "b"))):
        configured(engine, profile(metrics=metrics, interval_s=60), at=at)
    assert rows(path, SCHEDULES) == [(clock("12:01:00"), 60.0, "[0,1]")]


def test_meter_without_an_interval_has_no_schedule(engine: Engine, path: Path) -> None:
    configured(engine, profile(interval_s=None))
    assert rows(path, SCHEDULES) == []


def test_failed_start_leaves_nothing(engine: Engine, path: Path) -> None:
    recorder = Recorder(engine, clock=lambda: NOON)
    with pytest.raises(ConfigError):
        asyncio.run(recorder.start([profile("a/b", ("c",)), profile("a", ("b/c",))], NOON))
    assert rows(path, "SELECT * FROM meters") == []
