"""What a server's database knows of meters: names, settings, schedules and times."""

import json
import socket
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, make_url

from emdc.errors import ConfigError, StorageError
from emdc.reading import MeterProfile, Topic
from emdc.storage.claim import claimed
from emdc.storage.conservation import conservation
from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare
from emdc.storage.past.history import latest_readings
from tests.servers import fresh, mariadb, private
from tests.storage.plain import ask
from tests.storage.plant import METER, profile, reading, store, tick

SLOTS = "SELECT topic_name, slot FROM topics WHERE slot IS NOT NULL ORDER BY meter_id, slot"
HERE = socket.gethostname()


@pytest.fixture
def engine(emptied_server_engine: Engine) -> Engine:
    return emptied_server_engine


def configured(engine: Engine, *profiles: MeterProfile, at: float = 0) -> None:
    """One start and clean stop of a recorder with this configuration."""
    store(engine, profiles=profiles, now=tick(at))


@pytest.mark.parametrize(
    "names",
    [("UW/Elm", "uw/elm"), ("UW/Zähler", "UW/Zahler"), ("UW/ß", "UW/ss"), ("UW/é", "UW/e\u0301")],
    ids=["case", "accent", "sharp s", "composed"],
)
def test_names_that_look_alike_are_two_meters(engine: Engine, names: tuple[str, str]) -> None:
    profiles = [profile(name) for name in names]
    written = [reading(0, (float(n), n, name), meter=name) for n, name in enumerate(names, 1)]
    for _ in range(2):
        store(engine, *written, profiles=profiles)
    assert ask(engine, "SELECT name FROM meters ORDER BY meter_id") == [(name,) for name in names]
    assert sorted(latest_readings(engine, profiles)) == sorted(written)
    for n, name in enumerate(names, 1):
        query = f"SELECT value FROM samples WHERE topic_name = '{name}/Voltage_AN'"
        assert ask(engine, query) == [(n,)]


def test_metrics_that_differ_in_case_are_two_topics(engine: Engine) -> None:
    metrics = ("kWh", "KWH", "kwh", "kWh\u0301")
    written = reading(0, (1.0, 2.0, 3.0, 4.0), metrics=metrics)
    store(engine, written, profiles=[profile(metrics=metrics)])
    assert ask(engine, SLOTS) == [(f"{METER}/{m}", slot) for slot, m in enumerate(metrics)]
    query = f"SELECT value FROM latest WHERE topic_name = '{METER}/kwh'"
    assert ask(engine, query) == [(3.0,)]


@pytest.mark.parametrize("letter", ["x", "ä", "\U0001f50c"])
def test_names_of_512_characters_fit_and_one_more_is_an_error(engine: Engine, letter: str) -> None:
    longest = letter * 510
    configured(engine, profile(longest, ("y",)))
    assert ask(engine, SLOTS) == [(f"{longest}/y", 0)]
    with pytest.raises(ConfigError, match="expected at most 512"):
        configured(engine, profile(longest, ("yz",)))


def test_slots_never_change_and_are_never_given_twice(engine: Engine) -> None:
    for metrics in (("a", "b", "c"), ("c", "a"), ("d", "c")):
        configured(engine, profile(metrics=metrics))
    assert ask(engine, SLOTS) == [(f"{METER}/{m}", slot) for slot, m in enumerate("abcd")]


def test_topic_of_the_old_collector_is_adopted_by_its_name(engine: Engine) -> None:
    ask(engine, f"INSERT INTO topics (topic_id, topic_name) VALUES (41, '{METER}/Voltage_AN')")
    store(engine, reading(0))
    assert ask(engine, "SELECT topic_id FROM topics ORDER BY slot") == [(41,), (42,), (43,)]


def test_settings_meta_and_schedules_follow_the_configuration(engine: Engine) -> None:
    def meter(unit: str, ratio: float, interval_s: float) -> MeterProfile:
        topics = (Topic("a", unit), Topic("b", interval_s=0.1))
        return MeterProfile(METER, topics, interval_s, {"ct_ratio": ratio})

    configured(engine, meter("V", 100.0, 1), at=0)
    configured(engine, meter("V", 100.0, 1), at=5)
    configured(engine, meter("kV", 0.1, 2), at=7)
    assert '"units":"kV"' in ask(engine, "SELECT metadata FROM meta ORDER BY topic_id")[0][0]
    found = ask(engine, "SELECT settings FROM meter_settings ORDER BY from_ts")
    assert [json.loads(text) for (text,) in found] == [
        {"collector": HERE, "ct_ratio": 100.0},
        {"collector": HERE, "ct_ratio": 0.1},
    ]
    query = "SELECT interval_s, slots FROM schedules ORDER BY from_ts, interval_s"
    assert ask(engine, query) == [(0.1, "[1]"), (1.0, "[0]"), (1.0, "[]"), (2.0, "[0]")]


@pytest.mark.parametrize("year", [2039, 2107, 9000])
def test_years_that_are_far_away_are_stored_as_they_are(engine: Engine, year: int) -> None:
    begin = datetime(year, 2, 28, 23, 59, 59, tzinfo=UTC)
    later = [begin + timedelta(seconds=n) for n in range(3)]
    written = [reading(0)._replace(tick=at, read_at=at) for at in later]
    store(engine, *written, now=begin)
    store(engine, now=begin + timedelta(seconds=5))
    found = conservation(engine, until=begin + timedelta(seconds=5))
    assert (found.due, found.values, found.gaps, found.holds) == (15, 9, 6, True)
    assert latest_readings(engine, [profile()]) == [written[-1]]
    times = [ts.replace(tzinfo=UTC) for (ts,) in ask(engine, "SELECT ts FROM data ORDER BY ts")]
    assert times == [at for at in later for _ in range(3)]


@pytest.mark.skipif(sys.platform != "linux", reason="claims are Linux only")
def test_database_is_the_same_under_each_of_its_addresses(engine: Engine) -> None:
    spellings = [engine.url, engine.url.set(host="localhost")]
    if engine.url.port in {5432, 3306}:
        spellings.append(engine.url._replace(port=None))
    if engine.dialect.name == "mysql":
        spellings.append(engine.url.set(drivername="mariadb+pymysql"))
    for url in spellings:
        other = open_engine(url)
        with (
            claimed(engine, [METER]),
            pytest.raises(StorageError, match="is recorded there by another program"),
            claimed(other, [METER]),
        ):
            pass
        other.dispose()


@pytest.mark.parametrize("driver", ["pymysql", "mysqlconnector"])
def test_address_may_begin_with_mariadb(driver: str) -> None:
    with fresh(mariadb()) as url:
        engine = open_engine(make_url(url).set(drivername=f"mariadb+{driver}"))
        prepare(engine)
        written = [reading(at, (1.5, 2**63, "é")) for at in range(3)]
        for _ in range(2):
            store(engine, *written)
        assert latest_readings(engine, [profile()]) == written[-1:]
        assert conservation(engine, until=tick(3)).values == 9
        engine.dispose()


def test_thousands_of_topics_are_registered_where_packets_are_small() -> None:
    profiles = [
        profile(f"{'site' * 50}/{n}", tuple(f"V{m}" for m in range(100))) for n in range(60)
    ]
    options = ["--max-allowed-packet=1M"]
    with private("mariadb", options=options) as started, fresh(started.server) as url:
        for driver in ("mysql+mysqlconnector", "mysql+pymysql"):
            engine = open_engine(make_url(url).set(drivername=driver))
            prepare(engine)
            store(engine, profiles=profiles)
            engine.dispose()
        assert ask(url, "SELECT count(*) FROM topics") == [(6000,)]
