"""Meters whose quarter hours are not made, on every engine."""

from sqlalchemy import Engine

from emdc.storage.database import connected
from emdc.storage.instants import to_text
from emdc.storage.past.behind import Behind, behind
from emdc.storage.schema import interval_progress
from tests.storage.filled import fill
from tests.storage.plant import tick
from tests.storage.reckoned import reckon

TOPIC, OTHER = "UW/Elm/eaton_meter/W", "UW/Elm/eaton_meter/V"
HOUR = 3600.0


def test_collector_of_which_nothing_is_made_yet_is_not_behind(emptied_engine: Engine) -> None:
    fill(emptied_engine, {TOPIC: {0: 1.0, 2 * HOUR: 1.0}})
    assert behind(emptied_engine, [TOPIC]) == []


def test_old_readings_of_which_nothing_is_made_are_said_once(emptied_engine: Engine) -> None:
    fill(emptied_engine, {TOPIC: {0: 1.0, 3 * HOUR: 1.0}, OTHER: {0: 1.0}, "other/W": {0: 1.0}})
    assert behind(emptied_engine, [TOPIC, OTHER, "other/W"]) == [Behind("UW/Elm/eaton_meter", None)]


def test_it_is_said_until_where_they_are_made(emptied_engine: Engine) -> None:
    fill(emptied_engine, {TOPIC: {0: 1.0, 5 * HOUR: 1.0}})
    reckon(emptied_engine, tick(6 * HOUR))
    assert behind(emptied_engine, [TOPIC]) == []
    with connected(emptied_engine, write=True) as connection:
        values = {"next_ts": to_text(tick(HOUR))}
        connection.execute(interval_progress.update().values(values))
    assert behind(emptied_engine, [TOPIC]) == [Behind("UW/Elm/eaton_meter", tick(HOUR).timestamp())]
