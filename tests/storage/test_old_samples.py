from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.storage import old_samples as module
from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare, upgrade
from emdc.storage.old_samples import LeftOut, old_samples
from emdc.storage.past.samples import Export, Span, stored_topics
from tests.servers import fresh, mariadb
from tests.storage.filled import stored
from tests.storage.plant import execute

TABLES = """
CREATE TABLE topics (topic_id INTEGER PRIMARY KEY, topic_name VARCHAR(512) NOT NULL UNIQUE);
CREATE TABLE meta (topic_id INTEGER PRIMARY KEY, metadata TEXT NOT NULL);
CREATE TABLE data (ts TIMESTAMP NOT NULL, topic_id INTEGER NOT NULL, value_string TEXT NOT NULL);
CREATE UNIQUE INDEX ts ON data (ts, topic_id);
CREATE INDEX data_idx ON data (ts);
CREATE TABLE volttron_table_definitions (table_id VARCHAR(512) PRIMARY KEY,
  table_name VARCHAR(512) NOT NULL, table_prefix VARCHAR(512));
INSERT INTO topics VALUES (7, 'UW/Mercer/nexus_meter/W'), (8, 'UW/Mercer/nexus_meter/V');
"""
W, V = "UW/Mercer/nexus_meter/W", "UW/Mercer/nexus_meter/V"
PACIFIC = "America/Los_Angeles"


@pytest.fixture
def opened(path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{path}")
    yield engine
    engine.dispose()


def upgraded(
    engine: Engine, path: Path, *rows: tuple[str, int, str], zone: str = PACIFIC
) -> Export:
    """What an upgraded database with these old rows gives."""
    values = ", ".join(f"('{ts}', {topic}, '{value}')" for ts, topic, value in rows)
    execute(path, f"{TABLES}INSERT INTO data VALUES {values}")
    upgrade(engine, data_timezone=zone)
    return Export(engine, stored_topics(engine))


def instants(export: Export) -> list[str]:
    return [ts for ts, _ in export.ticks()]


def test_a_new_database_has_none(opened: Engine) -> None:
    prepare(opened)
    assert old_samples(opened) is None


def test_local_times_become_utc(opened: Engine, path: Path) -> None:
    export = upgraded(
        opened,
        path,
        ("2019-01-15 12:00:00.250000", 7, "1.5"),
        ("2019-07-15 12:00:00", 8, "2"),
        ("2019-07-15 12:00:00", 7, "n/a"),
    )
    assert [(ts, [cell[1:] for cell in cells]) for ts, cells in export.ticks()] == [
        ("2019-01-15 20:00:00.250000", [(W, 1.5)]),
        ("2019-07-15 19:00:00.000000", [(V, 2), (W, "n/a")]),
    ]


def test_an_hour_that_came_twice_counts_as_the_first(opened: Engine, path: Path) -> None:
    times = ["2019-11-03 00:59:00", "2019-11-03 01:30:00", "2019-11-03 02:00:00"]
    export = upgraded(opened, path, *((ts, 7, "1") for ts in times))
    assert [ts[11:16] for ts in instants(export)] == ["07:59", "08:30", "10:00"]


def test_times_that_the_clock_skipped_keep_the_order_of_time(opened: Engine, path: Path) -> None:
    times = ["01:59:00", "02:00:00", "02:30:00", "03:00:00", "03:15:00", "03:45:00"]
    export = upgraded(opened, path, *((f"2019-03-10 {ts}", 7, ts) for ts in times))
    found = instants(export)
    assert found == sorted(found)
    assert len(found) == 5
    assert export.left.doubled == 1  # 02:00, which is 03:00 of the clock that was set


def test_open_zone_is_left_out_and_counted(opened: Engine, path: Path) -> None:
    export = upgraded(opened, path, ("2019-01-15 12:00:00", 7, "1.5"), zone="keep")
    assert instants(export) == []
    assert export.left == LeftOut(open_zone=1)


def test_a_time_that_is_none_is_left_out_and_counted(opened: Engine, path: Path) -> None:
    rows = [(f"2019-01-15 12:00:0{n}", 7, "1.5") for n in range(3)]
    export = upgraded(opened, path, *rows)
    execute(path, "UPDATE data_old SET ts = '2019-01-15 noon' WHERE ts LIKE '%:01'")
    assert len(instants(export)) == 2
    assert export.left == LeftOut(unreadable=1)


def test_a_span_is_one_of_utc(opened: Engine, path: Path) -> None:
    export = upgraded(
        opened, path, *((f"2019-01-15 {hour:02d}:00:00", 7, "1") for hour in range(24))
    )
    export.span = Span("2019-01-15 20:00:00.000000", "2019-01-15 22:00:00.000000")
    assert [ts[11:16] for ts in instants(export)] == ["20:00", "21:00"]


def test_pages_join_without_a_seam(
    opened: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 7)
    rows = [
        (f"2019-01-15 12:{minute:02d}:00", topic, f"{minute}.5")
        for minute in range(40)
        for topic in (7, 8)
    ]
    found = stored(upgraded(opened, path, *rows))
    assert [(name, value) for _, name, value in found] == [
        (name, minute + 0.5) for minute in range(40) for name in (V, W)
    ]


def test_the_reading_of_an_instant_comes_before_the_old_row(opened: Engine, path: Path) -> None:
    export = upgraded(opened, path, ("2019-01-15 12:00:00", 7, "1.5"))
    execute(
        path,
        "INSERT INTO meters VALUES (1, 'UW/Mercer/nexus_meter');"
        "UPDATE topics SET meter_id = 1, slot = 0 WHERE topic_id = 7;"
        "INSERT INTO readings VALUES (1, '2019-01-15 20:00:00.000000',"
        " '2026-03-01 12:00:00.000000', 0, '[2.5]', NULL)",
    )
    export = Export(opened, stored_topics(opened))
    assert stored(export) == [("00:00.000000", W, 2.5)]
    assert export.left == LeftOut(doubled=1)


def test_times_of_mysql_are_instants_whatever_the_zone() -> None:
    with fresh(mariadb()) as url:
        engine = open_engine(url)
        with engine.begin() as connection:
            for statement in filter(
                str.strip, TABLES.replace("TIMESTAMP", "TIMESTAMP(6)").split(";")
            ):
                connection.exec_driver_sql(statement)
            connection.exec_driver_sql(
                "INSERT INTO data VALUES ('2019-01-15 12:00:00.25', 7, '1.5'),"
                " ('2019-01-15 12:00:01', 8, '2.5')"
            )
        upgrade(engine, data_timezone=PACIFIC)
        export = Export(engine, stored_topics(engine))
        assert stored(export) == [("00:00.250000", W, 1.5), ("00:01.000000", V, 2.5)]
        assert instants(export)[0] == "2019-01-15 12:00:00.250000"
        export.span = Span("2019-01-15 12:00:01.000000", "2019-01-15 12:00:02.000000")
        assert [name for _, name, _ in stored(export)] == [V]
        engine.dispose()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.5", 1.5),
        ("1.50", 1.5),
        ("7", 7),
        (str(2**64), 2**64),
        ("9" * 350, 10**350 - 1),
        ("nan", "nan"),
        ("1e400", "1e400"),
    ],
)
def test_a_text_that_spells_a_number_is_one(
    text: str, value: object, opened: Engine, path: Path
) -> None:
    ((_, _, found),) = stored(upgraded(opened, path, ("2019-01-15 12:00:00", 7, text)))
    assert (found, type(found)) == (value, type(value))
