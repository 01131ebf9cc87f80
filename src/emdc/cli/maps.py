"""`emdc map`: register maps listed, shown, checked, and planned into reads."""

from collections import Counter
from typing import Any, Final

from cyclopts import App

from emdc.cli.flags import DEBUG, MAPS_DIR, takes
from emdc.cli.lookup import find_map, maps_dir, own_values
from emdc.cli.terminal import print_table, say
from emdc.config.table import PANEL, Setting
from emdc.errors import ConfigError, RegisterMapError
from emdc.meters import library
from emdc.meters.plan import Batch, plan
from emdc.meters.register_map import Metric, RegisterMap

NAME: Final = Setting("", "name", "text", None, "Name of a map, or path of a spreadsheet")
FILE: Final = Setting("", "file", "text", None, "Path of a spreadsheet, or name of a map")
LIMITS: Final = tuple(row for row in PANEL if row.field in {"max_registers", "max_gap"})
_MAX_REGISTERS, _MAX_GAP = (
    Setting("", row.field, row.kind, None, row.help, row.low, row.high) for row in LIMITS
)

app = App(name="map", help="List, show and check register maps.", help_format="plaintext")


@app.command(name="list", sort_key=0)
@takes(MAPS_DIR, DEBUG)
def list_maps(**given: object) -> int:
    """Name every map: the shipped ones and those of your own folder."""
    folder = maps_dir(given)
    rows = [_summary(name, origin, given) for name, origin in library.names(folder)]
    print_table("Register maps", ("name", ">metrics", "model", "origin", "certainty"), rows)
    say(f"Your own maps: workbooks in {folder}")
    return 0


@app.command(sort_key=1)
@takes(MAPS_DIR, DEBUG, argument=NAME)
def show(name: str, /, **given: object) -> int:
    """Print every row of a map."""
    found = find_map(name, given)
    columns = ("metric", ">address", ">size", "type", ">scale", "unit", "kind", "details")
    print_table(_title(found), columns, [_row(metric) for metric in found.metrics])
    return 0


@app.command(sort_key=2)
@takes(MAPS_DIR, DEBUG, argument=FILE)
def check(file: str, /, **given: object) -> int:
    """Say whether a spreadsheet can be used; name all that is wrong with it."""
    found = find_map(file, given)
    _plan(found, {})
    for warning in found.warnings:
        say(f"warning: {warning}")
    count = len(found.warnings)
    warned = "" if not count else ", 1 warning" if count == 1 else f", {count} warnings"
    say(f"{file}: usable, {len(found.metrics)} metrics{warned}")
    return 0


@app.command(name="plan", sort_key=3)
@takes(MAPS_DIR, _MAX_REGISTERS, _MAX_GAP, DEBUG, argument=NAME)
def show_plan(name: str, /, **given: object) -> int:
    """Print the reads that a collection cycle sends to the meter."""
    found = find_map(name, given)
    batches = _plan(found, own_values((_MAX_REGISTERS, _MAX_GAP), given))
    columns = (">function", ">address", ">count", ">unused", ">metrics", "names")
    title = f"{_title(found)}: {len(batches)} reads"
    print_table(title, columns, [_read(batch) for batch in batches])
    return 0


def _plan(found: RegisterMap, limits: dict[str, Any]) -> tuple[Batch, ...]:
    """The batch reads. Raises ConfigError when a value is longer than a read may be."""
    registers, gap = limits.get("max_registers"), limits.get("max_gap")
    try:
        return plan(
            found.metrics,
            max_registers=registers or found.max_registers,
            max_gap=found.max_gap if gap is None else gap,
        )
    except ValueError as error:
        raise ConfigError(f"{found.name}: {error}: raise max_registers") from error


def _title(found: RegisterMap) -> str:
    model = " ".join(part for part in (found.vendor, found.model) if part)
    return f"{found.name} ({model})" if model else found.name


def _summary(name: str, origin: str, given: dict[str, object]) -> tuple[str, ...]:
    """A row of the list; a map with faults is named too, as such."""
    try:
        found = find_map(name if origin == library.SHIPPED else origin, given)
    except RegisterMapError as error:
        return (name, "", "", origin, f"{len(error.faults)} faults, see emdc map check")
    model = " ".join(part for part in (found.vendor, found.model) if part)
    return (name, str(len(found.metrics)), model, origin, _certainty(found))


def _certainty(found: RegisterMap) -> str:
    """How many metrics are sure: the first word of each certainty, counted."""
    said = Counter(
        "verified" if metric.certainty.startswith("verified") else "to be checked"
        for metric in found.metrics
        if metric.certainty
    )
    return ", ".join(f"{count} {word}" for word, count in said.most_common())


def _row(metric: Metric) -> tuple[str, ...]:
    details = {
        "function": metric.function_code if metric.function_code != 3 else None,
        "word order": metric.word_order if metric.word_order != "big" else None,
        "offset": metric.offset or None,
        "invalid": None if metric.invalid is None else f"0x{metric.invalid:X}",
        "minimum": metric.minimum,
        "maximum": metric.maximum,
        "interval": metric.interval_s,
        "code": metric.code if metric.code != "plain" else None,
        "ratio": metric.ratio or None,
        "": metric.certainty or None,
    }
    return (
        metric.name,
        str(metric.address),
        str(metric.size),
        metric.data_type.value,
        f"{metric.scale:g}",
        metric.unit,
        metric.kind,
        "; ".join(
            f"{name} {value}".strip() for name, value in details.items() if value is not None
        ),
    )


def _read(batch: Batch) -> tuple[str, ...]:
    """A row of the plan; registers that no metric of it uses are read for nothing."""
    used = {
        register
        for metric in batch.metrics
        for register in range(metric.address, metric.address + metric.size)
    }
    names = [metric.name for metric in batch.metrics]
    shown = ", ".join(names) if len(names) <= 6 else f"{', '.join(names[:5])} … {names[-1]}"
    numbers = (batch.function_code, batch.address, batch.count, batch.count - len(used), len(names))
    return (*(str(number) for number in numbers), shown)
