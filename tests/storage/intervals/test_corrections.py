"""What users say of counters, on every engine."""

import random

import pytest
from sqlalchemy import Engine, delete, select

from emdc.energy.counter import MarkKind
from emdc.storage.database import connected, dialect_of
from emdc.storage.instants import to_text
from emdc.storage.intervals.corrections import Counter, Said, counters_of, kept_from, say, unsay
from emdc.storage.schema import counter_epochs, interval_progress
from tests.storage.filled import fill
from tests.storage.metering import METER, TABLES, advance, after, begin, meter, story, tables, tell
from tests.storage.metering import number as meter_id
from tests.storage.plant import tick

INTERVAL_S = 300.0
TICKS = 160
LATER = after(TICKS * INTERVAL_S + 7200)
KINDS: tuple[MarkKind, ...] = ("swap", "swap", "swap", "reset", "rollover", "glitch", "real")


@pytest.fixture
def metered(emptied_engine: Engine) -> Engine:
    """A database with thirteen hours of a meter, made into quarter hours."""
    begin(emptied_engine, interval_s=INTERVAL_S)
    tell(emptied_engine, story(4, ticks=TICKS, interval_s=INTERVAL_S))
    advance(emptied_engine, LATER)
    return emptied_engine


def counters(engine: Engine) -> list[Counter]:
    return counters_of(engine, meter_id(engine))


def said(engine: Engine) -> list[tuple[object, ...]]:
    """What stands there by users: metric, kind, register before and after, note."""
    table = counter_epochs.c
    columns = (table.topic_id, table.kind, table.before_value, table.after_value, table.note)
    names = {one.topic_id: one.name.rpartition("/")[2] for one in counters(engine)}
    with connected(engine) as connection:
        query = select(*columns).where(table.source == "user").order_by(table.topic_id)
        return [(names[row[0]], *row[1:]) for row in connection.execute(query)]


def opened_from(engine: Engine) -> str:
    with connected(engine) as connection:
        return str(connection.execute(select(interval_progress.c.next_ts)).scalar_one())


def made_again(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """All from the beginning, of the readings and of what users say."""
    with connected(engine, write=True) as connection:
        for table in TABLES:
            if table is not counter_epochs:
                connection.execute(table.delete())
        connection.execute(delete(counter_epochs).where(counter_epochs.c.source == "found"))
    advance(engine, LATER)
    return tables(engine)


def test_counters_of_a_meter_are_in_its_order_with_their_units(metered: Engine) -> None:
    found = counters(metered)
    assert [(one.name, one.unit) for one in found] == [
        (f"{METER}/Wh", "Wh"),
        (f"{METER}/kVARh", "kVARh"),
        (f"{METER}/Hours", "h"),
    ]
    assert {one.meter_id for one in found} == {meter_id(metered)}


def test_meter_without_a_counter_has_none(emptied_engine: Engine) -> None:
    fill(emptied_engine, {f"{METER}/W": {0.0: 1.0}})
    assert counters(emptied_engine) == []


def test_it_is_recorded_and_the_quarter_hours_are_open_again(metered: Engine) -> None:
    at = tick(10_000.5)
    say(metered, counters(metered)[:2], at.timestamp(), Said("swap", 5.5, 0.25, "note: ä"))
    assert said(metered) == [
        ("Wh", "swap", 5.5, 0.25, "note: ä"),
        ("kVARh", "swap", 5.5, 0.25, "note: ä"),
    ]
    assert opened_from(metered) == to_text(tick(9900))


def test_the_same_instant_again_takes_its_place(metered: Engine) -> None:
    wh, kvarh, _ = counters(metered)
    at = tick(10_000).timestamp()
    say(metered, [wh, kvarh], at, Said("swap"))
    say(metered, [wh], at, Said("reset", note="no"))
    say(metered, [wh], at + 1, Said("real"))
    assert said(metered) == [
        ("Wh", "reset", None, None, "no"),
        ("Wh", "real", None, None, ""),
        ("kVARh", "swap", None, None, ""),
    ]


def test_what_was_said_is_forgotten(metered: Engine) -> None:
    before = tables(metered)
    wh, kvarh, _ = counters(metered)
    at = tick(20_000).timestamp()
    say(metered, [wh, kvarh], at, Said("swap", 10, 0))
    advance(metered, LATER)
    assert tables(metered) != before
    assert unsay(metered, [wh, kvarh], at) == 2
    assert opened_from(metered) == to_text(tick(19_800))
    advance(metered, LATER)
    assert tables(metered) == before


def test_where_nothing_was_said_nothing_is_opened(metered: Engine) -> None:
    before = opened_from(metered)
    assert unsay(metered, counters(metered), tick(20_000).timestamp()) == 0
    assert opened_from(metered) == before


def test_meter_of_which_nothing_is_made_yet_takes_it_too(emptied_engine: Engine) -> None:
    begin(emptied_engine, interval_s=INTERVAL_S)
    say(emptied_engine, counters(emptied_engine), tick(0).timestamp(), Said("swap"))
    assert len(said(emptied_engine)) == 3


def test_it_is_told_where_readings_begin(metered: Engine) -> None:
    assert kept_from(metered, meter_id(metered)) is None
    with connected(metered, write=True) as connection:
        row = (meter(connection), to_text(tick(0)), to_text(tick(7200)), "retention")
        dialect_of(connection).insert_gaps(connection, [row])
    assert kept_from(metered, meter_id(metered)) == tick(7200).timestamp()


@pytest.mark.parametrize("seed", [0, 1, 4])
def test_what_is_made_after_it_is_what_is_made_of_all_at_once(engine: Engine, seed: int) -> None:
    rng = random.Random(seed)
    begin(engine, interval_s=INTERVAL_S)
    told = story(seed, ticks=TICKS, interval_s=INTERVAL_S)
    tell(engine, told)
    advance(engine, LATER)
    before = tables(engine)
    changes = 0
    marks: list[float] = []
    for _ in range(4):
        if marks and rng.random() < 0.3:
            unsay(engine, counters(engine), marks.pop())
        else:
            # At readings, beside them and within outages.
            marks.append(tick(rng.choice(list(told)) + rng.choice((0, 0, -1, 0.5))).timestamp())
            registers = rng.choice(((None, None), (None, 0.0), (5e5, 3.0)))
            some = counters(engine)[: rng.choice((1, 2, 3))]
            say(engine, some, marks[-1], Said(rng.choice(KINDS), *registers))
        advance(engine, LATER)
        made = tables(engine)
        changes += any(made[name] != before[name] for name in ("interval_days", "interval_rows"))
        assert made == made_again(engine)
    assert changes
