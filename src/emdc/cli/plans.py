"""The reads of a map, as `emdc map plan` prints them: of the map alone, or for meters that have it,
with what they taught.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from emdc import daemon, lessons
from emdc.cli.lookup import find_map, own_values
from emdc.cli.settings import load
from emdc.cli.terminal import print_table, say
from emdc.config import MeterSettings, Settings, check_meters
from emdc.config.table import CONFIG, PANEL, Setting
from emdc.errors import ConfigError
from emdc.meters import explain
from emdc.meters.learned import Lesson, Lessons
from emdc.meters.plan import Batch, plan, span_of
from emdc.meters.reads import Limits
from emdc.meters.register_map import RegisterMap

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
    """Print the reads of the map, once or for each of its meters that are asked for.

    Raises ConfigError when there is no such meter, or a value is longer than a read may be.
    """
    found = find_map(name, given, unverified=unverified)
    limits = own_values((MAX_REGISTERS, MAX_GAP), given)
    explained = bool(given.get(EXPLAIN.flag) or given.get(METER.flag) or given.get(CONFIG.flag))
    for subject in _subjects(name, found, given, limits):
        _print(subject, explained=explained)


def planned(found: RegisterMap, limits: Limits, known: Sequence[Lesson] = ()) -> tuple[Batch, ...]:
    """The reads of all metrics together. Raises ConfigError when a value is too long for one."""
    taught = Lessons(known)
    metrics = [metric for metric in found.metrics if span_of([metric]) not in taught.refused]
    try:
        return plan(
            metrics, taught.avoid, max_registers=limits.max_registers, max_gap=limits.max_gap
        )
    except ValueError as error:
        raise ConfigError(f"{found.name}: {error}: raise max_registers") from error


def limits_of(found: RegisterMap, registers: int | None = None, gap: int | None = None) -> Limits:
    """What one read may span: as given, else as the map says."""
    return Limits(registers or found.max_registers, found.max_gap if gap is None else gap)


def _subjects(
    name: str, found: RegisterMap, given: Mapping[str, object], limits: Mapping[str, Any]
) -> list[_Subject]:
    registers, gap = limits.get("max_registers"), limits.get("max_gap")
    if not (given.get(METER.flag) or given.get(CONFIG.flag)):
        return [_Subject(title(found), found, limits_of(found, registers, gap))]
    settings = load({CONFIG.flag: given.get(CONFIG.flag), "maps_dir": given.get("maps_dir")})
    check_meters(settings)
    only = given.get(METER.flag)
    chosen = tuple(m for m in settings.meters if only is None or m.name == only)
    plant = daemon.plan(msgspec.structs.replace(settings, meters=chosen)) if chosen else None
    subjects = [
        _of_meter(settings, meter, own, registers or meter.max_registers, _or(gap, meter.max_gap))
        for meter, own in zip(chosen, plant.maps if plant else (), strict=True)
        if own.hash == found.hash
    ]
    if not subjects:
        names = ", ".join(f"{meter.name} ({meter.map})" for meter in settings.meters[:10])
        which = f"{only!r} with the map {name}" if only else f"with the map {name}"
        raise ConfigError(f"--meter: no meter {which} is configured, expected one of {names}")
    return subjects


def _or(given: int | None, other: int | None) -> int | None:
    return other if given is None else given


def _of_meter(
    settings: Settings,
    meter: MeterSettings,
    own: RegisterMap,
    registers: int | None,
    gap: int | None,
) -> _Subject:
    path = lessons.file_of(settings)
    known = lessons.read(path, daemon.utc_now(), mend=False) if path else {}
    taught = known.get(meter.name)
    held = (own.hash, meter.unit, f"{meter.host}:{meter.port}")
    same = taught is not None and (taught.map_hash, taught.unit, taught.address) == held
    return _Subject(
        f"{meter.name}: {title(own)}",
        own,
        limits_of(own, registers, gap),
        taught.lessons if taught and same else (),
        str(path or "nothing, as the database is in memory"),
    )


def _print(subject: _Subject, *, explained: bool) -> None:
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
