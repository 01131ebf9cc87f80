"""Whatever way readings come, the quarter hours that are made of them are the same."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine, delete, update

from emdc.storage.database import connected
from emdc.storage.instants import to_text
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.intervals.commit import BusyError, ChangedError, Work
from emdc.storage.lateness import reopen
from emdc.storage.schema import readings
from tests.storage.filled import KINDS, opened
from tests.storage.metering import (
    advance,
    after,
    begin,
    made_at_once,
    number,
    story,
    tables,
    tell,
)
from tests.storage.plant import NOON, tick

INTERVAL_S = 300.0
TICKS = 576
END = TICKS * INTERVAL_S
LATER = after(END + 7200)


class _KilledError(Exception):
    """The program ended here."""


@pytest.fixture
def metered(engine: Engine) -> Engine:
    """A database with the meter of the stories."""
    begin(engine, interval_s=INTERVAL_S)
    return engine


def as_it_was_told(
    engine: Engine, told: Mapping[float, Sequence[Any]], rng: random.Random
) -> dict[str, list[tuple[Any, ...]]]:
    """Readings as they come: some late, some long after, and the program is killed at times."""
    late = {at for at in told if rng.random() < 0.03}
    start = rng.random() * END
    late |= {at for at in told if start <= at < start + END / 10}
    waiting: dict[float, Sequence[Any]] = {}
    kept = Accounts(engine)
    at, step = 0.0, 0.0
    while at < END:
        step = rng.choice((900.0, 900.0, 1800.0, 20_000.0, 40_000.0))
        now = {t: row for t, row in told.items() if at <= t < at + step}
        tell(engine, {t: row for t, row in now.items() if t not in late})
        waiting |= {t: row for t, row in now.items() if t in late}
        if rng.random() < 0.4:
            some = list(waiting)[: len(waiting) // 2]
            tell(engine, {t: waiting.pop(t) for t in some}, late=True)
        at += step
        try:
            dying = Accounts(engine, write=_killing(engine, rng))
            (dying if rng.random() < 0.5 else kept).advance(number(engine), after(min(at, END)))
        except _KilledError:
            pass
    tell(engine, waiting, late=True)
    kept.advance(number(engine), LATER)
    return tables(engine)


def _killing(engine: Engine, rng: random.Random) -> Any:
    left = [rng.choice((1, 2, 3, 5, 100))]

    def write(work: Work) -> None:
        left[0] -= 1
        if not left[0]:
            raise _KilledError
        with connected(engine, write=True) as connection:
            work(connection)

    return write


@pytest.mark.parametrize("seed", range(4))
def test_as_ticks_pass_it_is_as_all_at_once(metered: Engine, seed: int) -> None:
    told = story(seed, ticks=TICKS, interval_s=INTERVAL_S)
    as_told = as_it_was_told(metered, told, random.Random(seed))
    assert len(as_told["interval_days"]) >= 4
    assert made_at_once(metered, LATER) == as_told


@pytest.mark.parametrize("kind", KINDS[1:3])
def test_servers_make_the_same_to_the_last_bit(
    kind: str, engine: Engine, request: pytest.FixtureRequest
) -> None:
    told = story(7, ticks=TICKS, interval_s=INTERVAL_S)
    begin(engine, interval_s=INTERVAL_S)
    tell(engine, told)
    with opened(kind, request) as server:
        begin(server, interval_s=INTERVAL_S)
        as_told = as_it_was_told(server, told, random.Random(7))
    expected = made_at_once(engine, LATER)
    assert expected["counter_epochs"]
    assert as_told == expected


def test_made_again_from_anywhere_it_is_the_same(metered: Engine) -> None:
    tell(metered, story(3, ticks=TICKS, interval_s=INTERVAL_S))
    before = made_at_once(metered, LATER)
    for seconds in (0, 5000, END / 2, END - 1000):
        made = advance(metered, LATER, since=tick(seconds))
        assert made.cells
        assert tables(metered) == before


def test_seconds_have_half_minutes_however_they_are_cut(engine: Engine) -> None:
    begin(engine, interval_s=1.0)
    told = story(1, ticks=2000, interval_s=1.0)
    tell(engine, {at: row for at, row in told.items() if at < 1000})
    advance(engine, after(1000))
    tell(engine, {at: row for at, row in told.items() if at >= 1000})
    advance(engine, after(2700))
    as_told = tables(engine)
    assert as_told["interval_details"]
    assert made_at_once(engine, after(2700)) == as_told


def test_reading_that_comes_while_it_is_read_is_not_missed(metered: Engine) -> None:
    told = story(2, ticks=60, interval_s=INTERVAL_S)
    first, *_, last = told
    tell(metered, {at: row for at, row in told.items() if at not in {first + 600, last}})
    coming = [{last: told[last]}]

    def comes() -> None:
        if coming:
            tell(metered, coming.pop(), late=True)

    now = after(60 * INTERVAL_S)
    steps = iter(range(100))
    kept = Accounts(metered, pause=lambda: comes() if next(steps) == 1 else None)
    kept.advance(number(metered), now)
    as_told = tables(metered)
    assert not coming
    assert made_at_once(metered, now) == as_told


def test_late_reading_is_seen_where_the_last_quarter_hours_are_open_anyway(
    metered: Engine,
) -> None:
    told = {float(at): [1.0, float(at)] for at in range(0, 901, 300)}
    tell(metered, {at: row for at, row in told.items() if at != 600})
    kept = Accounts(metered)
    kept.advance(number(metered), after(900))
    assert tables(metered)["interval_progress"][0][0] == to_text(NOON)
    tell(metered, {600.0: told[600.0]}, late=True)
    kept.advance(number(metered), after(900))
    assert tables(metered)["interval_rows"][0][1].startswith("[3,3,")


def test_reading_changed_while_it_is_read_is_not_missed(metered: Engine) -> None:
    tell(metered, {0.0: [1.0], 300.0: [2.0]})
    rows = update(readings).where(readings.c.ts == to_text(tick(300))).values(vals="[9.5]")
    steps = iter(range(100))

    def changes() -> None:
        if next(steps) == 1:
            with connected(metered, write=True) as connection:
                connection.execute(rows)
            tell(metered, {600.0: [3.0]}, late=True)
            with connected(metered, write=True) as connection:
                connection.execute(delete(readings).where(readings.c.ts == to_text(tick(600))))

    Accounts(metered, pause=changes).advance(number(metered), after(900))
    assert "[9.5" in tables(metered)["interval_rows"][0][3]


def test_two_that_make_one_meter_do_not_mix(metered: Engine) -> None:
    tell(metered, story(4, ticks=60, interval_s=INTERVAL_S))
    others = [Accounts(metered)]

    def intrudes() -> None:
        if others:
            others.pop().advance(number(metered), after(3600))

    now = after(60 * INTERVAL_S)
    Accounts(metered, pause=intrudes).advance(number(metered), now)
    as_told = tables(metered)
    assert made_at_once(metered, now) == as_told


def test_who_is_disturbed_again_and_again_says_so(metered: Engine) -> None:
    tell(metered, {0.0: [1.0]})
    times = iter(range(1, 1000))

    def disturbs() -> None:
        tell(metered, {next(times) * 0.001: [1.0]})

    with pytest.raises(ChangedError, match="run it again"):
        Accounts(metered, pause=disturbs).advance(number(metered), after(900))


@pytest.mark.parametrize("kind", KINDS[1:])
def test_nobody_waits_for_readings_that_are_being_stored(
    kind: str, request: pytest.FixtureRequest
) -> None:
    with opened(kind, request) as server:
        begin(server, interval_s=INTERVAL_S)
        tell(server, {0.0: [1.0], 300.0: [1.0]})
        advance(server, after(900))
        tell(server, {1200.0: [2.0]})
        storing = server.connect()
        reopen(storing, number(server), to_text(NOON))
        turned_away: list[BusyError] = []

        def write(work: Work) -> None:
            try:
                with connected(server, write=True) as connection:
                    work(connection)
            except BusyError as error:
                turned_away.append(error)
                storing.commit()
                raise

        assert Accounts(server, write=write).advance(number(server), after(1800)).cells == 2
        storing.close()
        assert len(turned_away) == 1
