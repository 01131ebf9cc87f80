import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.storage.schema import HEAD, OLD_REVISIONS
from tests.servers import fresh, mariadb
from tests.storage.old_collector import ROWS, SCRIPT_SQLITE, ZONE


def revision(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        found: str = connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]
        return found


def test_a_new_file_comes_to_this_versions_schema(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "emdc.db"
    assert execute(["migrate", f"--db_host={file}"]) == 0
    assert capsys.readouterr().out == f"sqlite:///{file}: from revision none to {HEAD}\n"
    assert revision(file) == HEAD


def test_a_second_time_there_is_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "emdc.db"
    execute(["migrate", f"--db_host={file}"])
    assert execute(["migrate", f"--db-host={file}", "--revision=head"]) == 0
    assert f"is at revision {HEAD} already" in capsys.readouterr().out


def test_an_old_schema_is_brought_forward(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, old = tmp_path / "sqlite.db", OLD_REVISIONS[-1]
    assert execute(["migrate", f"--db_host={file}", f"--revision={old}"]) == 0
    assert execute(["migrate", f"--db_host={file}"]) == 0
    assert f"from revision {old} to {HEAD}" in capsys.readouterr().out


def test_the_database_may_come_from_the_environment_beside_half_a_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "sqlite.db"
    monkeypatch.setenv("UWSOLAR_DB_HOST", str(file))
    monkeypatch.setenv("UWSOLAR_PANEL_MODBUS_RETRIES", "3")
    assert execute(["migrate"]) == 0
    assert revision(file) == HEAD


def test_the_configuration_file_of_the_old_migration_is_accepted_and_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"--db_host={tmp_path / 'a.db'}", "--config_file=alembic.ini"]
    assert execute(["migrate", *arguments]) == 0
    assert "--config_file is not needed any more" in capsys.readouterr().err


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file that the old collector's SQL scripts made, with two readings."""
    file = tmp_path / "sqlite.db"
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(SCRIPT_SQLITE + ROWS)
    return file


def test_dry_run_tells_what_would_happen_and_leaves_the_file_as_it_is(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (old.read_bytes(), old.stat().st_mtime_ns)
    assert execute(["migrate", f"--db_host={old}", f"--data_timezone={ZONE}", "--dry_run"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"sqlite:///{old}: from revision {OLD_REVISIONS[-2]} to {HEAD}\n")
    assert f"2 old readings, their clock in {ZONE}:\n  first  2019-11-03 01:30:00 there" in out
    assert out.endswith("nothing was changed\n")
    assert (old.read_bytes(), old.stat().st_mtime_ns) == before
    assert list(old.parent.iterdir()) == [old]


def test_dry_run_goes_as_far_as_the_revision_that_is_asked_for(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [f"--db_host={old}", f"--revision={OLD_REVISIONS[-1]}", "--dry-run"]
    assert execute(["migrate", *flags]) == 0
    assert "zone" not in capsys.readouterr().out


def test_dry_run_creates_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["migrate", f"--db_host={tmp_path / 'emdc.db'}", "--dry_run"]) == 0
    assert "no such file, a new database would be made" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


def test_dry_run_reads_a_server_and_makes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with fresh(mariadb()) as url:
        assert execute(["migrate", f"--db_url={url}", "--dry_run"]) == 0
        tables = mariadb().execute("SHOW TABLES", database=url.rpartition("/")[2])
    assert "from revision none, an empty database, to" in capsys.readouterr().out
    assert tables == []


def test_steps_are_printed_and_old_readings_told_of(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["migrate", f"--db_host={old}", f"--data_timezone={ZONE}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "data: index by topic"
    assert lines[1] == f"2 old readings, their clock in {ZONE}:"
    assert lines[-1] == f"sqlite:///{old}: from revision none to {HEAD}"


def test_old_readings_without_a_zone_are_2_with_the_question(
    old: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["migrate", f"--db_host={old}"]) == 2
    assert "say it by --data_timezone=ZONE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "no database is named"),
        (["--db_host=:memory:"], "no database is named"),
        (["--db_host={}/a.db", "--revision=nonsense"], "revision nonsense"),
        (["--db_host={}/none/a.db"], "no directory"),
        (["--db_host={}/none/a.db", "--dry_run"], "no directory"),
        (["--db_type=sqlit"], "--db_type: 'sqlit', expected one of"),
    ],
)
def test_what_cannot_be_migrated_is_2(
    flags: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["migrate", *(flag.format(tmp_path) for flag in flags)]) == 2
    assert problem in capsys.readouterr().err


def test_a_file_that_is_no_database_is_1_and_stays_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"these are my notes " * 100)
    assert execute(["migrate", f"--db_host={file}"]) == 1
    assert "not a database" in capsys.readouterr().err
    assert file.read_bytes() == b"these are my notes " * 100
