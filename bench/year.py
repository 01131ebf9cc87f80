"""Figure 19: a simulated year against its own truth.

Meters of minutes with a counter of what flows in, one of what flows out, and a power. The simulator
(`year_plant`, `year_faults`) knows the energy of any span exactly and shares no code with EMDC. It
tells a database what the meters say, with outages, resets, false zeros, roll-overs, swaps, another
ratio, days that come late, kills and starts (`year_story`). What is stored then must be the same,
table by table, when it is all reckoned again. And each quarter hour, hour, day and month of each
meter's zone is compared with the truth: a wrong one must say that it is no plain measurement, and
one to which nothing happened must say nothing.
"""

import hashlib
import json
import math
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine, select, update

from bench import engines
from bench.rig import Result, exactly
from bench.year_faults import KINDS, MARGIN, Kind, Plant, plant
from bench.year_plant import DAY, MINUTE_S, Meter
from bench.year_story import COUNTERS, Story
from emdc.energy.answers import CELL_S, DAY_S, Consumption, Per, Quality
from emdc.storage import database, migrate
from emdc.storage.database import connected
from emdc.storage.instants import text_of
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.past.chronicle import Chronicle
from emdc.storage.schema import (
    counter_epochs,
    interval_days,
    interval_details,
    interval_progress,
    interval_rows,
    topics,
)

PERS: Sequence[Per] = ("15min", "hour", "day", "month")
TABLES = (interval_rows, interval_days, interval_details, interval_progress, counter_epochs)
SHOWN = 5
"""So many of the wrong ones are printed."""


class Form(NamedTuple):
    """How much of it."""

    kinds: Sequence[str]
    meters: Sequence[Kind]
    start: datetime
    days: int


SHORT = Form(("sqlite",), KINDS[:1], datetime(2024, 3, 1, tzinfo=UTC), 61)
LONG = Form(engines.KINDS, KINDS, datetime(2024, 1, 1, tzinfo=UTC), 366)


def run(*, long: bool) -> list[Result]:
    """Two months of one meter in a file; or a leap year of three in three kinds of database."""
    seed = int(os.environ.get("BENCH_SEED") or random.SystemRandom().randrange(1_000_000))
    form = LONG if long else SHORT
    told = plant(form.meters, form.start, form.days, random.Random(seed))
    results = [Result("seed of what happens (BENCH_SEED)", str(seed))]
    stored: list[dict[str, str]] = []
    with tempfile.TemporaryDirectory() as name:
        for kind in form.kinds:
            with _filled(kind, Path(name), told, seed) as (engine, story):
                title = engines.TITLES[kind]
                stored.append(_digests(engine))
                results.append(Result(f"{title}: quarter hours made", f"{story.made:,}"))
                results.append(Result(f"{title}: times killed at it", f"{story.kills:,}"))
                for what, way in (("made over", _over), ("made of nothing", _of_nothing)):
                    way(engine, told, story)
                    differing = _differing(stored[-1], _digests(engine))
                    results.append(exactly(f"{title}: tables that differ, {what}", differing, 0))
                if len(stored) > 1:
                    differing = _differing(stored[-1], stored[0])
                    results.append(exactly(f"{title}: tables not as SQLite's", differing, 0))
                results += _judged(engine, told, story, title)
                results.append(
                    exactly(f"{title}: planted wrong ones found", *_planted(engine, told, story))
                )
    return results


@contextmanager
def _filled(kind: str, folder: Path, told: Plant, seed: int) -> Iterator[tuple[Engine, Story]]:
    """A database to which all was told."""
    with engines.new_database(kind, folder) as place:
        engine = database.open_engine(place.url)
        try:
            migrate.prepare(engine)
            story = Story(engine, told, seed)
            story.tell()
            yield engine, story
        finally:
            engine.dispose()


def _digests(engine: Engine) -> dict[str, str]:
    """What is stored of quarter hours, by table."""
    found = {}
    with connected(engine) as connection:
        for table in TABLES:
            digest = hashlib.sha256()
            query = select(table).order_by(*table.primary_key.columns)
            for row in connection.execute(query):
                digest.update(repr(tuple(row)).encode())
            found[table.name] = digest.hexdigest()
    return found


def _over(engine: Engine, told: Plant, story: Story) -> None:
    """Make all quarter hours again in the place of those that are there."""
    accounts = Accounts(engine)
    for number in accounts.meters().values():
        accounts.advance(number, story.end, since=told.start)


def _of_nothing(engine: Engine, told: Plant, story: Story) -> None:
    """The same, once nothing but readings and what users said is left."""
    with connected(engine, write=True) as connection:
        for table in TABLES:
            found = table.delete()
            if table is counter_epochs:
                found = found.where(table.c.source == "found")
            connection.execute(found)
    _over(engine, told, story)


def _differing(some: dict[str, str], others: dict[str, str]) -> int:
    names = [name for name in some if some[name] != others[name]]
    for name in names:
        print(f"  {name} differs")
    return len(names)


@dataclass
class Account:
    """What became of the intervals that were compared."""

    compared: int = 0
    complete: int = 0
    marked: int = 0
    wrong: list[str] = field(default_factory=list)
    """They say nothing of it."""
    needless: list[str] = field(default_factory=list)
    """Nothing happened, and they are marked, or even wrong."""

    def judge(
        self, what: str, said: Consumption, *, right: bool, quiet: bool, best: Quality
    ) -> None:
        """One interval; `quiet`: nothing happened in it."""
        complete = said.completeness == 100
        marked = not complete or said.quality != best
        self.compared += 1
        self.complete += complete
        self.marked += marked
        if not right and not marked:
            self.wrong.append(f"{what}: {said}")
        if quiet and (marked or not right):
            self.needless.append(f"{what}: {said}")


def _judged(engine: Engine, told: Plant, story: Story, title: str) -> list[Result]:
    account, totals = Account(), list[Result]()
    start = told.start.timestamp()
    end = start + MINUTE_S * (told.ticks - MARGIN)
    with Chronicle(engine, clock=story.end.timestamp) as chronicle:
        for meter in told.meters:
            for counter, name in enumerate(COUNTERS):
                topic = f"{meter.name}/{name}"
                judge = _Counter(meter, counter, start)
                for per in PERS:
                    for said in chronicle.energy(topic, start, end, per).periods:
                        judge.judge(account, said)
                (total,) = chronicle.energy(topic, start, end, "total").periods
                totals.append(judge.total(f"{title}: {topic}", total))
            for per in PERS:
                for said in chronicle.energy(f"{meter.name}/kw", start, end, per).periods:
                    _judge_power(account, meter, said, start)
    for line in [*account.wrong[:SHOWN], *account.needless[:SHOWN]]:
        print(f"  {title}: {line}")
    return [
        Result(f"{title}: intervals compared", f"{account.compared:,}"),
        Result(f"{title}: of them complete", f"{account.complete:,}"),
        Result(f"{title}: recovered, suspect or incomplete", f"{account.marked:,}"),
        exactly(f"{title}: wrong ones that do not say so", len(account.wrong), 0),
        exactly(f"{title}: right ones that say they are not", len(account.needless), 0),
        *totals,
    ]


def _planted(engine: Engine, told: Plant, story: Story) -> tuple[int, int]:
    """How many wrong ones are found on a day where each has a count too many, and how many are."""
    topic, start = f"{told.meters[0].name}/{COUNTERS[0]}", told.start.timestamp()
    judge = _Counter(told.meters[0], 0, start)
    days = (start + DAY_S * number for number in range(1, told.ticks // DAY))
    day = next(day for day in days if judge.is_quiet(day, day + DAY_S))
    one = told.meters[0].registers[0].scale.value(1)
    named = select(topics.c.topic_id).where(topics.c.topic_name == topic).scalar_subquery()
    table = interval_days.c
    mine = (table.topic_id == named, table.day == text_of(day))
    with connected(engine, write=True) as connection:
        text = connection.execute(select(table.energies).where(*mine)).scalar_one()
        energies = json.dumps([round(energy + one, 3) for energy in json.loads(text)])
        connection.execute(update(interval_days).where(*mine).values(energies=energies))
    account = Account()
    with Chronicle(engine, clock=story.end.timestamp) as chronicle:
        for said in chronicle.energy(topic, day, day + DAY_S, "15min").periods:
            judge.judge(account, said)
    return len(account.wrong), DAY_S // CELL_S


class _Counter:
    """What one counter of a meter really counted."""

    def __init__(self, meter: Meter, counter: int, start: float) -> None:
        self._register = meter.registers[counter]
        self._disturbed = meter.disturbed(counter)
        leaps = self._register.leaps[1:]
        self._hidden = sum(meter.hidden(counter, leap) for leap in leaps)
        self._doubtful = sum(meter.doubtful(counter, leap) for leap in leaps)
        self._start = start

    def is_quiet(self, start: float, end: float) -> bool:
        """Whether nothing happened from one instant to the other."""
        first, after = (round(at - self._start) // MINUTE_S for at in (start, end))
        return self._disturbed.find(1, first, after + 1) < 0

    def judge(self, account: Account, said: Consumption) -> None:
        """One of its intervals."""
        first, after = round(said.start - self._start), round(said.end - self._start)
        counted = self._register.counted(after) - self._register.counted(first)
        truth = self._register.scale.value(counted)
        quiet = self.is_quiet(said.start, said.end)
        what = (
            f"{truth} {self._register.scale.unit} since {datetime.fromtimestamp(said.start, UTC)}"
        )
        account.judge(what, said, right=said.energy == truth, quiet=quiet, best=Quality.MEASURED)

    def total(self, what: str, said: Consumption) -> Result:
        """All of it."""
        scale = self._register.scale
        counted = self._register.counted(round(said.end - self._start))
        known = scale.value(counted - self._hidden)
        least = scale.value(counted - self._hidden - self._doubtful)
        return Result(
            f"{what}: {scale.value(counted):,} {scale.unit}, {scale.value(self._hidden):,} hidden",
            f"{said.energy:,}",
            f"{least:,} or {known:,}" if self._doubtful else f"exactly {known:,}",
            said.energy in {least, known},
        )


def _judge_power(account: Account, meter: Meter, said: Consumption, start: float) -> None:
    first, after = round(said.start - start), round(said.end - start)
    truth = meter.joules(first, after) / 3_600_000
    quiet = not any(meter.states[first // MINUTE_S : after // MINUTE_S])
    right = said.energy is not None and math.isclose(said.energy, truth, rel_tol=1e-9, abs_tol=1e-9)
    what = f"{truth} kWh since {datetime.fromtimestamp(said.start, UTC)}"
    account.judge(what, said, right=right, quiet=quiet, best=Quality.ESTIMATED)
