from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.errors import StorageError
from emdc.reading import Value
from emdc.storage import intake as module
from emdc.storage.conservation import conservation
from emdc.storage.instants import to_text
from emdc.storage.intake import Intake, NewValue, known
from emdc.storage.merge import Merged, merge
from emdc.storage.migrate import upgrade
from emdc.storage.past.samples import Export, stored_topics
from tests.storage.filled import KINDS, fill, opened, stored
from tests.storage.plant import METER, execute, profile, reading, rows, store, tick
from tests.storage.test_old_samples import PACIFIC, TABLES, W

NOW = to_text(tick(1e6))


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with opened(request.param, request) as engine:
        yield engine


def taken(
    engine: Engine, *values: tuple[float, str, object], dry: bool = False, read_at: str = NOW
) -> Merged:
    """What becomes of (seconds after noon, topic, value)."""
    lines = [NewValue(to_text(tick(at)), topic, value) for at, topic, value in values]  # type: ignore[arg-type]
    return put(engine, lines, dry=dry, read_at=read_at)


def put(
    engine: Engine, lines: Sequence[NewValue], *, dry: bool = False, read_at: str = NOW
) -> Merged:
    names = list(dict.fromkeys(line.topic for line in lines))
    intake = Intake(engine, names, read_at, dry=dry)
    intake.open()
    for line in lines:
        intake.add(line)
    intake.flush()
    return intake.total


def exported(engine: Engine) -> list[tuple[str, str, Value]]:
    return stored(Export(engine, stored_topics(engine)))


def test_values_of_several_meters_in_any_order_are_stored(database: Engine) -> None:
    values = [(1, "b/W", 1.5), (0, "a/W", "A1"), (0, "b/V", 2.5), (0, "b/W", -0.5), (2, "a/W", 1.0)]
    assert taken(database, *values) == Merged(added=5)
    assert exported(database) == [
        ("00:00.000000", "a/W", "A1"),
        ("00:02.000000", "a/W", 1.0),
        ("00:00.000000", "b/W", -0.5),
        ("00:00.000000", "b/V", 2.5),
        ("00:01.000000", "b/W", 1.5),
    ]


def test_values_that_are_there_change_nothing(database: Engine) -> None:
    values = [(0, "a/W", 1.5), (0, "a/V", 2**64 - 1), (1, "a/W", "x'\"\\\n"), (1, "a/V", 7)]
    taken(database, *values)
    before = exported(database)
    assert taken(database, *values) == Merged(unchanged=4)
    assert exported(database) == before


def test_of_two_values_the_first_stays_and_it_is_counted(database: Engine) -> None:
    fill(database, {"a/W": {0: 1.5}, "a/V": {1: 2.5}})
    assert taken(database, (0, "a/W", 9.5), (1, "a/W", 3.5)) == Merged(added=1, conflicts=1)
    assert [value for _, _, value in exported(database)] == [1.5, 3.5, 2.5]


def test_a_value_that_comes_twice_counts_once(database: Engine) -> None:
    twice = taken(database, (0, "a/W", 1.5), (0, "a/W", 1.5), (0, "a/W", 2.5))
    assert twice == Merged(added=1, unchanged=1, conflicts=1)


def test_a_trial_says_the_same_and_stores_nothing(database: Engine) -> None:
    fill(database, {"a/W": {0: 1.5}})
    before = exported(database)
    values = [(0, "a/W", 1.5), (1, "a/W", 2.5), (0, "new/W", 1.5)]
    assert taken(database, *values, dry=True) == Merged(added=2, unchanged=1)
    assert exported(database) == before
    assert [topic.name for topic in stored_topics(database)] == ["a/W"]


def test_portions_are_whole_transactions(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "AT_ONCE", 10)
    intake = Intake(database, ["a/W"], NOW)
    intake.open()
    written = [intake.add(NewValue(to_text(tick(at)), "a/W", at + 0.5)) for at in range(25)]
    assert written == [*(0,) * 9, 10, *(0,) * 9, 10, *(0,) * 5]
    assert len(exported(database)) == 20
    assert intake.flush() == 5
    assert (intake.total, intake.flush()) == (Merged(added=25), 0)


def test_a_few_values_do_not_load_all_rows_between_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 10)
    fill(engine, {"a/W": dict.fromkeys(range(100), 1.5)})
    parts = []

    def watched(*arguments: object, **named: object) -> Merged:
        parts.append(list(arguments[2]))  # type: ignore[call-overload]
        return merge(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "merge", watched)
    found = taken(engine, *((at, "a/W", 1.5) for at in (0.5, 5, 30, 31, 99, 200)))
    assert found == Merged(added=2, unchanged=4)
    assert [len(part) for part in parts] == [2, 2, 2]


def test_what_came_is_measured_and_never_looks_made_up(engine: Engine, path: Path) -> None:
    taken(engine, (0, "a/W", 1.5), (1, "a/W", 1.5), read_at=to_text(tick(0)))
    assert rows(path, "SELECT count(*) FROM readings WHERE read_at = ts OR scheduled") == [(0,)]


def test_a_recorded_meter_owes_and_has_what_it_had(engine: Engine) -> None:
    store(engine, *(reading(at) for at in range(4)), profiles=[profile()])
    before = conservation(engine, until=tick(4))
    assert taken(engine, (2, f"{METER}/Wh_delivered", 7), (2.5, f"{METER}/Other", 1.5)) == Merged(
        added=1, unchanged=1
    )
    assert conservation(engine, until=tick(4)) == before


def test_a_gap_that_is_filled_is_no_gap_any_more(engine: Engine) -> None:
    store(engine, reading(0, (None, 7, "A1"), gaps={"Voltage_AN": "read_timeout"}))
    assert taken(engine, (0, f"{METER}/Voltage_AN", 1.5)) == Merged(added=1)
    found = conservation(engine, until=tick(1))
    assert (found.values, found.gaps, found.holds) == (3, 0, True)


def test_rows_of_the_old_collector_are_there_already(engine: Engine, path: Path) -> None:
    engine.dispose()
    path.unlink()
    execute(
        path,
        f"{TABLES}INSERT INTO data VALUES ('2026-03-01 04:00:00', 7, '1.50'),"
        "('2026-03-01 04:00:01', 7, '2.5'), ('2026-03-01 04:00:02', 7, 'n/a')",
    )
    upgrade(engine, data_timezone=PACIFIC)
    before = exported(engine)
    values = [(0, W, 1.5), (1, W, 9.5), (2, W, "n/a"), (3, W, 3.5)]
    assert taken(engine, *values) == Merged(added=1, unchanged=2, conflicts=1)
    assert exported(engine) == [*before, ("00:03.000000", W, 3.5)]


def test_topics_that_hold_texts_are_known_by_what_is_said_of_them(engine: Engine) -> None:
    store(engine, profiles=[profile()])
    execute(Path(engine.url.database or ""), "UPDATE meta SET metadata = '[' WHERE topic_id = 1")
    found = known(engine)
    assert found.texts == {f"{METER}/Serial"}
    assert len(found.names) == 3


def test_a_database_that_fails_is_an_error_and_counts_nothing(engine: Engine, path: Path) -> None:
    intake = Intake(engine, ["a/W"], NOW)
    intake.open()
    intake.add(NewValue(to_text(tick(0)), "a/W", 1.5))
    execute(path, "DROP TABLE readings")
    with pytest.raises(StorageError, match="no such table"):
        intake.flush()
    assert intake.total == Merged()
