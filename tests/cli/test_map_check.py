"""`emdc map check`: what it prints of suspicions, and its exit codes."""

from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.meters import library
from tests.meters.sheets import VOLTAGE, data, row

UNIT = ("Unit",)
CLEAN = [*VOLTAGE, "V"]
SHIPPED = [name for name, _ in library.names()]


def written(folder: Path, book: bytes) -> str:
    file = folder / "mine.xlsx"
    file.write_bytes(book)
    return str(file)


def test_a_hint_names_the_cell_and_leaves_the_map_usable(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = written(tmp_path, data([*VOLTAGE, "A"], extra=UNIT))
    assert execute(["map", "check", file]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "hint: Metrics!G2: Voltage_AN in A, expected V: mend the unit or the name",
        f"{file}: usable, 1 metrics, 1 hint",
    ]
    assert printed.err == ""


def test_with_strict_a_hint_is_1(tmp_path: Path) -> None:
    file = written(tmp_path, data([*VOLTAGE, "A"], extra=UNIT))
    assert execute(["map", "check", "--strict", file]) == 1


def test_with_strict_a_warning_is_1(tmp_path: Path) -> None:
    file = written(tmp_path, data(CLEAN, [None] * 7, [*row(name="x", address=9), "x"], extra=UNIT))
    assert execute(["map", "check", file]) == 0
    assert execute(["map", "check", "--strict", file]) == 1


def test_with_strict_a_clean_map_is_0(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = written(tmp_path, data(CLEAN, extra=UNIT))
    assert execute(["map", "check", "--strict", file]) == 0
    assert capsys.readouterr().out == f"{file}: usable, 1 metrics\n"


def test_with_strict_a_fault_is_still_2(tmp_path: Path) -> None:
    file = written(tmp_path, data(row(size=3)))
    assert execute(["map", "check", "--strict", file]) == 2


def test_a_map_that_is_one_address_off_a_shipped_one_is_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [
        [one.name, "", one.address + 1, one.size, one.scale, one.data_type.value, one.unit]
        for one in library.find("eaton-pxm-4000").metrics[:12]
    ]
    assert execute(["map", "check", written(tmp_path, data(*rows, extra=UNIT))]) == 0
    hint = capsys.readouterr().out.splitlines()[0]
    assert hint.startswith("hint: Metrics!C2: all 12 addresses shared with the map eaton-pxm-4000")
    assert "counted from 1: write address_base 1 in the sheet Meter" in hint


def test_the_sheet_of_unverified_metrics_is_checked_too(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    header = ["Metric Name", "Metric Description", "Metric Address", "Metric Size"]
    header += ["Scaling Factor", "Data Type", "Unit"]

    def file(*cells: object) -> str:
        return written(
            tmp_path, data(CLEAN, extra=UNIT, others={"Unverified": [header, list(cells)]})
        )

    assert execute(["map", "check", file("freq", "", 300, 3, 1, "FLOAT32", "Hz")]) == 2
    assert "Unverified!D2: size 3 for FLOAT32" in capsys.readouterr().err
    assert execute(["map", "check", file("freq", "", 300, 2, 1, "FLOAT32", "V")]) == 0
    printed = capsys.readouterr().out
    assert "hint: Unverified!G2: freq in V, expected Hz" in printed
    assert "usable, 1 metrics, 1 unverified, 1 hint" in printed


@pytest.mark.parametrize("name", ["nexus-1272", "eaton-pxm-4000"])
def test_a_shipped_map_is_clean(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["map", "check", "--strict", name]) == 0
    assert capsys.readouterr().out.startswith(f"{name}: usable, ")


def test_a_copy_of_a_shipped_map_is_the_same_map(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "own.xlsx"
    assert execute(["map", "copy", "nexus-1272", f"--output={file}"]) == 0
    assert library.find(str(file)).hash == library.find("nexus-1272").hash
    file.write_bytes(b"mine")
    capsys.readouterr()
    assert execute(["map", "copy", "nexus-1272", f"--output={file}"]) == 1
    assert "is there already; choose another --output" in capsys.readouterr().err
    assert file.read_bytes() == b"mine"


def test_a_copy_goes_into_the_folder_one_is_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["map", "copy", "nexus-1272"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["my-nexus-1272.xlsx"]
    assert execute(["map", "copy", "nexsus-1272"]) == 2
    assert "did you mean nexus-1272?" in capsys.readouterr().err
    assert execute(["map", "copy", "nexus-1272", "--output=no/such/folder.xlsx"]) == 1
