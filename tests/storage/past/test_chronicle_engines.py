"""The same questions to every kind of database: the same answers, to the last bit."""

import math
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Engine, text

from emdc.energy.answers import Per
from emdc.errors import StorageError
from emdc.reading import MeterProfile, MeterReading, Topic, Value
from emdc.storage.database import connected
from emdc.storage.instants import to_text
from emdc.storage.past import gap_ranges, series_read
from emdc.storage.past.asking import Asker, Asking
from emdc.storage.past.chronicle import Chronicle
from emdc.storage.past.raw_values import Sample, Slot, values_of
from tests.storage.past.test_chronicle import at
from tests.storage.plant import METER, reading, store, tick
from tests.storage.reckoned import reckon

METRICS = ("wh", "kw", "volts", "serial", "angle", "late")
TOPICS = (
    Topic("wh", "Wh", "counter"),
    Topic("kw", "kW", digits="float32"),
    Topic("volts", "V"),
    Topic("serial", "", "text"),
    Topic("angle", "deg", digits=2),
    Topic("late", "V"),
)
LATE = 780
"""The minute from which there is one topic more."""
END = 60 * 850
NOW = END + 100.0


def plant() -> list[MeterReading]:
    """Minutes over a midnight, with all that may happen to values."""
    chance = random.Random(5)
    counter, found = 2**53 - 15_000, []
    for minute in range(850):
        counter += chance.randrange(40)
        if 300 <= minute < 340:
            continue
        values: list[Value] = [
            counter,
            math.sin(minute / 100) * 3.3,
            chance.uniform(110, 130),
            'A,1 "null"' if minute % 2 else "007",
            -117.85 + minute / 100,
            minute / 7,
        ]
        gaps, names = {}, METRICS if minute >= LATE else METRICS[:-1]
        for index, name in enumerate(names):
            if chance.random() < 0.03:
                values[index], gaps[name] = None, chance.choice(["read_timeout", "exception:2"])
        found.append(reading(60 * minute, tuple(values[: len(names)]), metrics=names, gaps=gaps))
    found.append(
        reading(END + 0.25, (counter, 1.0, 1e-7, "", 0.1, 0), metrics=METRICS, scheduled=False)
    )
    return found


@pytest.fixture
def server(emptied_server_engine: Engine) -> Engine:
    return emptied_server_engine


def questions() -> list[Callable[[Chronicle], Any]]:
    """Random ones, the same for all."""
    chance = random.Random(7)
    asked: list[Callable[[Chronicle], Any]] = [
        lambda chronicle: chronicle.search("mercer", 10),
        lambda chronicle: chronicle.epochs(),
        lambda chronicle: chronicle.gaps(METER, at(0), at(END), 1000),
        lambda chronicle: chronicle.gaps(METER, at(0), at(END), 7, newest_first=True),
    ]
    for name in METRICS:
        topic = f"{METER}/{name}"
        asked.append(_all_of(topic))
        asked += [_series(topic, chance) for _ in range(12) if name != "serial"]
    for topic in (f"{METER}/wh", f"{METER}/kw"):
        asked += [_energy(topic, chance) for _ in range(12)]
    return asked


def _all_of(topic: str) -> Callable[[Chronicle], Any]:
    return lambda chronicle: (
        chronicle.topic(topic),
        chronicle.newest(topic),
        list(chronicle.stream(topic, at(0), at(NOW))),
        chronicle.gaps(topic, at(0), at(END), 1000),
    )


def _series(topic: str, chance: random.Random) -> Callable[[Chronicle], Any]:
    start = chance.uniform(0, END)
    end = chance.uniform(start + 1, END + 2000)
    step_s = chance.choice([None, None, 0.0, 1.0, 60.0, 300.0, 900.0, 3600.0])
    points = chance.choice([10, 100, 1000])
    return lambda chronicle: chronicle.series(
        topic, at(start), at(end), step_s=step_s, points=points
    )


def _energy(topic: str, chance: random.Random) -> Callable[[Chronicle], Any]:
    start = chance.uniform(0, END)
    end = chance.uniform(start + 1, END + 2000)
    per: Per = chance.choice(["15min", "hour", "day", "total"])
    return lambda chronicle: chronicle.energy(topic, at(start), at(end), per)


def answers(engine: Engine) -> list[str]:
    """With every digit; 7 and 7.0 are not the same."""
    with Chronicle(engine, clock=lambda: at(NOW)) as chronicle:
        return [repr(ask(chronicle)) for ask in questions()]


def fill(engine: Engine) -> None:
    rows = plant()
    late = next(index for index, row in enumerate(rows) if row.tick >= tick(60 * LATE))
    store(engine, *rows[:late], profiles=[MeterProfile(METER, TOPICS[:-1], 60.0)])
    last = MeterProfile(METER, TOPICS, 60.0)
    store(engine, *rows[late:], profiles=[last], now=tick(60 * LATE))
    reckon(engine, tick(END - 1000))


def test_answers_are_the_same_on_every_engine(
    engine: Engine, server: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_read, "FEW", 50)
    monkeypatch.setattr(gap_ranges, "_ROWS_AT_ONCE", 50)
    fill(engine)
    fill(server)
    for one, other in zip(answers(engine), answers(server), strict=True):
        assert one == other


def test_half_minutes_are_the_same_on_every_engine(
    engine: Engine, server: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(series_read, "FEW", 100)
    monkeypatch.setattr(series_read, "MANY", 500)
    seconds = MeterProfile(METER, TOPICS[:3], 1.0)
    rows = [reading(n, (n, n / 7, -n), metrics=METRICS[:3]) for n in range(1200)]
    found = []
    for each in (engine, server):
        store(each, *rows, profiles=[seconds])
        reckon(each, tick(1100))
        with Chronicle(each) as chronicle:
            series = [
                chronicle.series(f"{METER}/{name}", at(5), at(1195), step_s=30)
                for name in METRICS[:3]
            ]
        assert {one.source for one in series} == {"details"}
        found.append(repr(series))
    assert found[0] == found[1]


def test_columns_that_do_not_fit_into_one_text_come_row_by_row(server: Engine) -> None:
    store(
        server, *(reading(n, (n / 7, n, "A long, long text that does not fit")) for n in range(50))
    )
    with Chronicle(server) as chronicle:
        expected = chronicle.readings("Serial", at(0), at(50), 1000)
        assert len(expected) == 50
        meter_id = chronicle._book.place("Serial").meter_id
        assert meter_id is not None

        def squeezed(asker: Asker) -> list[Sample]:
            if server.dialect.name == "mysql":
                asker._joined_bytes = 1000
                asker._cursor.execute("SET SESSION group_concat_max_len = 1000")
            span = (to_text(tick(0)), to_text(tick(50)))
            found = values_of(asker, Slot(meter_id, 2), span, texts=True)
            asker.connection.close()
            return found

        assert chronicle._asking.ask(squeezed) == expected


def test_first_row_with_texts_does_not_hide_numbers(server: Engine) -> None:
    """Long integers are texts on PostgreSQL, beside the numbers of their rows."""
    values: Sequence[int] = (5, 2**60, 7)
    store(
        server,
        *(reading(60 * n, (value,), metrics=("wh",)) for n, value in enumerate(values)),
        profiles=[MeterProfile(METER, TOPICS[:1], 60.0)],
    )
    with Chronicle(server) as chronicle:
        found = chronicle.readings(f"{METER}/wh", at(0), at(999), 9)
        assert [value for _, value in found] == [5.0, 2**60, 7.0]
        buckets = chronicle.series(f"{METER}/wh", at(0), at(999), step_s=None).buckets
        assert [bucket.last for bucket in buckets] == [5.0, 2.0**60, 7.0]


def test_a_connection_that_the_server_ended_is_made_anew(server: Engine) -> None:
    store(server, reading(0))
    with Chronicle(server) as chronicle:
        expected = chronicle.newest("Voltage_AN")
        for _ in range(2):
            _end_others(server)
            assert chronicle.newest("Voltage_AN") == expected
        with pytest.raises(StorageError):
            chronicle._asking.ask(lambda asker: asker.ask("SELECT 1 FROM nowhere"))
        assert chronicle.newest("Voltage_AN") == expected


def test_a_connection_for_questions_together_is_made_anew_too(server: Engine) -> None:
    store(server, reading(0))
    server.dispose()
    with closing(Asking(server)) as asking:
        for _ in range(3):
            found = asking.together(lambda asker: asker.ask("SELECT count(*) FROM readings"))
            assert found[0][0] == 1
            _end_others(server)


def _end_others(engine: Engine) -> None:
    """All connections to the database but the one that says so."""
    with connected(engine) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    " AND application_name = 'emdc'"
                )
            )
            return
        found = connection.execute(
            text(
                "SELECT id FROM information_schema.processlist"
                " WHERE db = database() AND id <> connection_id()"
            )
        )
        for number in found.scalars().all():
            connection.execute(text(f"KILL {number}"))
