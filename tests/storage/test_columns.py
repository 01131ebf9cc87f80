from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import make_url

from emdc.storage.columns import LONG_TEXT, SECONDS, Instant, SlotValues

NOON = "2026-03-01 12:00:00.000000"
ADDRESSES = {
    "sqlite": "sqlite://",
    "postgresql": "postgresql+psycopg://db/emdc",
    "mysql": "mysql+pymysql://db/emdc",
}
ENGINES = {name: make_url(address).get_dialect()() for name, address in ADDRESSES.items()}


@pytest.mark.parametrize(
    ("engine", "instant", "values", "text", "seconds"),
    [
        ("sqlite", "VARCHAR(26)", "TEXT", "TEXT", "FLOAT"),
        ("postgresql", "TIMESTAMP WITH TIME ZONE", "DOUBLE PRECISION[]", "TEXT", "FLOAT"),
        ("mysql", "DATETIME(6)", "MEDIUMTEXT", "MEDIUMTEXT", "DOUBLE"),
    ],
)
def test_each_engine_has_the_type_that_it_is_best_at(
    engine: str, instant: str, values: str, text: str, seconds: str
) -> None:
    kinds = (Instant(), SlotValues(), LONG_TEXT, SECONDS)
    found = [kind.compile(dialect=ENGINES[engine]) for kind in kinds]
    assert found == [instant, values, text, seconds]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "given",
    [
        NOON,
        datetime(2026, 3, 1, 12, 0),  # noqa: DTZ001 (as MySQL's drivers give it)
        datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
        datetime(2026, 3, 1, 17, 45, tzinfo=timezone(timedelta(hours=5, minutes=45))),
    ],
)
def test_instant_is_text_in_utc_whatever_a_driver_gives(engine: str, given: object) -> None:
    assert Instant().process_result_value(given, ENGINES[engine]) == NOON


@pytest.mark.parametrize("engine", ENGINES)
def test_instant_that_is_not_there_stays_away(engine: str) -> None:
    kind, dialect = Instant(), ENGINES[engine]
    assert kind.process_result_value(None, dialect) is None
    assert kind.process_bind_param(None, dialect) is None


def test_instant_goes_to_postgresql_as_an_instant_and_elsewhere_as_text() -> None:
    given = {name: Instant().process_bind_param(NOON, ENGINES[name]) for name in ENGINES}
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    assert given == {"sqlite": NOON, "postgresql": at, "mysql": NOON}


@pytest.mark.parametrize("given", ['[1,2.5,null,"A1"]', b'[1,2.5,null,"A1"]', [1, 2.5, None, "A1"]])
def test_values_are_a_list_whatever_a_driver_gives(given: object) -> None:
    found = SlotValues().process_result_value(given, ENGINES["sqlite"])
    assert found == [1, 2.5, None, "A1"]
    assert [type(value) for value in found] == [int, float, type(None), str]


def test_values_that_are_not_there_stay_away() -> None:
    assert SlotValues().process_result_value(None, ENGINES["sqlite"]) is None
