from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.reading import Value
from emdc.storage.schema import HEAD
from tests.storage.filled import fill
from tests.storage.metering import tables
from tests.storage.plant import NOON, open_new, rows
from tests.storage.plant import execute as run

METERS = ("UW/Elm/eaton_meter", "UW/Mercer/nexus_meter")
STORED = "SELECT count(*) FROM interval_rows"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two meters with readings of an hour; a counter of the second one falls back."""
    path = tmp_path / "emdc.db"
    engine = open_new(path)
    counter: dict[float, Value] = {
        at: float(at if at < 1800 else at - 1800) for at in range(0, 3600, 60)
    }
    fill(
        engine,
        {
            f"{METERS[0]}/W": dict.fromkeys(map(float, range(0, 3600, 60)), 7.5),
            f"{METERS[1]}/Wh": counter,
        },
    )
    engine.dispose()
    run(path, """INSERT OR REPLACE INTO meta VALUES (2, '{"units":"Wh","kind":"counter"}')""")
    return path


def intervals(database: Path, *flags: str) -> int:
    return execute(["intervals", *flags, f"--db_host={database}"])


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_missing_ones_are_made_once(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert intervals(database) == 0
    assert said(capsys) == [
        f"{METERS[0]}: 4 quarter hours",
        f"{METERS[1]}: 4 quarter hours, 1 time a counter began anew",
    ]
    assert intervals(database, f"--meter={METERS[0]}") == 0
    assert rows(database, STORED) == [(8,)]


def test_all_again_is_the_same(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    intervals(database)
    engine = open_new(database)
    before = tables(engine)
    run(database, "UPDATE interval_rows SET counts = '[1]' WHERE meter_id = 1")
    capsys.readouterr()
    assert intervals(database, f"--start={NOON:%Y-%m-%d}", f"--meter={METERS[0]}") == 0
    assert said(capsys) == [f"{METERS[0]}: 4 quarter hours"]
    assert tables(engine) == before
    engine.dispose()


def test_dry_run_writes_nothing(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert intervals(database, "--dry_run") == 0
    assert said(capsys)[-1] == "nothing was written"
    assert rows(database, STORED) == [(0,)]


def test_wrong_meter_and_start_are_refused(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert intervals(database, "--meter=UW/Mercer/nexus") == 2
    assert f"--meter: no meter 'UW/Mercer/nexus', expected one such as {METERS[1]}" in (
        capsys.readouterr().err
    )
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert intervals(database, f"--start={tomorrow:%Y-%m-%d}") == 2
    assert "lies in the future" in capsys.readouterr().err


def test_wrong_meter_is_refused_in_the_words_of_other_commands(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for command in ("intervals", "gaps", "retention"):
        flags = [f"--db_host={database}", "--meter=UW/Mercer/nexus"]
        flags += ["--days=30", "--yes"] if command == "retention" else []
        assert execute([command, *flags]) == 2
        said.append(capsys.readouterr().err)
    assert len(set(said)) == 1


def test_its_help_says_why_there_is_no_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["intervals", "--help"]) == 0
    assert "there is no --end" in " ".join(capsys.readouterr().out.replace("│", " ").split())


def test_database_of_another_version_is_left_alone(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(database, "UPDATE alembic_version SET version_num = '7c1d5e90a2f4'")
    assert intervals(database) != 0
    assert f"expected {HEAD}: run emdc migrate" in capsys.readouterr().err
