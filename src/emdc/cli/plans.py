"""The reads of a map, as `emdc map plan` prints them: of the map alone, or for meters that have it,
with what they taught.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from emdc import daemon, discoveries, lessons
from emdc.cli.lookup import find_map, own_values
from emdc.cli.settings import load
from emdc.cli.terminal import print_table, say
from emdc.config import check_meters
from emdc.config.table import CONFIG, PANEL, Setting
from emdc.errors import ConfigError
from emdc.meters import explain, sunspec
from emdc.meters.learned import Lesson, Lessons
from emdc.meters.plan import Batch
from emdc.meters.reads import Limits, limits_of, reads_of, reads_without, want
from emdc.meters.register_map import RegisterMap
from emdc.meters.words import NO_RATIOS

MAX_REGISTERS, MAX_GAP = (
    Setting("", row.field, row.kind, None, row.help, row.low, row.high)
    for row in PANEL
    if row.field in {"max_registers", "max_gap"}
)
EXPLAIN: Final = Setting(
    "", "explain", "switch", False, "Say why each read is as it is, and what the meter refused"
)
METER: Final = Setting(
    "", "meter", "text", None, "Plan for the meter of this name, with what it taught"
)


class _Subject(NamedTuple):
    """What is planned for: a map, for one of its meters or for none."""

    title: str
    map: RegisterMap
    limits: Limits
    lessons: Sequence[Lesson] = ()
    source: str = ""
    """The file that its lessons are from."""


def show(name: str, given: Mapping[str, object], *, unverified: bool) -> None:
    """Print the reads of the map, once or for each of its meters that are asked for; without a
    name for each meter of the configuration.

    Raises ConfigError when there is no such meter, or a value is longer than a read may be.
    """
    limits = own_values((MAX_REGISTERS, MAX_GAP), given)
    of_meters = bool(given.get(METER.flag) or given.get(CONFIG.flag))
    if not name and not of_meters:
        raise ConfigError("NAME: missing, expected a map, or --config=FILE for that of its meters")
    # The meters of a configuration that describe themselves have maps of their own.
    described = of_meters and name == sunspec.NAME
    found = find_map(name, given, unverified=unverified) if name and not described else None
    if found is not None and not of_meters:
        subjects = [_Subject(title(found), found, limits_of(found, **limits))]
    else:
        subjects = _subjects(name, found, given, limits)
    for subject in subjects:
        _print(subject, explained=of_meters or bool(given.get(EXPLAIN.flag)))


def planned(found: RegisterMap, limits: Limits, known: Sequence[Lesson] = ()) -> tuple[Batch, ...]:
    """The reads of all metrics together. Raises ConfigError when a value is too long for one."""
    names = want(metric.name for metric in found.metrics)
    taught = Lessons(known)
    try:
        whole = reads_of(found, names, unit=1, ratios=NO_RATIOS, limits=limits)
    except ValueError as error:
        raise ConfigError(f"{found.name}: {error}") from error
    if known:
        whole = reads_without(whole, limits, taught.avoid, frozenset(taught.refused))
    return tuple(read.batch for read in whole.reads)


def _subjects(
    name: str, found: RegisterMap | None, given: Mapping[str, object], limits: Mapping[str, Any]
) -> list[_Subject]:
    """The meters of the configuration that are asked for."""
    settings = load({CONFIG.flag: given.get(CONFIG.flag), "maps_dir": given.get("maps_dir")})
    check_meters(settings)
    only, now = given.get(METER.flag), daemon.utc_now()
    chosen = tuple(
        meter
        for meter in settings.meters
        if only in (None, meter.name) and (name != sunspec.NAME or meter.map == name)
    )
    plant = daemon.plan(msgspec.structs.replace(settings, meters=chosen)) if chosen else None
    described = discoveries.maps_of(discoveries.known(settings, now, mend=False))
    path = lessons.FILE.path(settings)
    known = lessons.read(path, now, mend=False)
    subjects = []
    for meter, of_settings in zip(chosen, plant.maps if plant else (), strict=True):
        own = described.get(meter.name, of_settings)
        if found is None or own.hash == found.hash:
            its = {flag: _or(value, getattr(meter, flag)) for flag, value in limits.items()}
            taught = lessons.of(known, meter, own)
            source = str(path or "nothing, as the database is in memory")
            its_title = f"{meter.name}: {title(own)}"
            subjects.append(_Subject(its_title, own, limits_of(own, **its), taught, source))
    if not subjects:
        names = ", ".join(f"{meter.name} ({meter.map})" for meter in settings.meters[:10])
        wanted = " with ".join(
            part
            for part in (f"{only!r}" if only else "", f"the map {name}" if name else "")
            if part
        )
        raise ConfigError(f"--meter: no meter {wanted} is configured, expected one of {names}")
    return subjects


def _or(given: int | None, other: int | None) -> int | None:
    return other if given is None else given


def _print(subject: _Subject, *, explained: bool) -> None:
    if not subject.map.metrics:
        say(f"{subject.title}: has not said yet what it holds; emdc map show sunspec asks it")
        return
    batches = planned(subject.map, subject.limits, subject.lessons)
    columns = [">function", ">address", ">count", ">unused", ">metrics", "names"]
    rows = [_row(batch) for batch in batches]
    if explained:
        columns.append("why")
        why = explain.reasons(batches, subject.limits, subject.lessons)
        rows = [[*row, reason] for row, reason in zip(rows, why, strict=True)]
    print_table(f"{subject.title}: {len(batches)} reads", columns, rows)
    for sentence in explain.torn(batches, subject.limits):
        say(sentence)
    for sentence in explain.taught(subject.lessons, subject.map):
        say(f"learned: {sentence}")
    if subject.source and not subject.lessons:
        say(f"learned: nothing yet, by {subject.source}")


def title(found: RegisterMap) -> str:
    """The map's name, and the meter that it is for."""
    model = " ".join(part for part in (found.vendor, found.model) if part)
    return f"{found.name} ({model})" if model else found.name


def _row(batch: Batch) -> list[str]:
    """A row of the plan; registers that no metric of it uses are read for nothing."""
    used = {
        register
        for metric in batch.metrics
        for register in range(metric.address, metric.address + metric.size)
    }
    names = [metric.name for metric in batch.metrics]
    shown = ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} … {names[-1]}"
    numbers = (batch.function_code, batch.address, batch.count, batch.count - len(used), len(names))
    return [*(str(number) for number in numbers), shown]
