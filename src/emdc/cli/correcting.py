"""What a user says of counters, recorded; what they counted made again; and what that changed."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from emdc.cli import past
from emdc.cli.figures import NOTHING, grouped
from emdc.cli.past import Past
from emdc.cli.spans import iso, moment
from emdc.cli.stored import counting, existing, meters_named, settings_of
from emdc.cli.terminal import note, print_table, say
from emdc.collector.clock import Clock
from emdc.config import Settings
from emdc.energy.answers import Consumption
from emdc.energy.periods import instant
from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.database import Database
from emdc.storage.intervals import corrections
from emdc.storage.intervals.accounts import Accounts
from emdc.storage.intervals.corrections import Counter, Said

_EARLIER_DAYS: Final = 31
"""Days before the one that is meant that are compared: an outage may have begun there."""
_MOST_DAYS: Final = 10
"""Of one counter that are printed."""
_NEAR_S: Final = 86_400.0
_BESIDE_S: Final = 3600.0
"""So near a reading says where a register can have been."""
_FAR: Final = 10
_PAUSE_S: Final = 0.002
_BEHIND: Final = timedelta(minutes=1)
"""As for `emdc intervals`."""

Days = dict[float, Consumption]
"""By where they begin."""


class Wanted(NamedTuple):
    """What is to be done."""

    own: Mapping[str, Any]
    """Flags: topic or meter, and at."""
    said: Said | None
    """None: what was said is to be forgotten."""


class _Subject(NamedTuple):
    """What it is about."""

    meter: str
    counters: Sequence[Counter]
    at: float
    zone: ZoneInfo
    now: float


def correct(given: Mapping[str, object], wanted: Wanted) -> int:
    """Do it and print what it changed; the exit code.

    Raises ConfigError for what cannot be meant, StorageError when the database fails.
    """
    settings = settings_of(given)
    Clock(past.utc_now, monotonic).check()
    with existing(settings, write=True) as engine:
        with past.asked(engine, settings) as stored:
            subject = _subject(stored, wanted)
            before = _days(stored, subject)
        _record(engine, subject, wanted.said)
        _make(engine, subject)
        _print(engine, settings, subject, before)
    return 0


def figure(value: Value) -> str:
    """A register's value with all of its digits, or a text."""
    if value is None:
        return NOTHING
    return value if isinstance(value, str) else f"{value:,.15g}"


def _subject(stored: Past, wanted: Wanted) -> _Subject:
    """Raises ConfigError."""
    topic, meter = wanted.own["topic"], wanted.own.get("meter")
    if topic:
        topic, meter = _of_topic(stored, topic, meter)
    ((meter, meter_id),) = meters_named(stored.engine, meter).items()
    found = corrections.counters_of(stored.engine, meter_id)
    found = [counter for counter in found if topic in {None, counter.name}]
    if not found:
        raise ConfigError(f"--meter: {meter} has no counter, expected a meter that has")
    _check_registers(found, wanted.said)
    zone = past.zone_of(stored.chronicle.topic(found[0].name))
    at = _at(wanted.own["at"], zone, stored.now)
    if wanted.said is not None:
        _check_neighbours(stored, found[0], at, wanted.said)
    return _Subject(meter, found, at, zone, stored.now)


def _of_topic(stored: Past, name: str, meter: str | None) -> tuple[str, str]:
    """The names of a counter and of its meter, which is `meter` if that is given."""
    topic = past.topic_of(stored.chronicle, name, energy=True)
    if topic.kind != "counter":
        raise ConfigError(f"--topic: {topic.name} is a {topic.kind}, expected a counter")
    mine = topic.name.rpartition("/")[0]
    if meter not in {None, mine}:
        raise ConfigError(f"--topic: {topic.name} is none of --meter {meter}, expected one of it")
    return topic.name, mine


def _check_registers(counters: Sequence[Counter], said: Said | None) -> None:
    """Raise ConfigError when a register's value would be said of several counters."""
    if said is None or len(counters) == 1 or (said.before, said.after) == (None, None):
        return
    names = " or ".join(counter.name for counter in counters[:3])
    flag = "before" if said.before is not None else "after"
    raise ConfigError(f"--{flag}: is of one counter, expected --topic, such as {names}")


def _check_neighbours(stored: Past, counter: Counter, at: float, said: Said) -> None:
    """Raise ConfigError where the register cannot have been between the readings beside it."""
    earlier = stored.chronicle.series(counter.name, 0.0, at, step_s=None, points=1).buckets
    if not earlier:
        raise ConfigError(f"--at: {counter.name} was not read before, expected a later instant")
    last = list(stored.chronicle.stream(counter.name, max(at - _BESIDE_S, 0.0), at))[-1:]
    following = stored.chronicle.readings(counter.name, at, at + _BESIDE_S, 1)
    for _, value in last:
        if said.before is not None and isinstance(value, int | float) and said.before < value:
            raise ConfigError(
                f"--before: {figure(said.before)}, but the last reading before --at is"
                f" {figure(value)}, expected that or more"
            )
    if said.after is not None and said.after < 0:
        raise ConfigError(f"--after: {figure(said.after)}, expected 0 or more")
    for _, value in following:
        if said.after is not None and isinstance(value, int | float) and said.after > value:
            raise ConfigError(
                f"--after: {figure(said.after)}, but the first reading from --at on is"
                f" {figure(value)}, expected that or less"
            )


def _at(text: str | None, zone: ZoneInfo, now: float) -> float:
    if text is None:
        raise ConfigError("--at: missing, expected when it was, such as 2026-03-01T14:00")
    at = moment("at", text, zone, now)
    if at > now:
        raise ConfigError(f"--at: {text} lies in the future, expected a past instant")
    return at


def _record(engine: Database, subject: _Subject, said: Said | None) -> None:
    when = iso(subject.at, subject.zone)
    what = _named(subject)
    if said is None:
        if not corrections.unsay(engine, subject.counters, subject.at):
            raise ConfigError(
                f"--at: nothing was said of {what} at {when}; emdc meter epochs lists what was"
            )
        say(f"{what}: what was said of {when} is forgotten")
        return
    corrections.say(engine, subject.counters, subject.at, said)
    say(f"{what}: {said.kind} at {when} is recorded")


def _named(subject: _Subject) -> str:
    count = len(subject.counters)
    return subject.counters[0].name if count == 1 else f"{subject.meter}, {count} counters"


def _make(engine: Database, subject: _Subject) -> None:
    """Make the quarter hours again, as `emdc intervals` does."""
    meter_id = subject.counters[0].meter_id
    try:
        with counting("quarter hours") as tell:
            accounts = Accounts(engine, pause=lambda: sleep(_PAUSE_S), tell=tell)
            accounts.advance(meter_id, past.utc_now() - _BEHIND)
    except KeyboardInterrupt:
        note("emdc: ended early; the collector or emdc intervals makes the rest")
        raise
    kept = corrections.kept_from(engine, meter_id)
    if kept is not None and subject.at < kept:
        note(
            f"emdc: the readings before {iso(kept, subject.zone)} are deleted: what was made of"
            " them stays"
        )


def _days(stored: Past, subject: _Subject) -> list[Days]:
    """What each counter counted, by day."""
    midnight = instant("today", subject.zone, subject.at)
    start = max(instant(f"-{_EARLIER_DAYS}d", subject.zone, midnight), 0.0)
    end = max(subject.now, subject.at + 1)
    found = []
    for counter in subject.counters:
        answer = stored.chronicle.energy(counter.name, start, end, "day")
        found.append({one.start: one for one in answer.periods})
    return found


def _print(engine: Database, settings: Settings, subject: _Subject, before: Sequence[Days]) -> None:
    with past.asked(engine, settings) as stored:
        after = _days(stored, subject)
        rows = _rows(subject, before, after)
        columns = ("counter", "day", ">before", ">after", "unit", "quality")
        print_table(f"What was counted, by days of {subject.zone}", columns, rows)
        for counter, was, now in zip(subject.counters, before, after, strict=True):
            _tell_much(counter, subject, was, now)
            _tell_found(stored, counter, subject)


def _rows(
    subject: _Subject, before: Sequence[Days], after: Sequence[Days]
) -> list[tuple[str, ...]]:
    """The day that is meant, and those that are others now."""
    mine = instant("today", subject.zone, subject.at)
    rows = []
    for counter, was, now in zip(subject.counters, before, after, strict=True):
        days = [day for day in now if day == mine or _energy(was, day) != _energy(now, day)]
        for day in days[:_MOST_DAYS]:
            figures = grouped([_energy(was, day), _energy(now, day)])
            quality = now[day].quality
            word = NOTHING if quality is None else quality.name.lower()
            date = f"{datetime.fromtimestamp(day, subject.zone):%Y-%m-%d}"
            rows.append((counter.name, date, *figures, counter.unit, word))
        if len(days) > _MOST_DAYS:
            note(f"emdc: {counter.name}: {len(days) - _MOST_DAYS} more days are others now")
    return rows


def _energy(days: Days, day: float) -> float | None:
    return days[day].energy if day in days else None


def _tell_much(counter: Counter, subject: _Subject, was: Days, now: Days) -> None:
    """Name a day that has far more than any had: a figure may be mistyped."""
    most = max((one.energy for one in was.values() if one.energy), default=None)
    if most is not None and any((one.energy or 0.0) > _FAR * most for one in now.values()):
        say(
            f"{counter.name}: a day has more than {_FAR} times what any had in the month before; if"
            f" a figure is mistyped, emdc meter epoch --topic={counter.name}"
            f" --at={iso(subject.at, subject.zone)} --remove forgets it"
        )


def _tell_found(stored: Past, counter: Counter, subject: _Subject) -> None:
    """Name what the program still finds near it: perhaps that is what was meant."""
    for row in stored.chronicle.epochs(counter.name):
        if row.source == "found" and abs(row.at - subject.at) <= _NEAR_S:
            say(
                f"{counter.name}: a {row.kind} is still found at {iso(row.at, subject.zone)}, from"
                f" {figure(row.before)} to {figure(row.after)}; if you meant that one, give its"
                " time as --at"
            )
