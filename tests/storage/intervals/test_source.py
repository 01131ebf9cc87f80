"""Stored rows as numbers by slot, alike from every engine."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from emdc.storage.database import connected
from emdc.storage.instants import to_text
from emdc.storage.intervals import source as interval_source
from emdc.storage.intervals.source import readings_of
from emdc.storage.merge import Keep, merge
from emdc.storage.places import place
from tests.storage.filled import KINDS, fill, opened
from tests.storage.plant import NOON, tick

BEGIN = NOON.timestamp()
LONG = 12_345_678_901_234_567_890
TOPICS = ("m/W", "m/Wh", "m/Serial")


@pytest.fixture(params=KINDS)
def filled(request: pytest.FixtureRequest) -> Iterator[tuple[Engine, int]]:
    """A database, and the number of the meter that has something in it."""
    with opened(request.param, request) as engine:
        wh = {0.0: LONG, 0.25: 7, 60.000001: 9007199254740993, 120.0: -3}
        serial = {0.0: 'say "null", 5', 0.25: "1\\2", 60.000001: "42", 180.0: "é"}
        fill(engine, {TOPICS[0]: {0.0: 1.5, 0.25: -1e-9, 120.0: 1e300}, TOPICS[1]: wh})
        fill(engine, {TOPICS[0]: {240.0: 0.1}})
        _add(engine, serial)
        with connected(engine) as connection:
            yield engine, place(connection, TOPICS)[TOPICS[0]].meter_id


def _add(engine: Engine, serial: dict[float, str]) -> None:
    with connected(engine, write=True) as connection:
        where = place(connection, TOPICS)[TOPICS[2]]
        samples = {to_text(tick(at)): {where.slot: text} for at, text in serial.items()}
        merge(connection, where.meter_id, samples, policy=Keep(to_text(tick(1e6))))


@pytest.mark.parametrize("page", [500, 2])
def test_numbers_are_floats_long_integers_whole_and_texts_nothing(
    filled: tuple[Engine, int], page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interval_source, "PAGE", page)
    engine, meter_id = filled
    pages = list(readings_of(engine, meter_id, BEGIN))
    assert max(map(len, pages)) == min(page, 6)
    found = [(at, list(values)) for one in pages for at, values in one]
    assert found == [
        (BEGIN, [1.5, LONG, None]),
        (BEGIN + 0.25, [-1e-9, 7.0, None]),
        (BEGIN + 60.000001, [None, 9007199254740993, 42]),
        (BEGIN + 120, [1e300, -3.0]),
        (BEGIN + 180, [None, None, None]),
        (BEGIN + 240, [0.1]),
    ]
    kinds = [[type(value).__name__ for value in values] for _, values in found[:2]]
    assert kinds == [["float", "int", "NoneType"], ["float", "float", "NoneType"]]
    later = readings_of(engine, meter_id, BEGIN + 60.000001)
    assert next(later)[0][0] == BEGIN + 60.000001
