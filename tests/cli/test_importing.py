import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from emdc.cli import csvlines, execute
from emdc.reading import Value
from emdc.storage import intake
from tests.program import emdc, finished, until
from tests.storage.filled import KINDS, empty, fill, opened
from tests.storage.plant import METER, open_new, profile, reading, rows, store

SAMPLES = "SELECT topic_name, value_string FROM samples ORDER BY ts, topic_name"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "emdc.db"


def written(folder: Path, *lines: str, header: str = "ts,topic,value") -> Path:
    file = folder / "values.csv"
    file.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    return file


def imported(db: Path, file: Path | str, *flags: str) -> int:
    return execute(["import", str(file), f"--db_host={db}", *flags])


def at(second: int) -> str:
    return f"2026-03-01T12:00:{second:02d}Z"


def test_values_are_stored_and_one_line_says_so(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, f"{at(0)},a/W,1.5", f"{at(0)},a/V,230", f"{at(1)},a/W,A1")
    assert imported(db, file) == 0
    printed = capsys.readouterr()
    assert printed.out == f"3 values imported, 0 there already, 0 conflicts: sqlite:///{db}\n"
    assert printed.err == "emdc: texts among the numbers of a/W, line 4: stored as texts\n"
    assert rows(db, SAMPLES) == [("a/V", "230"), ("a/W", "1.5"), ("a/W", "A1")]


def test_a_second_time_nothing_changes(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, f"{at(0)},a/W,1.5", f"{at(0)},a/V,{2**64 - 1}")
    imported(db, file)
    before = rows(db, "SELECT * FROM readings")
    assert imported(db, file) == 0
    assert "0 values imported, 2 there already, 0 conflicts" in capsys.readouterr().out
    assert rows(db, "SELECT * FROM readings") == before


def test_another_value_is_a_conflict_and_the_first_stays(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(db, written(tmp_path, f"{at(0)},a/W,1.5"))
    assert imported(db, written(tmp_path, f"{at(0)},a/W,2.5", f"{at(1)},a/W,2.5")) == 0
    assert "1 values imported, 0 there already, 1 conflicts, where" in capsys.readouterr().out
    assert rows(db, SAMPLES) == [("a/W", "1.5"), ("a/W", "2.5")]


@pytest.mark.parametrize(
    "text",
    [
        "topic;x,note,value,ts\r\na/W,hello,1.5,2026-03-01T12:00:00Z\r\n",
        "\ufeffts,topic,value\n2026-03-01T04:00:00-08:00,a/W,1.50\n\n",
        'TS , Topic,value\n"2026-03-01 12:00:00.000000","a/W","1.5"',
    ],
)
def test_a_file_of_another_program_is_understood(text: str, db: Path, tmp_path: Path) -> None:
    file = tmp_path / "values.csv"
    file.write_bytes(text.replace("topic;x", "topic").encode())
    assert imported(db, file) == 0
    assert rows(db, "SELECT ts, topic_name, value FROM samples") == [
        ("2026-03-01 12:00:00.000000", "a/W", 1.5)
    ]


def test_a_text_stays_a_text_where_the_topic_holds_texts(db: Path, tmp_path: Path) -> None:
    engine = open_new(db)
    store(engine, profiles=[profile()])
    engine.dispose()
    assert imported(db, written(tmp_path, f"{at(0)},{METER}/Serial,12345678")) == 0
    assert rows(db, "SELECT vals FROM readings") == [('[null,null,"12345678"]',)]


def test_cells_that_were_made_harmless_are_what_they_were(db: Path, tmp_path: Path) -> None:
    topic = "=cmd|' /C calc'!A0/W"
    file = written(tmp_path, f"{at(0)},'{topic},'=1+1", f"{at(1)},'{topic},-5.0")
    assert imported(db, file) == 0
    assert rows(db, SAMPLES) == [(topic, "=1+1"), (topic, "-5.0")]


def test_every_fault_is_named_with_its_line_and_nothing_is_stored(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(
        tmp_path,
        f"{at(0)},a/W,1.5",
        "2026-03-01T12:00:00,a/W,1.5",
        f"{at(0)},/W,1.5",
        f"{at(0)},a/W,NaN",
        f"{at(0)},a/W",
        f"{at(0)},,1.5",
        f'{at(0)},"{"x" * 513}",1.5',
        f"{at(0)},a/W,",
    )
    assert imported(db, file) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"emdc: {file}: line 3, ts: '2026-03-01T12:00:00' has no time zone, expected UTC such as "
        "2026-03-01T12:00:00Z",
        f"  {file}: line 4, topic: topic /W: no name at one side of its last slash, expected "
        "meter/metric",
        f"  {file}: line 5, value: 'NaN', expected a finite number; leave the line out",
        f"  {file}: line 6: 2 cells, expected 3",
        f"  {file}: line 7, topic: empty, expected a name such as UW/Mercer/nexus_meter/W",
        f"  {file}: line 8, topic: 513 characters, expected at most 512",
        f"  {file}: line 9, value: empty, expected a number or a text; leave the line out; nothing "
        "was stored",
    ]
    assert not db.exists()


def test_of_many_faults_twenty_are_shown(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(db, written(tmp_path, *("noon,a/W,1.5" for _ in range(1234)))) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 21
    assert said[-1].endswith("1,214 more lines with faults; nothing was stored")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "line 1: no column ts in '', expected ts,topic,value"),
        (b"ts;topic;value\n", "line 1: no column ts in 'ts;topic;value'"),
        (b"ts,topic\n", "line 1: no column value"),
        (b"ts,topic,value,value\n", "line 1: more than one column value"),
        (b"ts,topic,value\n\xff\xfe,a,1\n", "line 1 or after it: invalid start byte"),
        (b'ts,topic,value\n"2026', "line 2: unexpected end of data, expected CSV"),
        (b'ts,topic,value\n"a"b,c,d\n', "expected after '\"', expected CSV as RFC 4180"),
        (b"ts,topic,value\n" + b"9" * 200_000, "field larger than field limit"),
        (b"ts,topic,value\n" + b"9," * 600_000, "line 2: no line end in 1,000,000 characters"),
        (b"ts,topic,value\n2026-03-01T12:00:00Z,a/W,a\0b\n", "line 2, value: "),
    ],
)
def test_a_file_that_cannot_be_read_is_2_and_makes_no_database(
    content: bytes, problem: str, db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "values.csv"
    file.write_bytes(content)
    assert imported(db, file) == 2
    said = capsys.readouterr().err
    assert problem in said
    assert said.count("\n") == 1
    assert not db.exists()


def test_a_device_without_lines_is_not_read_for_ever(
    db: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(db, "/dev/zero") == 2
    assert "/dev/zero: line 1: no line end in 1,000,000 characters" in capsys.readouterr().err


def test_standard_input_that_is_closed_is_2(
    db: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert imported(db, "-") == 2
    assert "standard input is closed, expected a CSV file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "problem"), [("none.csv", "No such file or directory"), ("folder", "Is a directory")]
)
def test_what_is_no_file_is_2(
    name: str, problem: str, db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    assert imported(db, tmp_path / name) == 2
    assert f"{name}: {problem}, expected a CSV file" in capsys.readouterr().err


def test_a_trial_stores_nothing_and_makes_nothing(
    db: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written(tmp_path, f"{at(0)},a/W,1.5")
    assert imported(db, file, "--dry_run") == 0
    assert "1 values would be imported" in capsys.readouterr().out
    assert not db.exists()
    imported(db, file)
    more = written(tmp_path, f"{at(0)},a/W,1.5", f"{at(1)},new/W,1.5")
    assert imported(db, more, "--dry_run") == 0
    assert "1 values would be imported, 1 there already" in capsys.readouterr().out
    assert rows(db, "SELECT topic_name FROM topics") == [("a/W",)]


def test_standard_input_of_another_export_is_a_file_too(db: Path, tmp_path: Path) -> None:
    engine = open_new(db)
    fill(engine, {"a/W": {0: 1.5, 1: 2.5}})
    engine.dispose()
    command = '"$0" -m emdc export --db_host=emdc.db | "$0" -m emdc import - --db_host=copy.db'
    ended = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command, sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert rows(tmp_path / "copy.db", SAMPLES) == [("a/W", "1.5"), ("a/W", "2.5")]


def test_what_is_imported_counts_as_measured(db: Path, tmp_path: Path) -> None:
    imported(db, written(tmp_path, "2026-03-02T00:00:00Z,UW/Mercer/nexus_meter/W,1.5"))
    ended = finished("gendata", "--input_file=sample-cos.json", f"--db_host={db}", folder=tmp_path)
    assert ended.returncode == 2
    assert "has a measured value" in ended.stderr


def test_ctrl_c_leaves_whole_portions(tmp_path: Path) -> None:
    db = tmp_path / "a.db"
    lines = [
        f"2026-03-01T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}.{part:06d}Z,a/W,{part}"
        for n in range(86_400)
        for part in range(10)
    ]
    written(tmp_path, *lines)
    with emdc("import", "values.csv", "--db_host=a.db", folder=tmp_path) as program:

        def started() -> bool:
            try:
                return rows(db, "SELECT EXISTS (SELECT 1 FROM readings)") == [(1,)]
            except Exception:  # noqa: BLE001 (no file yet, no table yet)
                return False

        until(started)
        code, out, err = program.end(signal.SIGINT)
    ((stored,),) = rows(db, "SELECT count(*) FROM readings")
    assert (code, out) == (1, "")
    assert stored % intake.AT_ONCE == 0
    assert "ended early; what is stored so far stays, start it again for the rest" in err


def test_topics_take_the_order_of_the_lines_of_one_instant() -> None:
    order = csvlines._Order()
    for ts, topic in [("1", "a/x"), ("1", "a/z"), ("2", "a/y"), ("2", "a/z"), ("3", "a/x")]:
        order.see(ts, topic)
    order.see("3", "a/y")
    assert order.names() == ["a/x", "a/y", "a/z"]
    order.see("4", "a/z")
    order.see("4", "a/x")
    assert order.names() == ["a/x", "a/z", "a/y"]


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**53), 2**53),
    st.integers(-(2**70), 2**70),
)
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12),
    st.sampled_from(["=1+1", "007", "1e5", "", "'", "''=x", "nan", "-inf", "A\r\nB", '"', "-5"]),
)
NAMES = st.sampled_from(
    ["a/W", "a/V", "a/W_A", "a/b/c", "a/b/d", "=x/W", "@SUM(A1)", "\t/W", "ü,;/\"W'", "a/w"]
)
SECONDS = st.one_of(st.integers(0, 5), st.floats(0, 5).map(lambda at: round(at, 6)))


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Two databases of one kind."""
    with opened(request.param, request) as first:
        if request.param == "sqlite":
            second = open_new(tmp_path / "second.db")
            yield first, second
            second.dispose()
        else:
            with opened(request.param, request) as second:
                yield first, second


def flag_of(engine: Engine) -> str:
    url = engine.url.render_as_string(hide_password=False)
    return f"--db_url={url.replace('postgresql+psycopg', 'postgresql').partition('?')[0]}"


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    values=st.dictionaries(
        NAMES, st.dictionaries(SECONDS, st.one_of(NUMBERS, TEXTS), min_size=1, max_size=6)
    )
)
def test_an_export_of_an_import_of_an_export_is_the_same_to_the_byte(
    values: dict[str, dict[float, Value]], pair: tuple[Engine, Engine], tmp_path: Path
) -> None:
    first, second = pair
    empty(first)
    empty(second)
    fill(first, values)
    one, two = tmp_path / "one.csv", tmp_path / "two.csv"
    assert execute(["export", flag_of(first), f"--output={one}", "--overwrite"]) == 0
    assert execute(["import", str(one), flag_of(second)]) == 0
    assert execute(["export", flag_of(second), f"--output={two}", "--overwrite"]) == 0
    assert two.read_bytes() == one.read_bytes()
    assert execute(["import", str(one), flag_of(first)]) == 0


def test_recorded_readings_with_gaps_come_back_to_the_byte(
    db: Path, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    engine = open_new(db)
    store(
        engine,
        reading(0, (None, 7, "A1"), gaps={"Voltage_AN": "read_timeout"}),
        reading(1, (120.123456, None, "A1"), gaps={"Wh_delivered": "read_timeout"}),
        reading(2),
    )
    engine.dispose()
    execute(["export", f"--db_host={db}"])
    first = capfdbinary.readouterr().out
    (tmp_path / "values.csv").write_bytes(first)
    assert imported(tmp_path / "copy.db", tmp_path / "values.csv") == 0
    capfdbinary.readouterr()
    execute(["export", f"--db_host={tmp_path / 'copy.db'}"])
    assert capfdbinary.readouterr().out == first
    assert first.count(b"\r\n") == 8
