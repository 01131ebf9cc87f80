import re
import sys
from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.meters import library
from tests.meters.sheets import METRICS_PART, VOLTAGE, data, repacked, row


def test_list_names_every_shipped_map(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert execute(["map", "list", f"--maps_dir={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    lines = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    for name, _ in library.names():
        found = library.find(name, unverified=True)
        counts = [str(len(found.metrics) - len(found.unverified))]
        counts += [str(len(found.unverified))] if found.unverified else []
        shown = lines[name]
        assert found.vendor in shown
        assert found.model in shown
        assert shown.split("shipped")[0].split()[-len(counts) :] == counts
    assert "shipped" in printed
    assert "verified" in printed
    assert str(tmp_path) in printed


def test_list_shows_model_metrics_and_certainty_on_80_columns(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert execute(["map", "list", f"--maps_dir={tmp_path}"]) == 0
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert plain[2].split() == ["name", "model", "metrics", "certainty"]
    line = next(line for line in plain if line.split()[:1] == ["siemens-pac2200"])
    assert "SENTRON PAC2200" in line
    assert line.rstrip().endswith("33  22 verified, 11")
    assert any("no room for origin, unverified, vendor" in line for line in plain)


def test_list_names_own_maps_and_those_with_faults(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.xlsx").write_bytes(data(VOLTAGE))
    (tmp_path / "torn.xlsx").write_bytes(b"PK")
    monkeypatch.setenv("EMDC_MAPS_DIR", str(tmp_path))
    assert execute(["map", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("mine" in line and "mine.xlsx" in line for line in lines)
    assert any("torn" in line and "1 faults" in line for line in lines)


def test_show_prints_each_metric_with_its_register(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["map", "show", "nexus-1272"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    row = next(line for line in lines if line[:1] == ["Voltage_AN"])
    assert row[1:4] == ["179", "2", "INT32"]
    found = library.find("nexus-1272")
    assert {metric.name for metric in found.metrics} <= {line[0] for line in lines if line}
    assert lines[-1] == found.notes.split() != []


def test_show_adds_what_nothing_verifies_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    def shown(*flags: str) -> set[str]:
        assert execute(["map", "show", "schneider-pm5100", *flags]) == 0
        return {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()}

    unverified = library.find("schneider-pm5100", unverified=True).unverified
    assert not unverified & shown()
    assert unverified <= shown("--unverified")


def test_check_of_a_usable_map_gives_0_and_its_warnings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.xlsx"
    file.write_bytes(data(VOLTAGE, row(name="Voltage_A2")))
    assert execute(["map", "check", str(file)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("warning: Metrics!C3: Voltage_A2 lies on registers of")
    assert printed[-1] == f"{file}: usable, 2 metrics, 1 warning, 1 hint"


def test_check_of_a_wrong_map_gives_2_and_all_faults_with_their_cells(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.xlsx"
    file.write_bytes(data(VOLTAGE, row(name="W", address="x", data_type="FLOAT31")))
    assert execute(["map", "check", str(file)]) == 2
    printed = capsys.readouterr().err
    assert "2 faults" in printed
    assert "Metrics!C3" in printed
    assert "Metrics!F3" in printed


def test_plan_prints_the_reads_with_what_they_waste(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["map", "plan", "nexus-1272"]) == 0
    printed = capsys.readouterr().out
    rows = [line.split() for line in printed.splitlines() if line.split()[:1] == ["3"]]
    assert f"{len(rows)} reads" in printed
    assert rows[0][:5] == ["3", "179", "56", "2", "30"]


def test_plan_obeys_the_limits_of_a_meter(capsys: pytest.CaptureFixture[str]) -> None:
    def reads(*limits: str) -> int:
        assert execute(["map", "plan", "nexus-1272", *limits]) == 0
        lines = capsys.readouterr().out.splitlines()
        return sum(line.split()[:1] == ["3"] for line in lines)

    metrics = library.find("nexus-1272").metrics
    assert reads("--max_gap=0") > reads()
    assert reads("--max_registers=4") > reads("--max_registers=60")
    assert reads("--max-gap=124") <= reads() <= len(metrics)


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ("--max_registers=1", "Voltage_AN fills 2 registers, max_registers is 1: raise it"),
        ("--max_registers=126", "--max_registers: 126, expected 1-125"),
        ("--max_gap=x", "--max_gap: 'x', expected a whole number"),
    ],
)
def test_a_limit_that_cannot_be_is_2(
    limit: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["map", "plan", "nexus-1272", limit]) == 2
    assert problem in capsys.readouterr().err


def test_an_unknown_map_is_2_with_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["map", "show", "nexsus-1272"]) == 2
    assert "did you mean nexus-1272?" in capsys.readouterr().err


NO_WORKBOOKS = {
    "nothing": b"",
    "CSV": b"Metric Name,Metric Address\nW,1\n",
    "web page": b"<!DOCTYPE html><html></html>",
    "old workbook": bytes.fromhex("D0CF11E0A1B11AE1") + bytes(600),
    "encrypted": bytes.fromhex("D0CF11E0A1B11AE1") + "EncryptedPackage".encode("utf-16-le"),
    "cut short": data(VOLTAGE)[:1000],
    "no directory": data(VOLTAGE).replace(b"PK\x05\x06", b"PK\x05\x07"),
    "bomb": repacked(data(VOLTAGE), {METRICS_PART: lambda _: b" " * 40_000_000}),
}


@pytest.mark.parametrize("content", NO_WORKBOOKS.values(), ids=NO_WORKBOOKS)
def test_a_file_that_is_no_usable_workbook_is_2_and_one_line(
    content: bytes, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "map.xlsx"
    file.write_bytes(content)
    assert execute(["map", "check", str(file)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"emdc: {file}: ")
    assert printed.count("\n") == 1
