"""Each rule of the linter: a sheet that it speaks of, with the cell, and one that it accepts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from emdc.meters import library, lint, lint_rows
from emdc.meters.register_map import RegisterMap
from tests.meters.sheets import data, parse, row

OPTIONAL = {
    **{"unit": "Unit", "kind": "Kind", "ratio": "Ratio", "invalid": "Invalid"},
    **{"function_code": "Function Code", "word_order": "Word Order", "byte_order": "Byte Order"},
    **{"interval_s": "Interval (s)", "group": "Group", "code": "Code"},
}
SHIPPED = [library.find(name, unverified=True) for name, _ in library.names()]
NEXUS = library.find("nexus-1272")

KNOWN_SUSPICIONS = {"ion-6200": ["both meant?"]}
"""What the linter says of shipped maps: their facts are so."""


def sheet(
    *rows: Mapping[str, Any], others: Mapping[str, Sequence[Sequence[Any]]] | None = None
) -> RegisterMap:
    """A map of these rows: a voltage in V, with some of its cells changed.

    Metrics follow one another unless an address is given.
    """
    extra = sorted({field for one in rows for field in one if field in OPTIONAL} | {"unit"})
    lines = []
    for number, one in enumerate(rows):
        cells = {"address": 100 + 2 * number, "description": "", "unit": "V", **one}
        lines.append([*row(**cells), *(cells.get(field) for field in extra)])
    return parse(data(*lines, extra=[OPTIONAL[field] for field in extra], others=others or {}))


def found(subject: RegisterMap, known: Sequence[RegisterMap] = ()) -> list[str]:
    return [str(one) for one in lint.findings(subject, known)]


def only(subject: RegisterMap, known: Sequence[RegisterMap] = ()) -> str:
    hints = found(subject, known)
    assert len(hints) == 1, hints
    return hints[0]


def phases(*changes: Mapping[str, Any]) -> RegisterMap:
    """Three phase voltages, some of their cells changed."""
    names = ("Voltage_AN", "Voltage_BN", "Voltage_CN")
    return sheet(*({"name": name, **one} for name, one in zip(names, changes, strict=True)))


# One row by itself: (a row, the cell that is meant, what is said), (a row that is fine)

ROWS: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "unit": [
        ({"unit": "A"}, "G", "Voltage_AN in A, expected V"),
        ({"name": "W", "unit": "kVA"}, "G", "W in kVA, expected W"),
        ({"name": "pf", "unit": "V", "scale": 0.001}, "G", "pf in V, expected none"),
        ({"name": "freq", "unit": "V"}, "G", "freq in V, expected Hz"),
        ({"name": "Current_A", "unit": "%"}, "G", "Current_A in %, expected A"),
    ],
    "kind": [
        (
            {"name": "Wh_delivered", "unit": "Wh", "kind": "gauge"},
            "G",
            "only grows, and Kind is gauge: write counter",
        ),
        ({"name": "W", "unit": "W", "kind": "counter"}, "G", "Kind is counter: write gauge"),
        (
            {"name": "Wh_net", "unit": "Wh", "kind": "counter"},
            "G",
            "Wh_net goes up and down, and Kind is counter: write gauge",
        ),
    ],
    "ratio": [
        ({"ratio": "ct"}, "G", "Voltage_AN with the ratio ct: write pt"),
        ({"name": "W", "unit": "W", "ratio": "ct"}, "G", "write ct*pt"),
        ({"name": "freq", "unit": "Hz", "ratio": "pt"}, "G", "empty the cell"),
    ],
    "float_scale": [
        ({"data_type": "FLOAT32", "scale": 2**-16}, "E", "holds the value itself: write 1"),
    ],
    "scale": [
        ({"scale": 1}, "E", "steps of 1 V, expected at most 0.5"),
        ({"name": "freq", "unit": "Hz", "scale": 1}, "E", "steps of 1 Hz"),
        ({"name": "pf", "unit": None, "scale": 0.1}, "E", "steps of 0.1, expected"),
        ({"data_type": "INT16", "size": 1, "scale": 0.001}, "E", "reaches 32.8 V"),
        (
            {"name": "freq", "unit": "Hz", "data_type": "UINT8", "size": 1, "scale": 0.1},
            "E",
            "25.5",
        ),
    ],
    "invalid": [
        ({"invalid": "0x8000"}, "G", "0x8000 has 16 bits, the value has 32: expected"),
        (
            {"data_type": "INT64", "size": 4, "invalid": "0x80000000"},
            "G",
            "has 32 bits, the value has 64",
        ),
        (
            {"data_type": "FLOAT32", "scale": 1, "invalid": "0x7FFF"},
            "G",
            "0x7fff has 16 bits, the value has 32: NaN needs no entry",
        ),
        ({"data_type": "FLOAT32", "scale": 1, "invalid": "0x3F800000"}, "G", "the number 1 as"),
        ({"invalid": 0}, "G", "0 in Invalid hides every true 0"),
    ],
}
FINE: list[dict[str, Any]] = [
    {"unit": "kV", "scale": 0.0001},
    {"name": "Voltage_imbalance", "unit": "%"},
    {"name": "pf", "unit": "%", "scale": 1, "data_type": "INT16", "size": 1},
    {"name": "Angle_V_AN", "unit": "rad"},
    {"name": "Wh_net", "unit": "Wh", "kind": "gauge"},
    {"name": "Wh_delivered", "unit": "Wh", "kind": "counter", "ratio": "ct*pt"},
    {"ratio": "pt"},
    {"name": "Voltage_LL_avg", "scale": 1},
    {"data_type": "FLOAT32", "scale": 1000},
    {"name": "pf", "unit": None, "data_type": "UINT16", "size": 1, "code": "f8_pf", "scale": 0.001},
    {"name": "freq", "unit": "Hz", "data_type": "UINT16", "size": 1, "scale": 0.1},
    {"invalid": "0x80000000"},
    {"data_type": "INT16", "size": 1, "scale": 0.1, "invalid": "0x8000"},
    {"data_type": "FLOAT32", "scale": 1, "invalid": "0x7FC00000"},
    {"name": "Something", "unit": "furlong", "scale": 1},
]


def test_every_rule_on_rows_is_tried_here() -> None:
    assert set(ROWS) == {rule.__name__ for rule in lint_rows.RULES}


@pytest.mark.parametrize(
    ("rule", "cells", "column", "text"),
    [(rule, *case) for rule, cases in ROWS.items() for case in cases],
)
def test_a_suspicious_row_is_named_with_its_cell_and_the_mend(
    rule: str, cells: dict[str, Any], column: str, text: str
) -> None:
    # The optional columns stand behind the first six in alphabetical order: Unit is the last.
    extra = sorted({field for field in cells if field in OPTIONAL} | {"unit"})
    fields = {"unit": "unit", "kind": "kind", "ratio": "ratio", "invalid": "invalid"}
    letter = chr(ord("G") + extra.index(fields[rule])) if column == "G" else column
    hint = only(sheet(cells))
    assert hint.startswith(f"Metrics!{letter}2: ")
    assert text in hint


@pytest.mark.parametrize("cells", FINE)
def test_a_row_that_may_be_so_is_left_in_peace(cells: dict[str, Any]) -> None:
    assert found(sheet(cells)) == []


# Rows together


def shifted(subject: RegisterMap, by: int) -> RegisterMap:
    moved = (replace(metric, address=metric.address + by) for metric in subject.metrics)
    return replace(subject, metrics=tuple(moved), places={}, address_base=None)


@pytest.mark.parametrize(
    ("by", "text"),
    [
        (1, "shared with the map nexus-1272 differ alike, counted from 1: write address_base 1 in"),
        (-1, "one too low: add 1"),
        (40_001 - 65_536, ""),
        (40_001, "register numbers: subtract 40001"),
        (7, ""),
        (0, ""),
    ],
)
def test_addresses_are_compared_with_the_shipped_maps(by: int, text: str) -> None:
    hints = found(shifted(NEXUS, by), SHIPPED)
    assert any(text in hint for hint in hints) if text else hints == []


def test_a_copy_with_one_row_of_its_own_is_not_said_to_be_shifted() -> None:
    first, *others = shifted(NEXUS, 1).metrics
    mixed = replace(
        NEXUS, metrics=(replace(first, address=400), *others), places={}, address_base=None
    )
    assert [hint for hint in found(mixed, SHIPPED) if "differ alike" in hint] == []


def test_addresses_that_are_meant_as_they_stand_are_not_compared() -> None:
    meant = replace(shifted(NEXUS, 1), address_base=0)
    assert found(meant, SHIPPED) == []


def test_the_few_addresses_that_a_known_map_has_elsewhere_are_named() -> None:
    first, second, *others = NEXUS.metrics
    mixed = (first, replace(second, address=400), *others)
    hint = next(one for one in found(replace(NEXUS, metrics=mixed), SHIPPED) if "nearly" in one)
    assert hint.startswith(f"Metrics!C3: {second.name} at 400, and at {second.address} in the map ")
    half = [replace(one, address=one.address + 7 * (n % 2)) for n, one in enumerate(NEXUS.metrics)]
    hints = found(replace(NEXUS, metrics=tuple(half)), SHIPPED)
    assert [one for one in hints if "nearly" in one] == []


@pytest.mark.parametrize(("first", "warned"), [(30_001, True), (29_000, False), (32_774, False)])
def test_numbers_of_input_registers_are_known(first: int, warned: bool) -> None:
    hints = found(sheet({"address": first}, {"name": "freq", "unit": "Hz", "address": first + 2}))
    assert [("write Function Code 4" in hint, hint[:11]) for hint in hints] == (
        [(True, "Metrics!C2:")] if warned else []
    )


def test_input_registers_that_are_meant_so_are_left_in_peace() -> None:
    meant = {"Meter": [["address_base", 0]]}
    assert found(sheet({"address": 30_001}, others=meant)) == []


def test_units_that_are_missing_are_asked_for_once_when_there_is_none() -> None:
    bare = sheet({"unit": None}, {"name": "freq", "unit": None})
    assert only(bare) == "Metrics!A2: no metric has a unit: add a column Unit, such as V, A, W, Wh"


def test_a_unit_that_is_missing_in_one_row_is_asked_for_there() -> None:
    assert only(sheet({}, {"name": "freq", "unit": None})) == (
        "Metrics!G3: freq has no unit: write Hz"
    )


@pytest.mark.parametrize(
    ("changes", "column", "text"),
    [
        ({"data_type": "UINT32"}, "F", "Data Type of Voltage_CN is UINT32, that of Voltage_AN, "),
        ({"scale": 0.1}, "E", "Scaling Factor of Voltage_CN is 0.1"),
        ({"unit": "kV", "scale": 2**-16}, "G", "Unit of Voltage_CN is kV"),
        ({"address": 105}, "C", "100, 102, 105: not evenly spaced"),
    ],
)
def test_a_phase_unlike_its_siblings_is_named(
    changes: dict[str, Any], column: str, text: str
) -> None:
    hint = only(phases({}, {}, changes))
    assert hint.startswith(f"Metrics!{column}4: ")
    assert text in hint


def test_phases_that_are_read_at_other_times_are_named() -> None:
    hint = only(phases({"interval_s": 1}, {"interval_s": 1}, {"interval_s": 60}))
    assert "Interval of Voltage_CN is 60" in hint


def test_two_phases_without_the_third_are_named() -> None:
    pair = sheet({"name": "Voltage_AN"}, {"name": "Voltage_BN"})
    assert only(pair) == "Metrics!A3: Voltage_AN and Voltage_BN without CN: is a row missing?"


@pytest.mark.parametrize(
    "subject", [phases({}, {}, {}), phases({}, {}, {"address": 200}), sheet({"name": "W_A"})]
)
def test_phases_that_are_alike_or_alone_are_left_in_peace(subject: RegisterMap) -> None:
    assert [hint for hint in found(subject) if "Voltage" in hint] == []


def test_a_word_order_unlike_the_others_is_named() -> None:
    little = {"word_order": "little"}
    names = ({"name": "W", "unit": "W"}, {"name": "VA", "unit": "VA"}, {"name": "Serial"})
    hint = only(sheet({"word_order": None}, names[0], names[1], {**names[2], **little}))
    assert hint.startswith("Metrics!H5: Word Order of whole numbers of several registers is little")


def test_floats_and_whole_numbers_may_differ_in_their_order() -> None:
    real = {"data_type": "FLOAT32", "scale": 1, "word_order": "little"}
    assert found(sheet({}, {"name": "W", "unit": "W", **real})) == []


def test_a_byte_order_unlike_the_others_is_named() -> None:
    hint = only(
        sheet(
            {}, {"name": "W", "unit": "W"}, {"name": "freq", "unit": "Hz", "byte_order": "little"}
        )
    )
    assert hint.startswith("Metrics!G4: Byte Order is little for freq and big for 2 others")


def test_secondary_values_without_a_ratio_are_named_once() -> None:
    said = {"description": "1s voltage (Secondary)"}
    bare = phases(said, said, said)
    assert only(bare).startswith("Metrics!B2: Voltage_AN and 2 others called secondary")
    ratio = {**said, "ratio": "pt"}
    assert found(phases(ratio, ratio, ratio)) == []


def test_a_group_with_two_intervals_is_named() -> None:
    apart = sheet(
        {"group": "power", "interval_s": 1},
        {"name": "W", "unit": "W", "group": "power", "interval_s": 60},
    )
    assert "group 'power' has several intervals" in only(apart)


def test_of_many_alike_the_first_are_listed_and_the_rest_counted() -> None:
    many = sheet(*({"name": f"W_x{number}", "unit": "V"} for number in range(9)))
    hints = found(many)
    assert len(hints) == lint.SHOWN + 1
    assert hints[-1] == "Metrics: and 4 more like it"


# Whole maps


@pytest.mark.parametrize("subject", SHIPPED, ids=lambda one: one.name)
def test_shipped_maps_raise_no_false_alarm(subject: RegisterMap) -> None:
    hints = found(subject, [one for one in SHIPPED if one is not subject])
    expected = KNOWN_SUSPICIONS.get(subject.name, [])
    assert len(hints) == len(expected), hints
    assert all(text in hint for text, hint in zip(expected, hints, strict=True))


def test_the_eaton_sheet_of_the_old_collector_is_seen_through() -> None:
    eaton = {metric.name: metric.address for metric in library.find("eaton-pxm-4000").metrics}
    wrong = {"pf_B": 4690, "pf_C": 4690, "Angle_V_CN": 11461}
    old = [
        row(name=name, description="(Secondary)", address=address, scale=1, data_type="FLOAT32")
        for name, address in (eaton | wrong).items()
        if not name.endswith("h") and "Wh" not in name and "VAR" not in name
    ]
    subject = parse(data(*old))
    shared = [text for text in subject.warnings if "lies on registers of" in text]
    assert len(shared) == 3
    assert any("pf_C lies on registers of pf_B" in text for text in shared)
    assert any("Angle_V_CN lies on registers of Angle_V_BN" in text for text in shared)
    hints = found(subject, SHIPPED)
    assert [hint.partition(": ")[2].split(",")[0] for hint in hints[:3]] == [
        "pf_B at 4690",
        "pf_C at 4690",
        "Angle_V_CN at 11461",
    ]
    assert all(f"at {eaton[name]} in the map eaton-pxm-4000" in " ".join(hints) for name in wrong)
    assert any("called secondary" in hint for hint in hints)
    assert any("no metric has a unit" in hint for hint in hints)
    assert any("Angle_V_AN, Angle_V_BN, Angle_V_CN" in hint for hint in hints)
