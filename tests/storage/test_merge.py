from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.conservation import conservation
from emdc.storage.database import connected
from emdc.storage.instants import to_text
from emdc.storage.merge import Keep, Merged, Replace, measured, merge
from emdc.storage.places import Place, place
from tests.storage.plant import METRICS, open_new, profile, reading, rows, store, tick

NAMES = ("a/W", "a/V", "a/I")
NOW = to_text(tick(1e6))
ROWS = "SELECT ts, read_at, scheduled, vals, gaps FROM readings ORDER BY ts"


def at(seconds: float) -> str:
    return to_text(tick(seconds))


def meter(engine: Engine) -> int:
    """A meter with slots 0, 1, 2."""
    with connected(engine, write=True) as connection:
        return place(connection, NAMES)["a/W"].meter_id


def merged(
    engine: Engine, policy: Replace | Keep, samples: Mapping[float, Mapping[int, Any]]
) -> Merged:
    """Merge samples by seconds after noon."""
    with connected(engine, write=True) as connection:
        meter_id = place(connection, NAMES)["a/W"].meter_id
        texts = {at(seconds): values for seconds, values in samples.items()}
        return merge(connection, meter_id, texts, policy=policy)


def replaced(
    engine: Engine, slot: int, start: float, end: float, *, by: Mapping[Any, float]
) -> Merged:
    """Replace the values of one slot in a range."""
    found = {seconds: {slot: value} for seconds, value in by.items()}
    return merged(engine, Replace({slot}, at(start), at(end)), found)


def stored(path: Path) -> dict[str, str]:
    """`vals` by minute and second."""
    return {ts[14:26]: vals for ts, _, _, vals, _ in rows(path, ROWS)}


# Replace


def test_rows_that_are_new_are_not_scheduled_and_read_at_their_instant(
    engine: Engine, path: Path
) -> None:
    assert replaced(engine, 1, 0, 10, by={0: 1.5, 2: 7}) == Merged(added=2)
    assert rows(path, ROWS) == [
        (at(0), at(0), 0, "[null,1.5]", None),
        (at(2), at(2), 0, "[null,7]", None),
    ]


def test_slots_of_one_instant_share_its_row(engine: Engine, path: Path) -> None:
    policy = Replace({0, 2}, at(0), at(10))
    assert merged(engine, policy, {0: {0: 1.0, 2: 2.0}}).added == 2
    replaced(engine, 1, 0, 10, by={0: 3.0})
    assert stored(path) == {"00:00.000000": "[1.0,3.0,2.0]"}


def test_values_in_the_range_go_also_at_other_instants_and_empty_rows_with_them(
    engine: Engine, path: Path
) -> None:
    replaced(engine, 0, 0, 10, by={0: 1, 3: 1, 9.9: 1})
    replaced(engine, 1, 0, 10, by={3: 5})
    assert replaced(engine, 0, 0, 10, by={4: 2}) == Merged(added=1, removed=3)
    assert stored(path) == {"00:03.000000": "[null,5]", "00:04.000000": "[2]"}


def test_the_end_of_the_range_is_not_part_of_it(engine: Engine, path: Path) -> None:
    replaced(engine, 0, 0, 20, by={0: 1, 10: 1})
    replaced(engine, 0, 0, 10, by={})
    assert stored(path) == {"00:10.000000": "[1]"}


def test_other_meters_are_left_alone(engine: Engine, path: Path) -> None:
    store(engine, reading(0))
    before = rows(path, ROWS)
    replaced(engine, 0, -10, 10, by={})
    assert rows(path, ROWS) == before


def test_a_measured_value_is_never_replaced(engine: Engine, path: Path) -> None:
    store(engine, reading(0, meter="a"), profiles=[profile("a", METRICS)])
    before = rows(path, ROWS)
    with pytest.raises(ConfigError, match=r"measured one at 2026-03-01 12:00:00.000000 of slot 1"):
        merged(engine, Replace({1}, at(0), at(1)), {0.5: {1: 1.0}})
    assert rows(path, ROWS) == before


def test_a_reading_by_hand_is_measured_too(engine: Engine) -> None:
    by_hand = reading(0.5, meter="a", scheduled=False)
    store(engine, by_hand, profiles=[profile("a", METRICS, None)])
    with connected(engine) as connection:
        assert measured(connection, 1, {1}, at(0), at(1)) == (at(0.5), 1)
    with pytest.raises(ConfigError, match="measured one"):
        merged(engine, Replace({1}, at(0), at(1)), {})


def test_what_was_imported_counts_as_measured(engine: Engine) -> None:
    merged(engine, Keep(NOW), {0: {0: 1.0}})
    with pytest.raises(ConfigError, match="measured one"):
        replaced(engine, 0, 0, 1, by={})


def test_made_up_values_beside_measured_ones_leave_them_and_every_tick_as_they_are(
    engine: Engine, path: Path
) -> None:
    plant = profile("a", METRICS)
    store(engine, *(reading(second, meter="a") for second in range(4)), profiles=[plant])
    before = rows(path, ROWS)
    with connected(engine, write=True) as connection:
        slot = place(connection, ["a/made_up"])["a/made_up"].slot
        policy = Replace({slot}, at(0), at(100))
        # Seconds 4 to 99 are ticks that may still be read.
        merge(connection, 1, {at(s): {slot: 1.0} for s in range(100)}, policy=policy)
    assert [row for row in rows(path, ROWS) if row[2]] == before
    made_up = [row for row in rows(path, ROWS) if not row[2]]
    assert [row[0] for row in made_up] == [at(s + 1e-6) for s in range(100)]
    assert conservation(engine, until=tick(4)).holds
    store(engine, *(reading(second, meter="a") for second in range(4, 8)), profiles=[plant])
    assert rows(path, "SELECT count(*) FROM readings WHERE scheduled") == [(8,)]


def test_made_up_values_beside_measured_ones_can_be_replaced(engine: Engine, path: Path) -> None:
    store(engine, *(reading(s, meter="a") for s in range(4)), profiles=[profile("a", METRICS)])
    before = rows(path, ROWS)
    with connected(engine, write=True) as connection:
        slot = place(connection, ["a/made_up"])["a/made_up"].slot
        policy = Replace({slot}, at(0), at(10))
        for _ in range(2):
            found = merge(connection, 1, {at(s): {slot: 1.0} for s in range(4)}, policy=policy)
        assert found == Merged(added=4, removed=4)
        merge(connection, 1, {}, policy=policy)
    assert rows(path, ROWS) == before


SECONDS = st.integers(0, 30)
RANGES = st.tuples(
    st.integers(0, 2), SECONDS, SECONDS, st.dictionaries(SECONDS, st.floats(-9, 9), max_size=8)
)


@given(st.lists(RANGES, max_size=8))
@settings(
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_replacing_a_topic_leaves_the_other_topics_of_its_meter_untouched(
    engine: Engine, path: Path, steps: list[tuple[int, int, int, dict[int, float]]]
) -> None:
    expected: dict[tuple[int, int], float] = {}
    merged(engine, Replace({0, 1, 2}, at(0), at(1000)), {})
    for slot, first, second, values in steps:
        start, end = min(first, second), max(first, second)
        inside = {s: value for s, value in values.items() if start <= s < end}
        replaced(engine, slot, start, end, by=inside)
        expected = {k: v for k, v in expected.items() if k[1] != slot or not start <= k[0] < end}
        expected |= {(s, slot): value for s, value in inside.items()}
    samples = rows(path, "SELECT ts, topic_name, value FROM samples")
    found = {(ts, name): value for ts, name, value in samples}
    assert found == {(at(s), NAMES[slot]): value for (s, slot), value in expected.items()}
    # A row without any value is no row.
    assert rows(path, "SELECT count(*) FROM readings")[0][0] == len({s for s, _ in expected})


# Keep


def test_import_fills_what_is_empty_and_counts_what_is_there(engine: Engine, path: Path) -> None:
    assert merged(engine, Keep(NOW), {0: {0: 1.0, 1: 2}, 1: {2: "on"}}) == Merged(added=3)
    again = merged(engine, Keep(NOW), {0: {0: 1, 1: 3, 2: None}, 1: {0: 5}, 2: {0: None}})
    assert again == Merged(added=1, unchanged=1, conflicts=1)
    assert stored(path) == {"00:00.000000": "[1.0,2]", "00:01.000000": '[5,null,"on"]'}
    assert {row[1:3] for row in rows(path, ROWS)} == {(NOW, 0)}


def test_an_import_of_nothing_changes_nothing(engine: Engine, path: Path) -> None:
    assert merged(engine, Keep(NOW), {}) == Merged()
    assert stored(path) == {}


def test_an_imported_value_closes_the_gap_of_a_measured_row(engine: Engine, path: Path) -> None:
    gaps = {"Voltage_AN": "read_timeout", "Serial": "read_timeout"}
    missing = reading(0, (None, 7, None), meter="a", gaps=gaps)
    store(engine, missing, profiles=[profile("a", METRICS)])
    (before,) = rows(path, ROWS)
    merged(engine, Keep(NOW), {0: {0: 120.5}})
    filled = (*before[:3], "[120.5,7,null]", '{"read_timeout":[2]}')
    assert rows(path, ROWS) == [filled]
    merged(engine, Keep(NOW), {0: {2: "A1"}})
    assert rows(path, ROWS) == [(*before[:3], '[120.5,7,"A1"]', None)]
    assert conservation(engine, until=tick(1)).holds


def test_integers_that_json_readers_would_round_are_text(engine: Engine, path: Path) -> None:
    values: dict[int, Value] = {0: 2**53, 1: 2**53 + 1}
    merged(engine, Keep(NOW), {0: values})
    assert stored(path) == {"00:00.000000": '[9007199254740992,"9007199254740993"]'}
    assert merged(engine, Keep(NOW), {0: values}).unchanged == 2


def test_what_fails_in_the_callers_transaction_leaves_nothing(tmp_path: Path) -> None:
    engine = open_new(tmp_path / "emdc.db")
    number = meter(engine)

    def interrupted() -> None:
        with connected(engine, write=True) as connection:
            merge(connection, number, {at(0): {0: 1.0}}, policy=Keep(NOW))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    engine.dispose()
    assert stored(tmp_path / "emdc.db") == {}


# Servers


def test_a_server_has_the_same_places_as_a_file(server_engine: Engine) -> None:
    with connected(server_engine, write=True) as connection:
        first = place(connection, ["a/W", "b/W", "a/V"], numbers={"a/V": 7})
        # Names that differ in case are two.
        again = place(connection, ["a/V", "A/W"], units={"a/V": "V"})
    assert first["a/V"] == Place(7, first["a/W"].meter_id, 0, new=True)
    assert again["a/V"] == first["a/V"]._replace(new=False)
    assert again["A/W"] == Place(10, again["A/W"].meter_id, 0, new=True)


def test_a_server_merges_as_a_file_does(server_engine: Engine) -> None:
    many = {float(s): {0: s + 0.5} for s in range(1200)}
    assert merged(server_engine, Replace({0}, at(0), at(1200)), many).added == 1200
    assert merged(server_engine, Keep(NOW), {1: {0: 9, 2: 'a"\\\n'}, 2: {0: 2.5}}) == Merged(
        added=1, unchanged=1, conflicts=1
    )
    again = merged(server_engine, Replace({0}, at(0), at(1200)), {7.25: {0: 1.0}})
    assert again == Merged(added=1, removed=1200)
    assert merged(server_engine, Keep(NOW), {1: {2: 'a"\\\n'}, 7.25: {0: 1.0}}).unchanged == 2
    with connected(server_engine) as connection:
        assert measured(connection, 1, {0, 2}, at(0), at(1200)) is None
