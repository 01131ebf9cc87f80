"""The meters that maps are shipped for, from the data in tools/meters. Used by make_maps.

A meter is two files of one name: `facts/NAME.csv`, what its registers are and who says so, and
`models/NAME.toml`, what holds for the meter as a whole and what a map must say beyond the facts.
`names.csv` says what the name of a metric means, for all meters alike. Adding a meter needs no
code; tools/meters/README.md describes the files.
"""

import csv
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final, NamedTuple

DATA: Final = Path(__file__).resolve().parent / "meters"
VERIFIED: Final = "Metrics"
UNVERIFIED: Final = "Unverified"

Row = dict[str, Any]
"""One row of a map by field: those of facts, names and changes together."""

LEVELS: Final = ("verified", "vendor text", "single source", "inferred", "unverified")
"""How sure a row is: the words that its certainty begins with, best first."""
_NOTHING_VERIFIES: Final = frozenset({"inferred", "unverified"})

_FACTS: Final = ("type", "word_order", "scale", "unit", "function_code", "certainty")
_CHANGES: Final = frozenset(
    {"name", "description", "sheet", "left_out", "kind", "code", "bits", "byte_order"}
    | {"ratio", "invalid", "minimum", "maximum", "interval", "group", "offset", "scale_register"}
    | {"rollover", *_FACTS}
)
_METER: Final = frozenset(
    {"vendor", "model", "units", "max_gap", "max_registers", "address_base"}
    | {"ct_ratio", "pt_ratio", "notes"}
)


class Meter(NamedTuple):
    """One shipped map: what its sheets hold."""

    name: str
    about: dict[str, Any]
    """The sheet Meter."""
    verified: list[Row]
    unverified: list[Row]
    left_out: dict[str, str]
    """Facts that no row was made of, and why."""

    @property
    def rows(self) -> list[Row]:
        """All rows, those of both sheets."""
        return self.verified + self.unverified


def meters() -> list[Meter]:
    """Every meter that has a file in models, by name."""
    names = {row["metric"]: row for row in table(DATA / "names.csv")}
    return [_meter(path, names) for path in sorted((DATA / "models").glob("*.toml"))]


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def level(certainty: str) -> str:
    """How sure a row is, one of LEVELS."""
    return LEVELS[LEVELS.index(re.split("[:;]", certainty)[0])]


def levels(rows: Iterable[Row]) -> str:
    """How many rows are how sure, such as `30 verified, 5 single source`."""
    found = Counter(level(row["certainty"]) for row in rows)
    return ", ".join(f"{found[word]} {word}" for word in LEVELS if found[word])


def function_codes(rows: Iterable[Row]) -> str:
    """Function codes that answer, such as `3 or 4`, or `3; 4` when each row has its own."""
    found = dict.fromkeys(row["answers"] for row in rows)
    return "; ".join(" or ".join(codes.split(";")) for codes in found)


def _meter(path: Path, names: Mapping[str, Row]) -> Meter:
    name = path.stem
    model = tomllib.loads(path.read_text(encoding="utf-8"))
    changes, invalid = model.pop("metrics", {}), model.pop("invalid", {})
    _refuse(path, model.keys() - _METER, "unknown keys")
    facts = table(DATA / "facts" / f"{name}.csv")
    for pattern, change in changes.items():
        _refuse(path, change.keys() - _CHANGES, f"{pattern}: unknown keys")
        if not any(fnmatchcase(fact["metric"], pattern) for fact in facts):
            _refuse(path, {pattern}, "no fact is called")
    left_out: dict[str, str] = {}
    rows = []
    for fact in facts:
        row = _row(fact, names, changes)
        if "left_out" in row:
            left_out[fact["metric"]] = row["left_out"]
        else:
            row.setdefault("invalid", invalid.get(row["type"], ""))
            rows.append(row)
    order = list(names)
    rows.sort(key=lambda row: order.index(row["name"]))
    sheets = {
        sheet: [row for row in rows if row["sheet"] == sheet] for sheet in (VERIFIED, UNVERIFIED)
    }
    about = dict(_about(model, rows))
    return Meter(name, about, sheets[VERIFIED], sheets[UNVERIFIED], left_out)


def _row(fact: Row, names: Mapping[str, Row], changes: Mapping[str, Row]) -> Row:
    """A fact with what its name means, and what the model's file changes, the last one counting."""
    change: Row = {}
    for pattern, found in changes.items():
        if fnmatchcase(fact["metric"], pattern):
            change |= found
    name = str(change.get("name", fact["metric"]))
    meaning = {} if "left_out" in change else names[name]
    row = {**fact, **meaning, "name": name, "answers": fact["function_code"], **change}
    register = re.search(r"\[vendor register \d+\]", fact["description"])
    row["description"] = f"{row['description']} {register[0] if register else ''}".strip()
    row["kind"] = (
        "text" if row["type"] == "STRING" else row.get("kind", "").replace("text", "gauge")
    )
    unsure = level(row["certainty"]) in _NOTHING_VERIFIES
    row.setdefault("sheet", UNVERIFIED if unsure else VERIFIED)
    return row


def _about(model: Row, rows: list[Row]) -> Iterator[tuple[str, Any]]:
    """The rows of the sheet Meter: what the file says, and what its metrics add up to."""
    yield from ((key, value) for key, value in model.items() if key != "notes")
    yield "function_codes", function_codes(rows)
    yield "notes", model["notes"]
    yield "certainty", levels(rows)
    sources = dict.fromkeys(part.strip() for row in rows for part in row["sources"].split(";"))
    yield "sources", "; ".join(sources)


def _refuse(path: Path, what: Iterable[str], problem: str) -> None:
    if found := ", ".join(sorted(what)):
        raise SystemExit(f"{path.name}: {problem} {found}")
