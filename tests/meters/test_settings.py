from typing import Any

import pytest

from emdc.meters.register_map import RegisterMap
from tests.meters import sheets


def meter(*lines: tuple[Any, ...]) -> bytes:
    return sheets.data(sheets.VOLTAGE, others={"Meter": lines})


def loaded(*lines: tuple[Any, ...]) -> RegisterMap:
    return sheets.parse(meter(*lines))


def test_the_sheet_says_what_holds_for_the_model() -> None:
    found = loaded(
        ("Key", "Value"),
        ("Model", "Nexus 1272"),
        ("vendor", "EIG"),
        (),
        ("Max Gap", 16),
        ("max_registers", 60.0),
        ("notes", None),
    )
    assert (found.model, found.vendor, found.max_gap, found.max_registers, found.warnings) == (
        *("Nexus 1272", "EIG", 16, 60),
        (),
    )


def test_an_unknown_setting_is_warned_of_with_the_nearest() -> None:
    assert loaded(("max_gab", 3)).warnings == (
        "Meter!A1: setting 'max_gab' is not known and ignored (did you mean max_gap?)",
    )


def test_a_setting_out_of_range_is_a_fault() -> None:
    assert sheets.fault(meter(("max_gap", 124))) == (
        "Meter!B1",
        "max_gap: 124, expected 0 to 123",
    )
    assert sheets.fault(meter(("max_registers", 0)))[0] == "Meter!B1"


def test_a_setting_twice_is_a_fault() -> None:
    assert sheets.fault(meter(("model", "a"), ("Model", "b")))[0] == "Meter!A2"


def test_a_metric_larger_than_one_read_is_a_fault() -> None:
    assert sheets.fault(meter(("max_registers", 1))) == (
        "Metrics!D2",
        "size 2, above max_registers 1",
    )


def test_a_sheet_without_values_changes_nothing() -> None:
    assert loaded(("notes",)).max_gap == 0
    assert loaded().model == ""


def test_faults_of_both_sheets_come_together() -> None:
    book = sheets.data((*sheets.VOLTAGE[:3], 3, 1, "INT32"), others={"Meter": [("max_gap", -1)]})
    assert [place for place, _ in sheets.faults(book)] == ["Metrics!D2", "Meter!B1"]


RATIO = ("prim", "", 10, 1, 1, "UINT16"), ("sec", "", 11, 1, 1, "UINT16")


def test_the_sheet_names_the_metrics_that_hold_a_ratio() -> None:
    lines = [("CT Ratio", "prim/sec"), ("pt_ratio", "prim")]
    found = sheets.parse(sheets.data(*RATIO, others={"Meter": lines}))
    assert (found.ct_ratio, found.pt_ratio, found.warnings) == ("prim/sec", "prim", ())


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("prim/x", "ct_ratio: 'prim/x', expected NAME or NAME/NAME of metrics of the map"),
        ("200", "ct_ratio: '200', expected NAME or NAME/NAME of metrics of the map"),
        ("text", "ct_ratio: 'text' is a text, expected a number"),
        ("sec/I", "ct_ratio: 'I' has a ratio itself, expected a metric without one"),
    ],
)
def test_a_ratio_of_something_else_is_a_fault(said: str, problem: str) -> None:
    book = sheets.data(
        *RATIO,
        ("text", "", 20, 4, 1, "STRING"),
        ("I", "", 30, 1, 1, "UINT16", "ct"),
        extra=("Ratio",),
        others={"Meter": [("ct_ratio", said)]},
    )
    assert sheets.fault(book) == ("Meter", problem)
