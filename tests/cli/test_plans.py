"""`emdc map plan`: why each read is as it is, and what a meter refused of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emdc import discoveries
from emdc.cli import execute
from emdc.lessons import FILE, Taught
from emdc.meters import library, sunspec_models
from emdc.meters.learned import Lesson
from emdc.meters.plan import Span
from emdc.meters.sunspec import Block, Layout
from tests.meters.sheets import data


def book(folder: Path, *rows: list[object]) -> Path:
    file = folder / "mine.xlsx"
    file.write_bytes(data(*rows, extra=("Function Code", "Group"), others={"Meter": METER}))
    return file


METER = [("max_gap", 4), ("max_registers", 20)]


def value(
    name: str, address: int, *, code: int = 3, group: str = "", size: int = 2
) -> list[object]:
    return [name, "", address, size, 1, "UINT32" if size == 2 else "UINT16", code, group or None]


def test_an_explained_plan_says_why_each_read_begins_and_what_holds_it_together(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = book(
        tmp_path,
        *(value("a", 0), value("b", 5), value("c", 20), value("d", 22), value("e", 38)),
        *(value("f", 60, group="g"), value("h", 70, group="g")),
        *(value("i", 80, code=4), value("k", 90, group="wide"), value("l", 120, group="wide")),
    )
    assert execute(["map", "plan", str(file), "--explain"]) == 0
    printed = capsys.readouterr().out
    said = " | ".join(" ".join(line.split()) for line in printed.splitlines())
    assert "over a hole of 3, max_gap 4" in said
    assert "13 unused before it, max_gap 4" in said
    assert "over a hole of 8, group g" in said
    assert "another function code than 3" in said
    assert "group wide is not in one read: it spans 32 from 90, one read gives 20" in said
    assert execute(["map", "plan", str(file), "--explain", "--max_gap=124"]) == 0
    assert "max_registers 20" in capsys.readouterr().out


def test_a_group_that_no_read_can_hold_is_a_warning_of_the_check(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = book(tmp_path, value("a", 0, group="g"), value("b", 0, code=4, group="g"))
    assert execute(["map", "check", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "warning: group g is not in one read: it has function codes 3, 4" in printed


def configured(folder: Path, file: Path, *names: str) -> Path:
    meters = "".join(
        f'[[meters]]\nname = "{name}"\nhost = "10.0.0.1"\nmap = "{file}"\n' for name in names
    )
    config = folder / "emdc.toml"
    config.write_text(f'[database]\nhost = "{folder}/emdc.db"\n{meters}', encoding="utf-8")
    return config


def test_the_plan_of_a_meter_leaves_out_what_it_refused_and_says_when_it_is_asked_again(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = book(tmp_path, *(value(f"m{a}", a, size=1) for a in range(10)))
    config = configured(tmp_path, file, "site/m", "site/other")
    now = datetime.now(UTC)
    refused = Lesson(kind="value", read=Span(3, 4, 1), reason="exception:2", learned=now, asked=now)
    taught = Taught(
        map_hash=library.find(str(file)).hash, unit=1, address="10.0.0.1:502", lessons=(refused,)
    )
    FILE.write(tmp_path / "emdc.db-spool-learned.json", {"site/m": taught})
    command = ["map", "plan", str(file), f"--config={config}"]
    assert execute([*command, "--meter=site/m"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "site/m: mine: 2 reads" in said
    assert "4 before it is refused" in said
    assert "learned: m4: a read of 1 from 4 with function code 3 gave exception:2; learned" in said
    assert f"asked again {now + timedelta(minutes=1):%Y-%m-%d %H:%M} UTC" in said
    assert execute(command) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "site/other: mine: 1 reads" in said
    assert f"learned: nothing yet, by {tmp_path}/emdc.db-spool-learned.json" in said


def test_a_plan_for_a_meter_that_has_another_map_or_is_none_is_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = configured(tmp_path, book(tmp_path, value("a", 0)), "site/m")
    for meter in ("site/m", "site/x"):
        assert execute(["map", "plan", "nexus-1272", f"--config={config}", f"--meter={meter}"]) == 2
        assert "expected one of site/m (" in capsys.readouterr().err


def test_explaining_a_plan_leaves_a_damaged_file_where_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = book(tmp_path, value("a", 0))
    learned = tmp_path / "emdc.db-spool-learned.json"
    learned.write_text("{", encoding="utf-8")
    config = configured(tmp_path, file, "site/m")
    assert execute(["map", "plan", str(file), f"--config={config}"]) == 0
    assert "1 reads" in capsys.readouterr().out
    assert learned.read_text(encoding="utf-8") == "{"


def taught(refused: Lesson, map_hash: str) -> Taught:
    return Taught(address="10.0.0.1:502", unit=1, map_hash=map_hash, lessons=(refused,))


def test_of_nothing_but_refused_values_one_is_asked(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = book(tmp_path, value("a", 4))
    config = configured(tmp_path, file, "site/m")
    now = datetime.now(UTC)
    refused = Lesson(kind="value", read=Span(3, 4, 2), reason="exception:2", learned=now, asked=now)
    learned = {"site/m": taught(refused, library.find(str(file)).hash)}
    FILE.write(tmp_path / "emdc.db-spool-learned.json", learned)
    assert execute(["map", "plan", str(file), f"--config={config}"]) == 0
    assert "site/m: mine: 1 reads" in " ".join(capsys.readouterr().out.split())


def test_a_plan_without_a_name_is_that_of_each_meter_and_needs_a_configuration(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = configured(tmp_path, book(tmp_path, value("a", 0)), "site/m", "site/other")
    assert execute(["map", "plan", f"--config={config}"]) == 0
    printed = capsys.readouterr().out
    assert "site/m: mine: 1 reads" in printed
    assert "site/other: mine: 1 reads" in printed
    assert execute(["map", "plan"]) == 2
    assert "NAME: missing" in capsys.readouterr().err
    assert execute(["map", "plan", f"--config={config}", "--meter=site/x"]) == 2
    assert "no meter 'site/x' is configured, expected one of site/m (" in capsys.readouterr().err


def test_the_plan_of_a_meter_that_describes_itself_is_that_of_what_it_said(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = configured(tmp_path, Path("sunspec"), "site/m", "site/new")
    layout = Layout(40000, (Block(203, 40002, 105),))
    found = discoveries.Found(address="10.0.0.1:502", unit=1, layout=layout)
    discoveries.FILE.write(tmp_path / "emdc.db-spool-sunspec.json", {"site/m": found})
    now = datetime.now(UTC)
    refused = Lesson(
        kind="value", read=Span(3, 40020, 1), reason="exception:2", learned=now, asked=now
    )
    learned = {"site/m": taught(refused, sunspec_models.map_of(layout).hash)}
    FILE.write(tmp_path / "emdc.db-spool-learned.json", learned)
    for name in ([], ["sunspec"]):
        assert execute(["map", "plan", *name, f"--config={config}"]) == 0
        said = " ".join(capsys.readouterr().out.split())
        assert "site/m: sunspec" in said
        assert "learned: W: a read of 1 from 40020 with function code 3 gave exception:2" in said
        assert "site/new: sunspec" in said
        assert "has not said yet what it holds" in said
    assert execute(["map", "plan", "nexus-1272", f"--config={config}"]) == 2
    assert "expected one of site/m (sunspec)" in capsys.readouterr().err
