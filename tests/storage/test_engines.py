"""What the recorder's tests say of SQLite holds on each server, through each of its drivers."""

import asyncio

import pytest
from sqlalchemy import Engine

from emdc.errors import StorageError
from emdc.reading import Gap, MeterProfile, MeterReading, Topic, Value
from emdc.storage.conservation import conservation
from emdc.storage.past.history import latest_readings
from tests.storage.plain import ask
from tests.storage.plant import METER, profile, reading, recording, store, tick

COUNT = "SELECT count(*) FROM readings"
TEXTS = (
    "",
    "null",
    "null,",
    "007",
    "-5",
    'a "quote" and \\ a backslash, \\N and \\t and \\u0041',
    "it's 100 %s %(name)s ?",
    "tab\tline\nreturn\r\x0b\x1f\x7f\u2028",
    "Ω ☃ \U0001f50c e\u0301",
    "'; DROP TABLE readings;--",
    "{1,2}[3]",
    "x" * 70_000,
)
NUMBERS = (
    0,
    -7,
    2**53,
    -(2**53),
    2**53 + 1,
    2**64 - 1,
    -(2**63),
    1e300,
    -1e-300,
    5e-324,
    5e-7,
    0.1 + 0.2,
    1.7976931348623157e308,
)


@pytest.fixture
def engine(emptied_server_engine: Engine) -> Engine:
    return emptied_server_engine


def is_mysql(engine: Engine) -> bool:
    return engine.dialect.name == "mysql"


def values_stored(engine: Engine) -> list[tuple[str, list[str]]]:
    """Second and microsecond of each reading with its values as the view shows them."""
    ts = "date_format(ts, '%s.%f')" if is_mysql(engine) else "to_char(ts, 'SS.US')"
    found: dict[str, list[str]] = {}
    for at, value in ask(engine, f"SELECT {ts}, value_string FROM data ORDER BY ts, topic_id"):
        found.setdefault(at, []).append(value)
    return list(found.items())


def returned(engine: Engine, kind: Topic, values: tuple[Value, ...]) -> list[Value]:
    """Each value stored by a meter of its own, as the daemon's next start finds it."""
    profiles = [MeterProfile(f"site/{n}", (kind,), 1.0) for n in range(len(values))]
    named = zip(profiles, values, strict=True)
    written = [reading(0, (v,), meter=p.name, metrics=(kind.name,)) for p, v in named]
    store(engine, *written, profiles=profiles)
    found = {one.meter: one.values[0] for one in latest_readings(engine, profiles)}
    return [found[one.name] for one in profiles]


def test_every_text_comes_back_exactly(engine: Engine) -> None:
    assert returned(engine, Topic("state", kind="text"), TEXTS) == list(TEXTS)


def test_every_number_comes_back_exactly(engine: Engine) -> None:
    found = returned(engine, Topic("count", kind="counter"), NUMBERS)
    assert found == list(NUMBERS)
    assert type(found[5]) is int


def test_readings_come_back_as_they_were_written(engine: Engine) -> None:
    missed = {"Voltage_AN": "exception:2", "Serial": "read_timeout"}
    written = [
        reading(0, (121.5, 2**63, "007")),
        reading(1, (None, 8, None), gaps=missed),
        reading(1.123456, (122.25, 9, "B"), scheduled=False),
    ]
    for one in written:
        store(engine, one)
        assert latest_readings(engine, [profile()])[-1] == one


def test_written_readings_are_visible_to_others_at_once(engine: Engine) -> None:
    async def story() -> None:
        async with recording(engine) as recorder:
            for at in range(5):
                await recorder.write([reading(at)])
                assert ask(engine, COUNT) == [(at + 1,)]

    asyncio.run(story())


def test_same_reading_again_changes_nothing(engine: Engine) -> None:
    gaps = {"Voltage_AN": "read_timeout"}
    readings = [
        reading(0, (0.1 + 0.2, 2**64 - 1, 'a\\b "c"')),
        reading(1, (None, 7, ""), gaps=gaps),
        reading(2, (1e-7, 0, "null")),
    ]
    status = store(engine, *readings, readings[0])
    assert (status.stored, status.conflicts) == (3, 0)
    status = store(engine, *readings, reading(3), *readings)
    assert (status.stored, status.conflicts, status.ok) == (1, 0, True)
    assert ask(engine, COUNT) == [(4,)]


def test_other_values_for_a_stored_tick_are_counted_and_the_first_stays(engine: Engine) -> None:
    store(engine, reading(0, (1.0, 1, "A1")), reading(1), reading(2))
    differing = [reading(0, (2.0, 1, "A1")), reading(1, (120.5, 7, "A2")), reading(2), reading(3)]
    status = store(engine, *differing)
    assert (status.stored, status.conflicts) == (1, 2)
    assert [values for _, values in values_stored(engine)[:2]] == [
        ["1.0" if is_mysql(engine) else "1", "1", "A1"],
        ["120.5", "7", "A1"],
    ]


def test_a_thousand_other_values_at_once_are_counted(engine: Engine) -> None:
    meters = [profile(f"site/{n}") for n in range(10)]
    first = [reading(at, meter=m.name) for at in range(100) for m in meters]
    other = [reading(at, (99.5, at, "B")) for at in range(1000)]
    store(engine, *first, profiles=meters)
    changed = [
        one._replace(meter=was.meter, tick=was.tick) for one, was in zip(other, first, strict=True)
    ]
    new = [reading(at, meter=m.name) for at in range(100, 102) for m in meters]
    status = store(engine, *changed, *new, *first, profiles=meters)
    assert (status.stored, status.conflicts) == (20, 1000)
    assert ask(engine, COUNT) == [(1020,)]
    assert ask(engine, "SELECT count(*) FROM data WHERE value_string = 'B'") == [(0,)]


def test_manual_reading_never_takes_a_tick(engine: Engine) -> None:
    store(engine, reading(3, scheduled=False), reading(3, (5.5, 5, "A1")))
    assert values_stored(engine) == [
        ("03.000000", ["5.5", "5", "A1"]),
        ("03.000001", ["120.5", "7", "A1"]),
    ]


def test_manual_readings_of_one_instant_are_both_kept(engine: Engine) -> None:
    first = reading(0.5, scheduled=False)
    other = reading(0.5, (1.5, 1, "B2"), scheduled=False)
    status = store(engine, first, other, first, other)
    assert (status.stored, status.conflicts) == (2, 0)
    assert [at for at, _ in values_stored(engine)] == ["00.500000", "00.500001"]


def test_gaps_are_stored_once(engine: Engine) -> None:
    gap = Gap(METER, tick(1), tick(3), "overrun")

    async def story() -> None:
        async with recording(engine, ends=tick(3)) as recorder:
            await recorder.write_gaps([gap, gap])
            await recorder.write_gaps([gap])

    asyncio.run(story())
    assert ask(engine, "SELECT reason FROM gaps WHERE from_ts < to_ts") == [("overrun",)]
    found = conservation(engine, until=tick(3))
    assert (found.gaps, found.lost) == (6, 3)


def test_many_writers_share_commits(engine: Engine) -> None:
    names = [f"site/meter{number}" for number in range(200)]

    async def story() -> None:
        async with recording(engine, *(profile(name) for name in names)) as recorder:
            writes = (recorder.write([reading(0, meter=name)]) for name in names)
            await asyncio.gather(*writes)
            assert recorder.status().stored == len(names)

    asyncio.run(story())
    assert ask(engine, COUNT) == [(len(names),)]


def refused_alone(engine: Engine, unlucky: MeterReading, why: str) -> None:
    """Pass when one reading is refused for this reason and its neighbours are stored."""

    async def story() -> None:
        async with recording(engine, retry_s=0.01, ends=tick(3)) as recorder:
            with pytest.raises(StorageError, match=why):
                await recorder.write([reading(0), unlucky, reading(2)])
            status = recorder.status()
            assert (status.stored, status.dropped, status.ok) == (2, 1, True)

    asyncio.run(story())
    found = conservation(engine, until=tick(3))
    assert (found.holds, found.values, found.gaps) == (True, 6, 3)


def test_reading_that_a_constraint_refuses_does_not_hold_up_the_rest(engine: Engine) -> None:
    first = "CAST(vals AS CHAR) NOT LIKE '[13.0%'" if is_mysql(engine) else "vals[1] <> 13"
    ask(engine, f"ALTER TABLE readings ADD CONSTRAINT no_thirteen CHECK ({first})")
    try:
        refused_alone(engine, reading(1, (13.0, 1, "A1")), "no_thirteen")
    finally:
        ask(engine, "ALTER TABLE readings DROP CONSTRAINT no_thirteen")


def test_reading_that_a_trigger_refuses_does_not_hold_up_the_rest(engine: Engine) -> None:
    when = "CREATE TRIGGER no_thirteen BEFORE INSERT ON readings FOR EACH ROW"
    if is_mysql(engine):
        raised = "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'thirteen'"
        made = [f"{when} IF NEW.vals LIKE '[13.0%' THEN {raised}; END IF"]
        dropped = "DROP TRIGGER no_thirteen"
    else:
        body = "IF NEW.vals[1] = 13 THEN RAISE EXCEPTION 'thirteen'; END IF; RETURN NEW;"
        function = "CREATE FUNCTION no_thirteen() RETURNS trigger LANGUAGE plpgsql"
        made = [f"{function} AS $$ BEGIN {body} END $$", f"{when} EXECUTE FUNCTION no_thirteen()"]
        dropped = "DROP FUNCTION no_thirteen CASCADE"
    ask(engine, *made)
    try:
        refused_alone(engine, reading(1, (13.0, 1, "A1")), "thirteen")
    finally:
        ask(engine, dropped)


@pytest.mark.parametrize(
    "strange", [(1.0, 7, "\ud800"), (1.0,)], ids=["half a surrogate pair", "too few values"]
)
def test_reading_that_cannot_be_written_is_refused_alone(
    engine: Engine, strange: tuple[Value, ...]
) -> None:
    refused_alone(engine, reading(1, strange), METER)


def test_nul_in_a_text_is_refused_alone_where_the_server_has_no_place_for_it(
    engine: Engine,
) -> None:
    poison = reading(1, (1.0, 7, "A\x00B"))
    if is_mysql(engine):
        store(engine, poison)
        assert latest_readings(engine, [profile()]) == [poison]
    else:
        refused_alone(engine, poison, "unsupported Unicode escape sequence")
