"""Topics, values as stored, and where counters began anew."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert

from emdc.energy.answers import EpochRow, TopicFacts
from emdc.errors import ConfigError, StorageError
from emdc.reading import MeterProfile, Topic, Value
from emdc.storage.database import connected, open_engine
from emdc.storage.instants import to_text
from emdc.storage.migrate import prepare, upgrade
from emdc.storage.past import chronicle as module
from emdc.storage.past.chronicle import Chronicle, Zones
from emdc.storage.past.topics import UnknownTopicError
from emdc.storage.schema import counter_epochs
from tests.storage.filled import fill
from tests.storage.plant import METER, execute, profile, reading, store, tick
from tests.storage.reckoned import reckon
from tests.storage.test_old_samples import PACIFIC, TABLES

VOLTS, ENERGY, SERIAL = (f"{METER}/{name}" for name in ("Voltage_AN", "Wh_delivered", "Serial"))


def at(seconds: float) -> float:
    """So many seconds after noon, since 1970."""
    return tick(seconds).timestamp()


@pytest.fixture
def chronicle(engine: Engine) -> Iterator[Chronicle]:
    with Chronicle(engine) as opened:
        yield opened


def values(found: list[tuple[float, Value]]) -> list[tuple[float, Value]]:
    """With seconds after noon."""
    return [(time - at(0), value) for time, value in found]


def test_a_topic_has_unit_kind_zone_and_interval(engine: Engine, chronicle: Chronicle) -> None:
    store(engine, reading(0))
    assert chronicle.topic(VOLTS) == TopicFacts(VOLTS, "V", "gauge", "UTC", 1.0)
    assert chronicle.topic(ENERGY) == TopicFacts(ENERGY, "Wh", "counter", "UTC", 1.0)
    assert chronicle.topic(SERIAL).kind == "text"


def test_interval_is_the_one_in_force(engine: Engine, chronicle: Chronicle) -> None:
    slow = MeterProfile(METER, (Topic("a"), Topic("b", interval_s=60)), 1.0)
    store(engine, reading(0, (1.0, 2.0), metrics=("a", "b")), profiles=[slow])
    assert chronicle.topic(f"{METER}/a").interval_s == 1
    assert chronicle.topic(f"{METER}/b").interval_s == 60
    by_hand = MeterProfile(METER, (Topic("a"), Topic("b")), None)
    store(engine, profiles=[by_hand], now=tick(100))
    with Chronicle(engine) as later:
        assert later.topic(f"{METER}/a").interval_s is None


def test_zone_is_the_configured_one_else_that_of_the_settings(engine: Engine) -> None:
    named = profile()
    store(engine, profiles=[MeterProfile(METER, named.topics, 1.0, {"timezone": PACIFIC})])
    with Chronicle(engine) as one:
        assert one.topic(VOLTS).zone == PACIFIC
    with Chronicle(engine, zones=Zones({METER: "Asia/Tokyo"})) as other:
        assert other.topic(VOLTS).zone == "Asia/Tokyo"


def test_metric_name_will_do_while_one_meter_has_it(engine: Engine, chronicle: Chronicle) -> None:
    store(engine, reading(0))
    assert chronicle.topic("Voltage_AN").name == VOLTS
    store(engine, profiles=[profile("UW/Elm/eaton_meter")])
    with Chronicle(engine) as later, pytest.raises(UnknownTopicError, match="several end so"):
        later.topic("Voltage_AN")


def test_unknown_topic_is_told_the_nearest_names(engine: Engine, chronicle: Chronicle) -> None:
    with pytest.raises(UnknownTopicError, match="has no topics"):
        chronicle.newest("x")
    store(engine, reading(0))
    for name in (f"{METER}/Voltage_AM", "UW/Mercer/nexus/Voltage_AN"):
        with pytest.raises(UnknownTopicError, match=f"did you mean {VOLTS}"):
            chronicle.newest(name)
    with pytest.raises(LookupError, match=f"expected for example {SERIAL}"):
        chronicle.topic("zzz")


def test_search_finds_all_words_whatever_their_case(engine: Engine, chronicle: Chronicle) -> None:
    fill(engine, {f"b/m/{name}": {0: 1.0} for name in ("Wh_in", "Wh_out", "100%_x", "W")})
    assert [topic.name for topic in chronicle.search("wh B/", 10)] == ["b/m/Wh_in", "b/m/Wh_out"]
    assert [topic.name for topic in chronicle.search("", 2, 1)] == ["b/m/W", "b/m/Wh_in"]
    assert [topic.name for topic in chronicle.search("0%_", 10)] == ["b/m/100%_x"]
    assert chronicle.search("_h", 10) == []


def test_newest_is_the_last_value_and_not_the_last_gap(
    engine: Engine, chronicle: Chronicle
) -> None:
    gaps = {"Voltage_AN": "read_timeout"}
    store(engine, reading(0, (1.5, 7, "A1")), reading(1, (None, 8, "A1"), gaps=gaps))
    assert chronicle.newest(VOLTS) == (at(0), 1.5)
    assert chronicle.newest(ENERGY) == (at(1), 8.0)


def test_a_value_keeps_every_digit_and_every_character(
    engine: Engine, chronicle: Chronicle
) -> None:
    store(engine, reading(0, (0.1 + 0.2, 2**63 + 1, '007, "é" null')))
    assert chronicle.newest(VOLTS) == (at(0), 0.3)
    assert chronicle.newest(ENERGY) == (at(0), 2**63 + 1)
    assert chronicle.newest(SERIAL) == (at(0), '007, "é" null')
    assert chronicle.readings(ENERGY, at(0), at(1), 9) == [(at(0), 2**63 + 1)]


@pytest.mark.parametrize("now", [12_000, 3 * 86_400])
def test_newest_is_found_however_long_its_meter_goes_on_without_it(
    engine: Engine, chronicle: Chronicle, now: float
) -> None:
    fill(engine, {VOLTS: {0: 1.5, 7: 2.5}, f"{METER}/b": dict.fromkeys(range(8, 10_010), 1.0)})
    assert chronicle.newest(VOLTS) is None
    reckon(engine, tick(now))
    assert chronicle.newest(VOLTS) == (at(7), 2.5)


def test_topic_that_never_had_a_value_has_no_newest(engine: Engine, chronicle: Chronicle) -> None:
    store(engine)
    assert chronicle.newest(VOLTS) is None


def test_readings_begin_with_the_span_and_end_before_its_end(
    engine: Engine, chronicle: Chronicle
) -> None:
    store(engine, *(reading(n, (n + 0.5, n, "A")) for n in range(10)))
    found = values(chronicle.readings(VOLTS, at(2), at(5), 100))
    assert found == [(2, 2.5), (3, 3.5), (4, 4.5)]
    assert values(chronicle.readings(SERIAL, at(8), at(99), 1)) == [(8, "A")]


def test_readings_reach_their_limit_over_gaps(engine: Engine, chronicle: Chronicle) -> None:
    gaps = {"Voltage_AN": "read_timeout"}
    rows = (reading(n, (None if n % 5 else float(n), n, "A"), gaps=gaps if n % 5 else {})
            for n in range(40))  # fmt: skip
    store(engine, *rows)
    assert values(chronicle.readings(VOLTS, at(1), at(40), 3)) == [(5, 5.0), (10, 10.0), (15, 15.0)]


def test_stream_pages_join_without_a_seam(
    engine: Engine, chronicle: Chronicle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE_ROWS", 7)
    store(engine, *(reading(n, (float(n), n, "A")) for n in range(40)))
    found = values(list(chronicle.stream(VOLTS, at(0), at(100))))
    assert found == [(n, float(n)) for n in range(40)]


def test_span_must_begin_before_it_ends(chronicle: Chronicle) -> None:
    for ask in (chronicle.readings, chronicle.gaps):
        for start, end in ((5.0, 5.0), (-1.0, 5.0), (0.0, 1e12), (float("nan"), 5.0)):
            with pytest.raises(ConfigError, match="expected a start before its end"):
                ask("x", start, end, 1)


def test_epochs_come_by_topic_and_time(engine: Engine, chronicle: Chronicle) -> None:
    store(engine, reading(0))
    with connected(engine, write=True) as connection:
        for seconds, source in ((60, "found"), (0, "user")):
            row = {"topic_id": 2, "from_ts": to_text(tick(seconds)), "kind": "swap"}
            row |= {"before_value": 7.5, "after_value": None, "source": source, "note": "n"}
            connection.execute(insert(counter_epochs).values(row))
    rows = [EpochRow(ENERGY, at(0), "swap", 7.5, None, "user", "n")]
    rows += [EpochRow(ENERGY, at(60), "swap", 7.5, None, "found", "n")]
    assert chronicle.epochs() == chronicle.epochs(ENERGY) == rows
    assert chronicle.epochs(VOLTS) == []


def old_database(path: Path, *values: str, zone: str) -> Engine:
    """Hours of one topic from midnight of a day in 2019, left by the old collector."""
    engine = open_engine(f"sqlite:///{path}")
    rows = ", ".join(f"('2019-01-15 {n:02d}:00:00', 7, '{v}')" for n, v in enumerate(values))
    execute(path, f"{TABLES}INSERT INTO data VALUES {rows}")
    upgrade(engine, data_timezone=zone)
    return engine


OLD_W = f"{METER}/W"
MIDNIGHT = 1547539200.0  # 2019-01-15 00:00 Pacific, 08:00 UTC


def test_old_rows_come_before_the_first_reading(path: Path) -> None:
    engine = old_database(path, "1.5", "n/a", "3", zone=PACIFIC)
    with Chronicle(engine) as chronicle:
        assert chronicle.newest(OLD_W) == (MIDNIGHT + 7200, 3.0)
        assert [value for _, value in chronicle.readings(OLD_W, 0, at(0), 9)] == [1.5, "n/a", 3.0]
        fill(engine, {OLD_W: {n: float(n) for n in range(3)}})
        found = chronicle.readings(OLD_W, MIDNIGHT + 1, at(2), 9)
        assert found == [(MIDNIGHT + 3600, "n/a"), (MIDNIGHT + 7200, 3.0), (at(0), 0), (at(1), 1)]
        assert chronicle.newest(OLD_W) == (at(2), 2.0)
        assert not chronicle.leaves_out_old_rows
        buckets = chronicle.series(OLD_W, MIDNIGHT, at(9), step_s=None).buckets
        assert [bucket.last for bucket in buckets] == [1.5, 3.0, 0.0, 1.0, 2.0]
    engine.dispose()


def test_old_rows_without_a_zone_are_left_out_and_said(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = old_database(path, "1.5", zone="keep")
    with Chronicle(engine) as chronicle:
        assert chronicle.newest(OLD_W) is None
        assert chronicle.readings(OLD_W, 0, at(0), 9) == []
        assert chronicle.leaves_out_old_rows
    assert [record.message for record in caplog.records] == [
        "rows of the old collector are left out"
    ]
    engine.dispose()


def test_a_database_in_memory_is_asked_between_its_writes() -> None:
    engine = open_engine("sqlite://")
    prepare(engine)
    store(engine, reading(0))
    with Chronicle(engine, clock=lambda: at(5)) as chronicle:
        for n in range(3):
            assert chronicle.newest(VOLTS) == (at(n), 120.5)
            assert len(chronicle.series(VOLTS, at(0), at(9), step_s=1).buckets) == n + 1
            assert len(chronicle.readings(VOLTS, at(0), at(9), 9)) == n + 1
            assert chronicle.energy(ENERGY, at(0), at(9), "total").periods[0].energy == 0
            assert chronicle.gaps(VOLTS, at(0), at(9), 9) == []
            assert chronicle.epochs() == []
            store(engine, reading(n + 1), now=tick(n + 1))
    engine.dispose()


def test_threads_ask_at_the_same_time(engine: Engine, chronicle: Chronicle) -> None:
    store(engine, *(reading(n, (float(n), n, "A")) for n in range(50)))
    wrong: list[object] = []

    def ask() -> None:
        for n in range(50):
            found = chronicle.readings(VOLTS, at(n), at(n + 1), 1)
            if found != [(at(n), float(n))]:
                wrong.append(found)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_database_that_fails_is_a_storage_error(engine: Engine, path: Path) -> None:
    store(engine, reading(0))
    with Chronicle(engine) as chronicle:
        chronicle.newest(VOLTS)
        execute(path, "ALTER TABLE readings RENAME TO elsewhere")
        with pytest.raises(StorageError, match="no such table: readings"):
            chronicle.newest(VOLTS)
        execute(path, "ALTER TABLE elsewhere RENAME TO readings")
        assert chronicle.newest(VOLTS) == (at(0), 120.5)
