from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.instants import to_text
from emdc.storage.past import samples
from emdc.storage.past.samples import Export, Span, chosen, stored_topics
from tests.storage.filled import KINDS, fill, names, opened, stored
from tests.storage.plant import METER, METRICS, execute, profile, reading, store, tick


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with opened(request.param, request) as engine:
        yield engine


def exported(engine: Engine, span: Span | None = None) -> list[tuple[str, str, Value]]:
    return stored(Export(engine, stored_topics(engine), span or Span()))


def test_values_come_by_meter_time_and_slot(database: Engine) -> None:
    fill(database, {"b/Z": {1: 1.5, 0: 2.5}, "b/A": {0: 3.5}, "a/Q": {1: 4.5}, "b/B": {2.25: 0.5}})
    assert exported(database) == [
        ("00:01.000000", "a/Q", 4.5),
        ("00:00.000000", "b/Z", 2.5),
        ("00:00.000000", "b/A", 3.5),
        ("00:01.000000", "b/Z", 1.5),
        ("00:02.250000", "b/B", 0.5),
    ]


def test_values_are_as_they_were_stored(database: Engine) -> None:
    values: dict[float, Value] = {
        0: -5.0,
        1: 0.1,
        2: 2**64 - 1,
        3: "A1",
        4: "=1+1",
        5: 1e308,
        6: "ü\n",
    }
    fill(database, {"a/W": values})
    found = [value for _, _, value in exported(database)]
    assert found == [-5.0, 0.1, str(2**64 - 1), "A1", "=1+1", 1e308, "ü\n"]
    assert isinstance(found[0], float)


def test_what_was_not_read_has_no_sample(engine: Engine) -> None:
    store(
        engine,
        reading(0, (None, 7, "A1"), gaps={"Voltage_AN": "read_timeout"}),
        reading(1, (None, None, None), gaps=dict.fromkeys(METRICS, "read_timeout")),
    )
    assert [name for _, name, _ in exported(engine)] == [f"{METER}/Wh_delivered", f"{METER}/Serial"]


def test_a_span_has_its_start_and_not_its_end(database: Engine) -> None:
    fill(database, {"a/W": dict.fromkeys(range(6), 1.5)})
    span = Span(to_text(tick(1)), to_text(tick(3)))
    assert [ts for ts, _, _ in exported(database, span)] == ["00:01.000000", "00:02.000000"]


def test_pages_join_without_a_seam(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "_ROWS_AT_ONCE", 7)
    fill(database, {"a/W": {at: at + 0.5 for at in range(35)}})
    assert [value for _, _, value in exported(database)] == [at + 0.5 for at in range(35)]


def test_a_metric_with_a_slash_stands_with_the_meter_that_its_name_says(engine: Engine) -> None:
    plants = (profile("a", ("x", "b/c")), profile("a/b", ("d",)))
    store(
        engine,
        *(reading(at, (1.0, 2.0), meter="a", metrics=("x", "b/c")) for at in range(2)),
        *(reading(at, (3.0,), meter="a/b", metrics=("d",)) for at in range(2)),
        profiles=plants,
    )
    assert [name for _, name, _ in exported(engine)] == [
        *("a/x", "a/x"),
        *("a/b/c", "a/b/d", "a/b/c", "a/b/d"),
    ]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], ["a/W", "a/W_A", "b/W"]),
        (["a/W"], ["a/W"]),
        (["a"], ["a/W", "a/W_A"]),
        (["a/", "b/W"], ["a/W", "a/W_A", "b/W"]),
        (["b/W", "b"], ["b/W"]),
    ],
)
def test_a_pattern_is_a_name_or_what_stands_before_a_slash(
    patterns: list[str], expected: list[str], engine: Engine
) -> None:
    fill(engine, {"a/W": {0: 1.0}, "a/W_A": {0: 1.0}, "b/W": {0: 1.0}})
    assert sorted(names(chosen(stored_topics(engine), patterns))) == expected


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("a/V", "did you mean a/W"), ("zzz", "expected for example a$"), ("a/W_", "a/W")],
)
def test_a_pattern_that_fits_nothing_is_an_error_with_the_nearest(
    pattern: str, said: str, engine: Engine
) -> None:
    fill(engine, {"a/W": {0: 1.0}})
    with pytest.raises(ConfigError, match=f"no topic is '{pattern}'.*{said}"):
        chosen(stored_topics(engine), [pattern])


def test_an_export_of_nothing_is_empty(engine: Engine, path: Path) -> None:
    assert exported(engine) == []
    execute(path, "INSERT INTO topics (topic_id, topic_name) VALUES (1, 'a/W')")
    assert exported(engine) == []
    with pytest.raises(ConfigError, match="the database has no topics"):
        chosen([], ["a"])
