"""The page docs/meters.md: which meters have a map, and how sure it is. Used by make_maps."""

from collections.abc import Iterator
from typing import Final

import meter_facts
from meter_facts import Meter, Row

HEAD: Final = """# Meters with a shipped map

This page is written by `python tools/make_maps.py` from the files in `tools/meters`; do not edit
it.

`emdc map list` prints the same list, `emdc map show NAME` every row of a map with its certainty,
and `emdc map plan NAME` the reads that it makes. What a map is, and how to write your own:
[maps.md](maps.md).

**Nothing here was read from a meter by us.** The facts come from vendors' documents and from other
programs that read these meters. How sure a row is, best first:

| Certainty | Means |
|---|---|
| verified | two independent sources agree, a vendor's document among them or two programs |
| vendor text | the vendor says so, for a sister model perhaps; no program that does it was seen |
| single source | one program or list says so |
| inferred | no source says so; it follows from its neighbours or from a sister model |
| unverified | from general knowledge, or what the sources say is in dispute |

Rows that are inferred or unverified stand in a sheet of their own, `Unverified`. They are read
only when the meter's setting `unverified` is on, or `emdc map … --unverified` asks for them.
Compare them with the meter's display before you trust them. The exceptions are pf_B, pf_C and
Angle_V_CN of `eaton-pxm-4000`, which stand in `Metrics`: users of the collector before EMDC rely
on these names.
"""

SUNSPEC: Final = """## SunSpec

Inverters and meters that speak SunSpec need no map of their own: `map = "sunspec"`. Their registers
are counted from the start of a model, and where a model starts differs between devices, and between
versions of one device's firmware. A workbook with fixed addresses would read the wrong registers on
some, so none is shipped. The facts of the models 1, 101 to 103, 111 to 113, 201 to 204 and 211 to
214 stand in `tools/meters/facts/sunspec-*.csv`.
"""

NAMES: Final = """## What the names mean

The same names mean the same in all maps, as far as their sources say what they mean. Units are V,
A, W, VAR, VA, Wh, VARh, VAh, Hz, deg and %, whatever the meter sends. `_A`, `_B` and `_C` are the
phases, also called L1, L2 and L3. *Delivered* is from the grid to the load (import), *received*
from the load to the grid (export).

"""


def page(meters: list[Meter]) -> str:
    """The whole page."""
    return "\n".join(
        [HEAD, *_overview(meters), "", *_details(meters), SUNSPEC, NAMES + _names(meters)]
    )


def _overview(meters: list[Meter]) -> Iterator[str]:
    rows = sum(len(meter.verified) for meter in meters)
    asked = sum(len(meter.unverified) for meter in meters)
    yield f"{len(meters)} maps, {rows} metrics, and {asked} unverified ones.\n"
    yield "| Map | Vendor | Model | Metrics | Unverified | Function codes | Certainty |"
    yield "|---|---|---|--:|--:|---|---|"
    for meter in meters:
        about = meter.about
        cells = (
            *(f"[`{meter.name}`](#{meter.name})", about["vendor"], about["model"]),
            *(str(len(meter.verified)), str(len(meter.unverified) or "")),
            *(about["function_codes"], meter_facts.levels(meter.verified)),
        )
        yield f"| {' | '.join(cells)} |"


def _details(meters: list[Meter]) -> Iterator[str]:
    for meter in meters:
        about = meter.about
        yield f"## {meter.name}\n"
        yield f"{about['vendor']}: {about['model']}.\n"
        yield f"{about['notes']}\n"
        yield f"- {_limits(meter)}"
        if meter.unverified:
            yield f"- Unverified: {_list(meter.unverified)}"
        for reason in dict.fromkeys(meter.left_out.values()):
            names = [name for name, why in meter.left_out.items() if why == reason]
            yield f"- Left out: {', '.join(names)}: {reason}"
        yield f"- Sources: {about['sources']}\n"


def _limits(meter: Meter) -> str:
    about = meter.about
    holes = (
        f"and cross holes of up to {about['max_gap']}" if about["max_gap"] else "and cross no hole"
    )
    said = f"Reads are of {about['max_registers']} registers at most {holes}."
    if "ct_ratio" in about:
        said += " `ct_ratio` and `pt_ratio` may be `meter`."
    return said


def _list(rows: list[Row]) -> str:
    return ", ".join(row["name"] for row in rows)


def _names(meters: list[Meter]) -> str:
    used = {row["name"] for meter in meters for row in meter.rows}
    lines = ["| Name | Unit | Kind | |", "|---|---|---|---|"]
    lines += [
        f"| {row['metric']} | {row['unit']} | {row['kind']} | {row['description']} |"
        for row in meter_facts.table(meter_facts.DATA / "names.csv")
        if row["metric"] in used
    ]
    return "\n".join(lines) + "\n"
