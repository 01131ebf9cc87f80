"""`emdc map`: register maps listed, shown, checked, and planned into reads."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cyclopts import App

from emdc.cli import described, plans
from emdc.cli.flags import DEBUG, MAPS_DIR, takes
from emdc.cli.lookup import find_map, maps_dir, own_values
from emdc.cli.terminal import is_narrow, print_table, say
from emdc.config.table import CONFIG, Setting
from emdc.errors import EmdcError, RegisterMapError
from emdc.meters import explain, library, lint, sunspec, workbook
from emdc.meters.reads import limits_of
from emdc.meters.register_map import Metric, RegisterMap

NAME: Final = Setting("", "name", "text", None, "Name of a map, or path of a spreadsheet")
OF_MAP: Final = Setting("", "name", "text", "", NAME.help)
FILE: Final = Setting("", "file", "text", None, "Path of a spreadsheet, or name of a map")
UNVERIFIED: Final = Setting(
    "", "unverified", "switch", False, "With the metrics of its sheet Unverified"
)
STRICT: Final = Setting(
    "", "strict", "switch", False, "Exit code 1 when there is a warning or a hint"
)

OUTPUT: Final = Setting("", "output", "path", None, "File to write, by default my-NAME.xlsx")

app = App(name="map", help="List, show, check and copy register maps.", help_format="plaintext")


@app.command(name="list", sort_key=0)
@takes(MAPS_DIR, DEBUG)
def list_maps(**given: object) -> int:
    """Name every map: the shipped ones and those of your own folder."""
    folder = maps_dir(given)
    rows = [_summary(name, origin, given) for name, origin in library.names(folder)]
    columns = ("name", "vendor", "model", ">metrics", ">unverified", "origin", "certainty")
    print_table("Register maps", columns, rows, spare=("origin", ">unverified", "vendor"))
    say(f"Your own maps: workbooks in {folder}")
    say("The map sunspec is what a device says of itself: emdc map show sunspec --host HOST")
    return 0


@app.command(sort_key=1)
@takes(MAPS_DIR, UNVERIFIED, described.HOST, described.UNIT, DEBUG, argument=NAME)
def show(name: str, /, **given: object) -> int:
    """Print every row of a map.

    The map sunspec is what a device says of itself, so it is asked:

        emdc map show sunspec --host 192.168.1.60 --unit 1
    """
    if name == sunspec.NAME:
        found = described.show(given)
    else:
        found = find_map(name, given, unverified=bool(given.get(UNVERIFIED.flag)))
    columns = ("metric", ">address", ">size", "type", ">scale", "unit", "kind", "details")
    print_table(plans.title(found), columns, map(_row, found.metrics), spare=("kind", ">size"))
    if found.notes:
        say(found.notes)
    return 0


@app.command(sort_key=2)
@takes(STRICT, MAPS_DIR, DEBUG, argument=FILE)
def check(file: str, /, **given: object) -> int:
    """Say whether a spreadsheet can be used, and what in it is suspicious.

    Faults make it unusable: exit code 2. Warnings and hints do not, and
    each names its cell and the mend; with --strict they give 1.
    """
    found = find_map(file, given, unverified=True)
    limits = limits_of(found)
    torn = explain.torn(plans.planned(found, limits), limits)
    warnings = [text for text in found.warnings if text != workbook.NONE_UNVERIFIED] + torn
    hints = lint.findings(found, _others(found))
    for warning in warnings:
        say(f"warning: {warning}")
    for hint in hints:
        say(f"hint: {hint}")
    counts = (
        f"{len(found.metrics) - len(found.unverified)} metrics",
        f"{len(found.unverified)} unverified" if found.unverified else "",
        _counted(len(warnings), "warning"),
        _counted(len(hints), "hint"),
    )
    say(f"{file}: usable, {', '.join(count for count in counts if count)}")
    return int(bool(given.get(STRICT.flag) and (warnings or hints)))


@app.command(sort_key=4)
@takes(OUTPUT, DEBUG, argument=NAME)
def copy(name: str, /, **given: object) -> int:
    """Write a shipped map as a spreadsheet of your own, to be changed."""
    content = library.shipped(name)
    given_file = own_values((OUTPUT,), given)[OUTPUT.flag]
    file = given_file or Path(f"my-{name.removesuffix('.xlsx')}.xlsx")
    try:
        with file.open("xb") as out:
            out.write(content)
    except FileExistsError as error:
        raise EmdcError(f"{file}: is there already; choose another --output") from error
    except OSError as error:
        raise EmdcError(f"{file}: {error.strerror}; choose another --output") from error
    say(f"{file}: a copy of the shipped map {name}")
    return 0


def _others(found: RegisterMap) -> list[RegisterMap]:
    """The shipped maps that this one is compared with: not itself."""
    shipped = [name for name, origin in library.names() if origin == library.SHIPPED]
    maps = [library.find(name, unverified=True) for name in shipped]
    return [one for one in maps if one.hash != found.hash]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}" if count else ""


@app.command(name="plan", sort_key=3, usage="Usage: emdc map plan [OPTIONS] [NAME]")
@takes(
    *(MAPS_DIR, UNVERIFIED, plans.MAX_REGISTERS, plans.MAX_GAP),
    *(plans.EXPLAIN, plans.METER, CONFIG, DEBUG),
    argument=OF_MAP,
)
def show_plan(name: str = "", /, **given: object) -> int:
    """Print the reads that a collection cycle sends to the meter.

    With --meter or --config the reads of configured meters that have this
    map, or of all, without what those have refused. A meter with the map
    sunspec is known once the daemon has found it.
    """
    plans.show(name, given, unverified=bool(given.get(UNVERIFIED.flag)))
    return 0


def _summary(name: str, origin: str, given: dict[str, object]) -> tuple[str, ...]:
    """A row of the list; a map with faults is named too, as such."""
    shown = origin if origin == library.SHIPPED else Path(origin).name
    try:
        found = find_map(name if origin == library.SHIPPED else origin, given, unverified=True)
    except RegisterMapError as error:
        return (name, "", "", "", "", shown, f"{len(error.faults)} faults, see emdc map check")
    metrics = [metric for metric in found.metrics if metric.name not in found.unverified]
    counts = (str(len(metrics)), str(len(found.unverified) or ""))
    return (name, found.vendor, found.model, *counts, shown, _certainty(metrics))


def _certainty(metrics: Sequence[Metric]) -> str:
    """How many metrics are how sure: what each certainty begins with, counted."""
    said = Counter(map(_how_sure, metrics))
    return ", ".join(f"{count} {words}" for words, count in said.most_common() if words)


def _how_sure(metric: Metric) -> str:
    """What its certainty begins with, without the reasons."""
    return re.split("[:;,(]", metric.certainty)[0].strip()


def _row(metric: Metric) -> tuple[str, ...]:
    sure = _how_sure(metric) if is_narrow() else metric.certainty
    details = {
        "function": metric.function_code if metric.function_code != 3 else None,
        "word order": metric.word_order if metric.word_order != "big" else None,
        "byte order": metric.byte_order if metric.byte_order != "big" else None,
        "bits": _bits(metric.bits) if metric.bits else None,
        "offset": _number(metric.offset or None),
        "invalid": ", ".join(f"0x{pattern:X}" for pattern in metric.invalid) or None,
        "minimum": _number(metric.minimum),
        "maximum": _number(metric.maximum),
        "rollover": _number(metric.rollover),
        "interval": _number(metric.interval_s),
        "code": metric.code if metric.code != "plain" else None,
        "scale register": metric.scale_register or None,
        "ratio": metric.ratio or None,
        "group": metric.group or None,
        "": "read for others" if metric.hidden else sure or None,
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


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.15g}"


def _bits(field: tuple[int, int]) -> str:
    first, last = field
    return str(first) if first == last else f"{first}-{last}"
