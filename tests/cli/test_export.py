import os
import resource
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.storage.database import open_engine
from emdc.storage.migrate import upgrade
from tests.program import emdc, finished, until
from tests.storage.filled import fill
from tests.storage.plant import execute as change
from tests.storage.plant import open_new
from tests.storage.test_old_samples import TABLES

DANGEROUS = "=cmd|' /C calc'!A0/W"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "emdc.db"
    engine = open_new(path)
    fill(
        engine,
        {
            "a/W": {0: -5.0, 1: 5, 2.25: 0.1},
            "a/Serial": {0: "A1", 1: "=1+1", 2.25: "007"},
            DANGEROUS: {0: 2**64 - 1},
            "a/x,y": {0: 'say "no"'},
        },
    )
    engine.dispose()
    return path


def exported(db: Path, capfdbinary: pytest.CaptureFixture[bytes], *flags: str) -> list[str]:
    """The lines of standard output."""
    assert execute(["export", f"--db_host={db}", *flags]) == 0
    return capfdbinary.readouterr().out.decode().split("\r\n")


def test_values_are_lines_of_csv_for_any_spreadsheet(
    db: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert exported(db, capfdbinary) == [
        "ts,topic,value",
        f"2026-03-01T12:00:00Z,'{DANGEROUS},{2**64 - 1}",
        "2026-03-01T12:00:00Z,a/W,-5.0",
        "2026-03-01T12:00:00Z,a/Serial,A1",
        '2026-03-01T12:00:00Z,"a/x,y","say ""no"""',
        "2026-03-01T12:00:01Z,a/W,5",
        "2026-03-01T12:00:01Z,a/Serial,'=1+1",
        "2026-03-01T12:00:02.250000Z,a/W,0.1",
        "2026-03-01T12:00:02.250000Z,a/Serial,'007",
        "",
    ]


def test_wide_is_a_row_for_each_instant_of_a_meter(
    db: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    flags = ("--wide", "--topic=a", "--timezone=America/Los_Angeles")
    assert exported(db, capfdbinary, *flags) == [
        'ts America/Los_Angeles,meter,W,Serial,"x,y"',
        '2026-03-01 04:00:00.000,a,-5.0,A1,"say ""no"""',
        "2026-03-01 04:00:01.000,a,5,'=1+1,",
        "2026-03-01 04:00:02.250,a,0.1,'007,",
        "",
    ]


def test_meters_share_the_columns_of_their_metrics(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    engine = open_new(tmp_path / "emdc.db")
    fill(engine, {"a/W": {0: 1.5}, "b/V": {0: 2.5, 1: 3.5}, "b/W": {1: 4.5}})
    engine.dispose()
    assert exported(tmp_path / "emdc.db", capfdbinary, "--wide") == [
        "ts UTC,meter,W,V",
        "2026-03-01 12:00:00.000,a,1.5,",
        "2026-03-01 12:00:00.000,b,,2.5",
        "2026-03-01 12:00:01.000,b,4.5,3.5",
        "",
    ]


def test_rows_of_wide_have_one_form_of_time_whatever_asked_for_them(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    engine = open_new(tmp_path / "emdc.db")
    fill(engine, {"a/W": {0: 1.5, 0.123456: 2.5, 60: 3.5}})
    engine.dispose()
    lines = exported(tmp_path / "emdc.db", capfdbinary, "--wide")[1:-1]
    times = [line.partition(",")[0] for line in lines]
    assert times == [f"2026-03-01 12:{rest}" for rest in ("00:00.000", "00:00.123", "01:00.000")]


def test_topics_and_a_range_narrow_it(db: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    flags = ("--topic=a/W", "--topic=a/x,y", "--start=2026-03-01T12:00:01Z")
    assert exported(db, capfdbinary, *flags, "--end=2026-03-01T04:00:02-08:00") == [
        "ts,topic,value",
        "2026-03-01T12:00:01Z,a/W,5",
        "",
    ]


def test_a_range_without_values_is_a_header(
    db: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert exported(db, capfdbinary, "--end=2026-03-01") == ["ts,topic,value", ""]


def test_a_file_has_the_same_bytes_as_standard_output(
    db: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    execute(["export", f"--db_host={db}"])
    printed = capfdbinary.readouterr().out
    file = tmp_path / "out.csv"
    assert execute(["export", f"--db_host={db}", f"--output={file}"]) == 0
    assert file.read_bytes() == printed
    assert capfdbinary.readouterr().err.decode() == f"8 values: {file}\n"


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--start=2026-03-02", "--end=2026-03-01"], "--start: 2026-03-02 is not before --end"),
        (["--start=2999-01-01"], "--start: 2999-01-01 lies in the future"),
        (["--start=2026-03-01T12:00"], "'2026-03-01T12:00' has no time zone, expected"),
        (["--end=yesterday"], "--end: 'yesterday', expected such as"),
        (["--start=0000-01-01"], "--start: '0000-01-01', expected"),
        (["--end=9999-12-31T23:59:59-01:00"], "--end: '9999-12-31T23:59:59-01:00' is beyond"),
        (["--wide", "--timezone=Mars/X"], "--timezone: 'Mars/X', expected a zone such as"),
        (["--timezone=UTC"], "--timezone: expected with --wide"),
        (["--topic=a/V"], "--topic: no topic is 'a/V' or begins with a/V/, did you mean a/W"),
        (["--output={}"], "is a folder"),
        (["--output={}/emdc.db", "--overwrite"], "belongs to the database"),
        (["--output={}/emdc.db-wal", "--overwrite"], "belongs to the database"),
        (["--output={}/there.csv"], "there.csv exists, expected a new name or --overwrite"),
        (["--db_host={}/none.db"], "none.db: no such file, expected one that EMDC has written"),
        (["--db_host=:memory:"], "no database is named"),
    ],
)
def test_what_cannot_be_exported_is_2_and_one_line_and_leaves_no_file(
    flags: list[str], problem: str, db: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = db.parent
    (folder / "there.csv").write_text("old")
    names = {path.name for path in folder.iterdir()}
    given = [flag.format(folder) for flag in flags]
    host = [] if any("db_host" in flag for flag in flags) else [f"--db_host={db}"]
    assert execute(["export", *host, *given]) == 2
    printed = capfd.readouterr()
    assert problem in printed.err
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert {p.name for p in folder.iterdir()} - {"emdc.db-wal", "emdc.db-shm"} == names - {
        "emdc.db-wal",
        "emdc.db-shm",
    }
    assert (folder / "there.csv").read_text() == "old"


def test_overwrite_takes_the_place_of_a_file(db: Path, tmp_path: Path) -> None:
    file = tmp_path / "there.csv"
    file.write_text("old")
    assert execute(["export", f"--db_host={db}", f"--output={file}", "--overwrite"]) == 0
    assert file.read_text().startswith("ts,topic,value")


def test_a_full_disk_in_the_middle_is_1_and_leaves_nothing(tmp_path: Path) -> None:
    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    finished("gendata", "--input_file=sample-cos.json", "--db_host=a.db", folder=tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "emdc", "export", "--db_host=a.db", "--output=out.csv"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.startswith("EMDC_")},
        preexec_fn=small_files,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("emdc: out.csv: File too large: nothing is left of it")
    assert [path.name for path in tmp_path.iterdir() if "csv" in path.name] == []


def test_ctrl_c_leaves_nothing(tmp_path: Path) -> None:
    finished(
        *("gendata", "--input_file=sample-cos.json", "--sample_rate=1", "--db_host=a.db"),
        folder=tmp_path,
    )
    with emdc("export", "--db_host=a.db", "--output=out.csv", folder=tmp_path) as program:
        until(lambda: any(path.name.startswith(".out.csv") for path in tmp_path.iterdir()))
        code, out, err = program.end(signal.SIGINT)
    assert (code, out, err) == (1, "", "emdc: interrupted\n")
    assert [path.name for path in tmp_path.iterdir() if "csv" in path.name] == []


def test_a_reader_that_has_seen_enough_is_no_error(db: Path) -> None:
    command = '"$0" -m emdc export --db_host=emdc.db | head -1'
    ended = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command, sys.executable],
        cwd=db.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ts,topic,value\n", "")


def test_a_database_that_is_written_meanwhile_stays_as_it_is(
    db: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with closing(sqlite3.connect(db, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM readings")
        assert len(exported(db, capfdbinary)) == 10
        writer.execute("ROLLBACK")


def test_a_file_is_opened_read_only(db: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    change(db, "PRAGMA wal_checkpoint(TRUNCATE)")
    before = db.read_bytes()
    exported(db, capfdbinary)
    assert db.read_bytes() == before


def test_what_was_committed_before_a_kill_is_exported(tmp_path: Path) -> None:
    db = tmp_path / "emdc.db"
    open_new(db).dispose()
    script = (
        "import os, signal, sqlite3\n"
        f"c = sqlite3.connect({str(db)!r}, isolation_level=None)\n"
        "c.executescript(\"INSERT INTO meters VALUES (1, 'a');"
        "INSERT INTO topics VALUES (1, 'a/W', 1, 0);"
        "INSERT INTO readings VALUES (1, '2026-03-01 12:00:00.000000',"
        " '2026-03-01 12:00:00.000000', 0, '[1.5]', NULL)\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert db.with_name("emdc.db-wal").stat().st_size > 0
    ended = finished("export", "--db_host=emdc.db", folder=tmp_path)
    assert ended.stdout == "ts,topic,value\n2026-03-01T12:00:00Z,a/W,1.5\n"


def test_old_rows_are_part_of_it_and_what_is_left_out_is_told(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    for zone in ("America/Los_Angeles", "keep"):
        db = tmp_path / f"{zone[:4]}.db"
        change(db, f"{TABLES}INSERT INTO data VALUES ('2019-11-03 01:30:00', 7, '1.5')")
        engine = open_engine(f"sqlite:///{db}")
        upgrade(engine, data_timezone=zone)
        engine.dispose()
    assert exported(tmp_path / "Amer.db", capfdbinary)[1].startswith("2019-11-03T08:30:00Z,UW/")
    assert execute(["export", f"--db_host={tmp_path / 'keep.db'}"]) == 0
    printed = capfdbinary.readouterr()
    assert printed.out == b"ts,topic,value\r\n"
    assert b"1 rows of the old collector are left out: the upgrade left" in printed.err


def test_a_database_of_another_version_says_what_to_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    db = tmp_path / "old.db"
    change(db, TABLES)
    assert execute(["export", f"--db_host={db}"]) == 1
    assert "run emdc migrate" in capfd.readouterr().err
