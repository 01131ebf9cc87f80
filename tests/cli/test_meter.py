"""`emdc meter`: what a user says of counters, and what that changes."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emdc.cli import execute, past
from tests.cli.recorded import METER, WATTS, WH, cells, printed, refused, table
from tests.storage.plant import execute as run
from tests.storage.plant import rows

pytestmark = pytest.mark.usefixtures("at_end")

NAMES = ["counter", "day", "before", "after", "unit", "quality"]
RESET_AT = "2026-03-01T14:00:00-08:00"
SAID = "SELECT kind, before_value, after_value, note FROM counter_epochs WHERE source = 'user'"


@pytest.fixture
def database(tmp_path: Path, recorded: Path) -> Path:
    """The recorded one, to be changed: its counter fell from 1,022,750 to 0 at 14:00."""
    return Path(shutil.copy(recorded, tmp_path / "emdc.db"))


def test_swap_of_a_meter_is_of_all_its_counters(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (f"--meter={METER}", "--at=2026-03-01T13:58", "--note=the new one")
    lines, _ = printed(capsys, database, "meter", "swap", *flags)
    assert lines[:2] == [
        f"{WH}: swap at 2026-03-01T13:58:00-08:00 is recorded",
        "What was counted, by days of America/Los_Angeles",
    ]
    assert cells(lines[2]) == NAMES
    assert cells(lines[4]) == [WH, "2026-03-01", "14,350", "14,350", "Wh", "suspect"]
    assert len(lines) == 5
    assert rows(database, SAID) == [("swap", None, None, "the new one")]


def test_registers_of_a_swap_say_what_was_counted_in_between(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--topic=Wh_received", "--at", "2026-03-01T13:58", "--before=1022780", "--after=0")
    lines, _ = printed(capsys, database, "meter", "swap", *flags)
    assert cells(lines[4]) == [WH, "2026-03-01", "14,350", "14,380", "Wh", "suspect"]


def test_figure_that_makes_far_more_than_any_day_had_is_named_with_the_way_back(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = "2026-03-01T13:58:00-08:00"
    flags = (f"--topic={WH}", f"--at={at}", "--before=9999999", "--after=0")
    lines, _ = printed(capsys, database, "meter", "swap", *flags)
    (said,) = [line for line in lines if "10 times" in line]
    assert f"emdc meter epoch --topic={WH} --at={at} --remove" in said


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--at=2026-03-01T13:58", "--before=5"), "--before: 5, but the last reading before"),
        (("--at=2026-03-01T13:58", "--after", "-5"), "--after: -5, expected 0 or more"),
        (
            (f"--at={RESET_AT}", "--after=77"),
            "--after: 77, but the first reading from --at on is 0",
        ),
        (("--at=2020-01-01",), "was not read before, expected a later instant"),
    ],
)
def test_registers_that_cannot_have_been_are_refused(
    database: Path, capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], expected: str
) -> None:
    assert expected in refused(capsys, database, "meter", "swap", f"--topic={WH}", *flags)
    assert rows(database, SAID) == []


def test_what_was_said_is_forgotten_again(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(database, "SELECT ts, energies, states FROM interval_rows ORDER BY ts")
    at = "--at=2026-03-01T13:58"
    printed(capsys, database, "meter", "swap", f"--topic={WH}", at, "--before=1022780")
    said, _ = printed(capsys, database, "meter", "epoch", f"--topic={WH}", at, "--remove")
    assert said[0] == f"{WH}: what was said of 2026-03-01T13:58:00-08:00 is forgotten"
    assert cells(said[4]) == [WH, "2026-03-01", "14,380", "14,350", "Wh", "suspect"]
    assert "a reset is still found at 2026-03-01T14:00:00-08:00, from 1,022,750 to 0" in said[5]
    assert rows(database, SAID) == []
    assert rows(database, "SELECT ts, energies, states FROM interval_rows ORDER BY ts") == before
    told = refused(capsys, database, "meter", "epoch", f"--topic={WH}", at, "--remove")
    assert f"--at: nothing was said of {WH} at 2026-03-01T13:58:00-08:00" in told


def test_saying_it_again_takes_its_place(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for before in (1022750, 1022750, 1022760):
        flags = (f"--at={RESET_AT}", "--kind=reset", f"--before={before}")
        lines, _ = printed(capsys, database, "meter", "epoch", "--topic=Wh_received", *flags)
    assert rows(database, SAID) == [("reset", 1022760.0, None, "")]
    assert [row[5] for row in epochs(capsys, database)] == ["user"]
    assert cells(lines[4])[2:4] == ["14,350", "14,360"]


def epochs(capsys: pytest.CaptureFixture[str], database: Path, *flags: str) -> list[list[str]]:
    return table(capsys, database, "meter", "epochs", *flags)[1][1:]


def test_epochs_are_those_found_and_those_said(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert epochs(capsys, database) == [[WH, RESET_AT, "reset", "1,022,750", "0", "found"]]
    flags = (f"--topic={WH}", "--at=2026-03-01T10:00", "--kind=glitch", "--note=a visit")
    printed(capsys, database, "meter", "epoch", *flags)
    found = epochs(capsys, database, f"--meter={METER}")
    said = [WH, "2026-03-01T10:00:00-08:00", "glitch", "-", "-", "user", "a visit"]
    assert found == [said, [WH, RESET_AT, "reset", "1,022,750", "0", "found"]]
    (line,), _ = printed(capsys, database, "meter", "epochs", f"--topic={WH}", "--json")
    assert json.loads(line)[1] == {
        "topic": WH,
        "at": RESET_AT,
        "kind": "reset",
        "before": 1022750,
        "after": 0,
        "source": "found",
        "note": "",
    }
    lines, _ = printed(capsys, database, "meter", "epochs", "--csv")
    assert lines[2] == f"{WH},{RESET_AT},reset,1022750.0,0.0,found,"


def test_no_epoch_is_said_in_words(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = printed(capsys, database, "meter", "epochs", f"--topic={WATTS}")
    assert lines == ["no counter began anew"]


def test_time_of_an_epoch_can_be_copied(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ((_, at, *_),) = epochs(capsys, database)
    printed(capsys, database, "meter", "epoch", f"--topic={WH}", f"--at={at}", "--kind=swap")
    assert [row[2:6:3] for row in epochs(capsys, database)] == [["swap", "user"]]


def test_what_readings_were_deleted_of_stays(
    database: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        database,
        "INSERT INTO gaps VALUES (1, '2026-02-28 08:00:00.000000', '2026-03-02 08:00:00.000000',"
        " 'retention'); DELETE FROM readings WHERE ts < '2026-03-02 08:00:00.000000'",
    )
    flags = (f"--meter={METER}", "--at=2026-03-01T13:58")
    lines, noted = printed(capsys, database, "meter", "swap", *flags)
    assert "the readings before 2026-03-02T00:00:00-08:00 are deleted" in noted
    assert cells(lines[4])[2:4] == ["14,350", "14,350"]


def test_clock_that_cannot_be_right_changes_nothing(
    database: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past, "now", lambda: datetime(2106, 1, 1, tzinfo=UTC).timestamp())
    flags = (f"--meter={METER}", "--at=2026-03-01T13:58", f"--db_host={database}")
    assert execute(["meter", "swap", *flags]) == 1
    assert "the clock of this machine says 2106-01-01" in capsys.readouterr().err
    assert rows(database, SAID) == []


AT = "--at=2026-03-01"


@pytest.mark.parametrize(
    ("command", "flags", "problem"),
    [
        ("swap", (AT,), "--meter: missing, expected the name of the meter that was swapped"),
        ("swap", (f"--meter={METER}",), "--at: missing, expected when it was, such as"),
        ("swap", ("--meter=UW/Mercer/nexus", AT), f"expected one such as {METER}"),
        ("swap", (f"--meter={METER}", "--at=noon"), "--at: 'noon', expected such as 2026-03-01"),
        ("swap", (f"--meter={METER}", "--at=2026-03-03"), "--at: 2026-03-03 lies in the future"),
        ("swap", (f"--topic={WATTS}", AT), f"--topic: {WATTS} is a gauge, expected a counter"),
        ("swap", (f"--topic={WH}", "--meter=a", AT), f"--topic: {WH} is none of --meter a"),
        ("swap", (f"--topic={WH}x", AT), f"no topic is called '{WH}x', did you mean {WH}"),
        ("swap", (f"--topic={WH}", AT, "--before=much"), "--before: 'much', expected a number"),
        ("epoch", (AT, "--kind=real"), "--topic: missing, expected a counter"),
        ("epoch", (f"--topic={WH}", AT), "--kind: missing, expected one of reset, rollover, swap"),
        ("epoch", (f"--topic={WH}", AT, "--kind=x"), "--kind: 'x', expected one of reset"),
        ("epoch", (f"--topic={WH}", AT, "--kind=real", "--after=1"), "--after: a real has none"),
        ("epoch", (f"--topic={WH}", AT, "--kind=real", "--remove"), "--remove: expected with"),
        ("epochs", ("--meter=UW",), "--meter: no meter 'UW', expected one such as"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    command: str,
    flags: tuple[str, ...],
    problem: str,
    database: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert problem in refused(capsys, database, "meter", command, *flags)
    assert rows(database, SAID) == []


def test_register_is_of_one_counter(database: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(database, """UPDATE meta SET metadata = '{"units":"W","kind":"counter"}'""")
    flags = (f"--meter={METER}", AT, "--after=3")
    said = refused(capsys, database, "meter", "swap", *flags)
    assert f"--after: is of one counter, expected --topic, such as {WH} or {WATTS}" in said
