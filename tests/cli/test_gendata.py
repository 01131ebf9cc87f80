import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emdc.cli import execute
from emdc.cli.gendata import AT_ONCE, METRICS
from emdc.reading import MeterProfile, MeterReading, Topic
from tests.program import emdc, finished, until
from tests.storage.plant import METER, open_new, profile, reading, store

W = f"{METER}/W"
RANGE = {"start": "2026-03-01T11:59:00Z", "end": "2026-03-01T12:01:00Z", "sample_rate": 1}


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "sample.db"


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    """Two minutes of a constant, around noon."""
    return written(tmp_path, RANGE | {"topic_name": W, "amplitude_offset": 5, "spread": 0})


def written(folder: Path, *entries: object) -> Path:
    file = folder / "waves.json"
    file.write_text(json.dumps(entries), encoding="utf-8")
    return file


def gendata(db: Path, *flags: str) -> int:
    return execute(["gendata", f"--db_host={db}", *flags])


def rows(db: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(query).fetchall()


def measure(db: Path, *readings: MeterReading, plant: MeterProfile) -> None:
    """Let a recorder store readings in the file."""
    engine = open_new(db)
    try:
        store(engine, *readings, profiles=[plant])
    finally:
        engine.dispose()


def test_a_shipped_file_fills_a_new_database_and_one_line_says_so(tmp_path: Path) -> None:
    ended = finished("gendata", "--input_file=sample-cos.json", "--db_host=a.db", folder=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("6,048 samples of 1 topic in ")
    assert ended.stdout.endswith(" s: sqlite:///a.db\n")
    assert ended.stdout.count("\n") == 1
    query = "SELECT count(*), min(ts), max(ts), avg(value) FROM samples WHERE topic_name = "
    ((count, first, last, mean),) = rows(tmp_path / "a.db", f"{query} '{W}'")
    assert (count, first[:19], last[:19]) == (6048, "2026-03-02 00:00:00", "2026-03-08 23:58:20")
    assert mean == pytest.approx(30000, abs=10)


def test_an_own_file_hides_the_shipped_one_of_its_name(
    tmp_path: Path, db: Path, waves: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waves.rename(tmp_path / "sample-cos.json")
    monkeypatch.chdir(tmp_path)
    assert gendata(db, "--input_file=sample-cos.json") == 0
    assert rows(db, "SELECT count(*) FROM readings") == [(120,)]


def test_flags_stand_instead_of_the_file(db: Path, waves: Path) -> None:
    flags = ("--topic_name=a/b", "--topic_id=7", "--sample_rate=0.1", "--spread=0.5", "--seed=3")
    assert gendata(db, f"--input_file={waves}", *flags) == 0
    ((count, topic_id, low, high),) = rows(
        db, "SELECT count(*), min(topic_id), min(value), max(value) FROM samples"
    )
    assert (count, topic_id) == (12, 7)
    assert 4.5 <= low < high <= 5.5


def test_a_topic_is_found_by_its_number(db: Path, waves: Path, tmp_path: Path) -> None:
    gendata(db, f"--input_file={waves}")
    again = written(tmp_path, RANGE | {"topic_id": 1, "amplitude_offset": 6, "spread": 0})
    assert gendata(db, f"--input_file={again}") == 0
    assert rows(db, "SELECT DISTINCT topic_name, value FROM samples") == [(W, 6.0)]


def test_a_seed_makes_a_run_repeatable_and_a_run_replaces_the_one_before(
    db: Path, waves: Path
) -> None:
    found = []
    for seed in (1, 2, 1):
        assert gendata(db, f"--input_file={waves}", "--spread=1", f"--seed={seed}") == 0
        found.append(rows(db, "SELECT ts, vals FROM readings ORDER BY ts"))
    assert found[0] == found[2] != found[1]
    assert len(found[0]) == len(found[1]) == 120


def test_topics_of_one_meter_share_its_rows(db: Path, tmp_path: Path) -> None:
    entries = [RANGE | {"topic_name": f"{METER}/{metric}"} for metric in METRICS]
    assert gendata(db, f"--input_file={written(tmp_path, *entries)}") == 0
    assert rows(db, "SELECT count(*), min(json_array_length(vals)) FROM readings") == [(120, 21)]


def test_measured_values_are_never_replaced(
    db: Path, waves: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(db, reading(3, (7.0,), metrics=("W",)), plant=profile(metrics=("W",)))
    before = rows(db, "SELECT * FROM readings")
    both = written(waves.parent, RANGE | {"topic_name": "new/topic"}, RANGE | {"topic_name": W})
    assert gendata(db, f"--input_file={both}") == 2
    said = capsys.readouterr().err
    assert f"topic {W}: has a measured value at 2026-03-01 12:00:03.000000 UTC" in said
    assert "name another topic" in said
    assert rows(db, "SELECT * FROM readings") == before
    assert rows(db, "SELECT topic_name FROM topics") == [(W,)]


def test_measured_values_outside_the_range_do_not_matter(db: Path, waves: Path) -> None:
    measure(db, reading(60, (7.0,), metrics=("W",)), plant=profile(metrics=("W",)))
    assert gendata(db, f"--input_file={waves}") == 0
    assert rows(db, "SELECT scheduled, count(*) FROM readings GROUP BY 1") == [(0, 120), (1, 1)]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"topic_id": 9}, "entry 1, topic_id: no topic has the number 9"),
        ({"topic_id": 1, "topic_name": "a/b"}, f"entry 1, topic_id: 1 is the topic {W}"),
        ({"topic_id": 9, "topic_name": W}, f"topic {W}: has the number 1, not 9"),
    ],
)
def test_a_number_that_contradicts_is_2_and_creates_nothing(
    fields: dict[str, object],
    problem: str,
    db: Path,
    waves: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    gendata(db, f"--input_file={waves}")
    assert gendata(db, f"--input_file={written(waves.parent, RANGE | fields)}") == 2
    assert problem in capsys.readouterr().err
    assert rows(db, "SELECT topic_name FROM topics") == [(W,)]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "--input_file: missing, expected a file or one of sample-cos.json, sample-s"),
        (["--input_file=sample-sine.json"], "no file sample-sine.json, expected one or one of"),
        (["--input_file=/dev/zero"], "not a regular file"),
        (["--input_file={}"], "not a regular file"),
        (["--input_file={}/text"], "byte 0 is not UTF-8"),
        (["--input_file=sample-cos.json", "--sample_rate=0"], "--sample_rate: 0.0, expected"),
        (["--input_file=sample-cos.json", "--topic_name=/W"], 'entry 1, topic_name: "/W"'),
        (["--topics", "--seed=1"], "--topics: makes no samples"),
    ],
)
def test_what_cannot_be_used_is_2_and_makes_no_file(
    flags: list[str], problem: str, db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (db.parent / "text").write_bytes(b"\xff")
    assert gendata(db, *(flag.format(db.parent) for flag in flags)) == 2
    assert problem in capsys.readouterr().err
    assert not db.exists()


def test_a_database_in_memory_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["gendata", "--input_file=sample-cos.json"]) == 2
    assert "no database is named" in capsys.readouterr().err


def test_a_file_with_a_byte_order_mark_is_read(db: Path, waves: Path) -> None:
    waves.write_text(waves.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert gendata(db, f"--input_file={waves}") == 0


def test_the_default_topics_are_84_with_their_units(
    db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gendata(db, "--topics") == 0
    assert capsys.readouterr().out == f"84 topics of 4 meters, 84 new: sqlite:///{db}\n"
    units = dict(
        rows(
            db,
            "SELECT topic_name, metadata ->> 'units' FROM topics JOIN meta USING (topic_id)"
            " WHERE topic_name LIKE 'UW/Elm/eaton_meter/%'",
        )
    )
    assert [name.rpartition("/")[2] for name in units] == list(METRICS)
    assert set(units.values()) == {"V", "A", "VA", "VAR", "W", "Hz", "", "deg"}
    assert rows(db, "SELECT count(*) FROM readings") == [(0,)]


def test_default_topics_that_are_there_stay_as_they_are(
    db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measure(db, plant=MeterProfile(METER, (Topic("W", "kW"),), 1.0))
    assert gendata(db, "--topics") == 0
    assert "84 topics of 4 meters, 83 new" in capsys.readouterr().out
    query = "SELECT metadata ->> 'units' FROM topics JOIN meta USING (topic_id) WHERE topic_name = "
    assert rows(db, f"{query} '{W}'") == [("kW",)]


def test_ctrl_c_leaves_whole_chunks_and_says_how_many(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    hours = {"start": "2026-01-01", "end": "2026-01-02", "sample_rate": 500, "topic_name": W}
    written(tmp_path, hours)
    with emdc("gendata", "--input_file=waves.json", "--db_host=a.db", folder=tmp_path) as program:

        def started() -> bool:
            try:
                return rows(db, "SELECT EXISTS (SELECT 1 FROM readings)") == [(1,)]
            except sqlite3.OperationalError:
                return False

        until(started)
        code, out, err = program.end(signal.SIGINT)
    ((stored,),) = rows(db, "SELECT count(*) FROM readings")
    assert (code, out) == (1, "")
    assert stored > 0
    assert stored % AT_ONCE == 0
    told = re.search(r"at least the first ([0-9,]+) samples are stored", err)
    assert told is not None
    # It may have ended between a commit and its being counted.
    assert stored - int(told[1].replace(",", "")) in {0, AT_ONCE}
    assert "Traceback" not in err


def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    import pty  # noqa: PLC0415 (it does not exist everywhere)

    ours, its = pty.openpty()
    command = [sys.executable, "-m", "emdc", "gendata", "--input_file=sample-cos.json"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    with subprocess.Popen(
        [*command, "--db_host=a.db"], cwd=tmp_path, env=environment, stdout=its, stderr=its
    ) as process:
        os.close(its)
        shown = b""
        with open(ours, "rb", buffering=0) as terminal:  # noqa: PTH123 (it is a number)
            try:
                while part := terminal.read(4096):
                    shown += part
            except OSError:  # the other side is closed
                pass
        assert process.wait() == 0
    assert b"samples \x1b" in shown
    assert b"6,048 samples of 1 topic" in shown
