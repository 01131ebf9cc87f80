"""The whole program where not all is as it should be: streams, signals, environment, neighbours."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from emdc.cli.demo import simulated
from emdc.storage.conservation import conservation
from emdc.storage.database import open_engine
from tests.program import PATIENCE_S, Program, daemon, emdc, finished, free_port, meter_flags, until

W = "/metric?name=W"
DB = "emdc.db"
# Takes the pseudo-terminal on its standard input as its own, then becomes the program; the tests
# may run under nohup themselves.
ON_TERMINAL = (
    "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, '-m', 'emdc', *sys.argv[1:]])"
)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A Nexus 1272 that runs through all tests here."""
    with simulated() as ports:
        yield ports[0]


@pytest.fixture
def flags(port: int) -> tuple[str, ...]:
    """Flags of a daemon that reads it five times a second into a file."""
    return meter_flags(port, "--panel_interval=0.2", f"--db_host={DB}")


def rows(folder: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / DB)) as connection:
        return connection.execute(query).fetchall()


def count(folder: Path) -> int:
    """Scheduled readings in the file."""
    found: int = rows(folder, "SELECT count(*) FROM readings WHERE scheduled")[0][0]
    return found


def reads(program: Program) -> bool:
    return program.ask("GET", W)[0] == 200


def ended_well(folder: Path) -> None:
    """The file alone is left, whole, and the last run left the mark of its stop."""
    assert [path.name for path in folder.iterdir()] == [DB]
    assert rows(folder, "PRAGMA integrity_check") == [("ok",)]
    assert rows(folder, "SELECT max(reason) FROM gaps WHERE from_ts = to_ts") == [
        ("daemon_stopped",)
    ]


# Streams


def test_no_stream_works_and_it_collects_all_the_same(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    number = free_port()
    arguments = ("run", f"--port={number}", "--log_level=DEBUG", *flags)
    with emdc(*arguments, folder=tmp_path, shell="exec <&- 2>/dev/full") as program:
        assert program.process.stdout is not None
        program.process.stdout.close()
        program.page = f"http://127.0.0.1:{number}/"

        def answers() -> bool:
            try:
                return reads(program)
            except OSError:
                return False

        until(answers)
        program.process.send_signal(signal.SIGTERM)
        assert program.process.wait(PATIENCE_S) == 0
    ended_well(tmp_path)


# Signals


def test_sigterm_twice_ends_it_as_once_does(flags: tuple[str, ...], tmp_path: Path) -> None:
    with daemon(*flags, "--log_level=INFO", folder=tmp_path) as program:
        until(lambda: reads(program))
        program.process.send_signal(signal.SIGTERM)
        program.event("stopping")
        code, out, err = program.end(signal.SIGTERM)
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    ended_well(tmp_path)


def test_a_terminal_that_closes_ends_it_as_sigterm_does(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    import pty  # noqa: PLC0415 (it does not exist everywhere)

    ours, its = pty.openpty()
    command = [sys.executable, "-c", ON_TERMINAL, "run", "--port=0", *flags]
    with (
        subprocess.Popen(
            command, cwd=tmp_path, stdin=its, stdout=its, stderr=its, start_new_session=True
        ) as process,
        open(ours, "rb", buffering=0) as terminal,  # noqa: PTH123 (it is a number)
    ):
        os.close(its)
        try:
            while b"Ctrl-C ends" not in terminal.read(4096):
                pass
            until(lambda: count(tmp_path) > 0)
            terminal.close()
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
    ended_well(tmp_path)


def test_under_nohup_it_stays_when_the_terminal_closes(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    with daemon(*flags, folder=tmp_path, shell='trap "" HUP') as program:
        program.process.send_signal(signal.SIGHUP)
        before = count(tmp_path)
        until(lambda: count(tmp_path) > before)
        assert program.end(signal.SIGTERM)[0] == 0
    ended_well(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGWINCH])
def test_a_signal_that_asks_for_nothing_changes_nothing(
    number: signal.Signals, flags: tuple[str, ...], tmp_path: Path
) -> None:
    with daemon(*flags, folder=tmp_path) as program:
        program.process.send_signal(number)
        before = count(tmp_path)
        until(lambda: count(tmp_path) > before)
        assert program.end(signal.SIGTERM)[0] == 0


def test_an_unknown_signal_has_its_usual_effect_and_the_file_is_whole(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    with daemon(*flags, folder=tmp_path) as program:
        until(lambda: count(tmp_path) > 0)
        assert program.end(signal.SIGUSR1)[0] == -signal.SIGUSR1
    assert rows(tmp_path, "PRAGMA integrity_check") == [("ok",)]
    with daemon(*flags, folder=tmp_path) as program:
        before = count(tmp_path)
        until(lambda: count(tmp_path) > before)
        program.end(signal.SIGTERM)
    assert ("daemon_killed",) in rows(tmp_path, "SELECT reason FROM gaps WHERE from_ts < to_ts")


def test_a_frozen_program_has_one_gap_afterwards_and_no_burst(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    with daemon(*flags, folder=tmp_path) as program:
        until(lambda: count(tmp_path) > 2)
        program.process.send_signal(signal.SIGSTOP)
        frozen = datetime.now(UTC)
        until(lambda: datetime.now(UTC) > frozen + timedelta(seconds=2))
        program.process.send_signal(signal.SIGCONT)
        before = count(tmp_path)
        until(lambda: count(tmp_path) > before + 2)
        assert program.end(signal.SIGTERM)[0] == 0
    long = "julianday(to_ts) - julianday(from_ts) > 1.5 / 86400"
    assert len(rows(tmp_path, f"SELECT * FROM gaps WHERE {long}")) == 1
    # The reading that was under way when it froze may be late, and no other.
    late = "julianday(read_at) - julianday(ts) > 1.0 / 86400"
    assert len(rows(tmp_path, f"SELECT * FROM readings WHERE {late}")) <= 1
    conserved(tmp_path)


def conserved(folder: Path) -> None:
    (last,) = rows(folder, "SELECT max(ts) FROM readings WHERE scheduled")
    engine = open_engine(f"sqlite:///{folder / DB}")
    try:
        until_ts = datetime.fromisoformat(last[0]).replace(tzinfo=UTC)
        found = conservation(engine, until=until_ts)
    finally:
        engine.dispose()
    assert found.due > 0
    assert found.holds, found.examples


# Environment


@pytest.mark.parametrize(
    "shell",
    [
        "unset HOME",
        "export TZ=:bogus",
        "export TZ=Asia/Kathmandu",
        "unset LANG; export LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
    ],
)
def test_a_strange_environment_changes_neither_the_start_nor_utc(
    shell: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    before = datetime.now(UTC)
    with daemon(*flags, folder=tmp_path, shell=shell) as program:
        until(lambda: reads(program))
        assert program.end(signal.SIGTERM)[0] == 0
    (text,) = rows(tmp_path, "SELECT max(ts) FROM readings")[0]
    stored = datetime.fromisoformat(text).replace(tzinfo=UTC)
    assert before - timedelta(seconds=1) < stored <= datetime.now(UTC)


def test_a_working_folder_that_was_deleted_is_not_needed(port: int, tmp_path: Path) -> None:
    shell = "mkdir gone; cd gone; rmdir ../gone"
    arguments = meter_flags(port, f"--db_host={tmp_path / DB}", "--panel_interval=0.2")
    with daemon(*arguments, folder=tmp_path, shell=shell) as program:
        until(lambda: reads(program))
        assert program.end(signal.SIGTERM)[0] == 0
    ended_well(tmp_path)


@pytest.mark.parametrize("flag", ["--panel_metrics_workbook", "--config", "--db_host"])
def test_a_pipe_or_a_device_where_a_file_belongs_is_2_and_blocks_nothing(
    flag: str, tmp_path: Path
) -> None:
    flags = [one for one in meter_flags(1, "--port=0") if not one.startswith(flag)]
    for place in ("pipe", "/dev/zero"):
        with subprocess.Popen(["mkfifo", "pipe"], cwd=tmp_path, stderr=subprocess.DEVNULL):
            pass
        ended = finished("run", f"{flag}={place}", *flags, folder=tmp_path)
        assert ended.returncode == 2
        assert "regular" in ended.stderr
        assert ended.stderr.count("\n") == 1


# Neighbours


def test_a_second_daemon_on_a_meter_and_its_file_ends_with_1_and_names_the_first(
    flags: tuple[str, ...], tmp_path: Path
) -> None:
    with daemon(*flags, folder=tmp_path) as first:
        until(lambda: reads(first))
        ended = finished("run", "--port=0", *flags, folder=tmp_path)
        assert ended.returncode == 1
        assert f"recorded there by another program, process {first.process.pid}" in ended.stderr
        before = count(tmp_path)
        until(lambda: count(tmp_path) > before)
        assert first.end(signal.SIGTERM)[0] == 0
    held = "SELECT count(*) FROM readings WHERE gaps LIKE '%meter_held%'"
    assert rows(tmp_path, held) == [(0,)]
    conserved(tmp_path)


def test_two_daemons_with_a_meter_each_share_a_file_and_owe_nothing_for_each_other(
    tmp_path: Path,
) -> None:
    with simulated() as ports:
        shared = ("--panel_interval=0.2", f"--db_host={DB}")
        first_flags, second_flags = (
            (f"--panel_host=127.0.0.1:{number}", f"--panel_topic_prefix={name}", workbook, *shared)
            for number, name, workbook in (
                (ports[0], "a", "--panel_metrics_workbook=nexus-1272"),
                (ports[1], "b", "--panel_metrics_workbook=eaton-pxm-4000"),
            )
        )
        with daemon(*first_flags, folder=tmp_path) as first:
            until(lambda: reads(first))
            with daemon(*second_flags, folder=tmp_path) as second:
                until(lambda: reads(second))
                assert second.end(signal.SIGTERM)[0] == 0
            before = count(tmp_path)
            until(lambda: count(tmp_path) > before)
            assert first.end(signal.SIGTERM)[0] == 0
    of_a = "SELECT slots FROM schedules s JOIN meters m USING (meter_id) WHERE m.name = 'a'"
    # One row for each interval of the map: none was closed by the other daemon.
    assert sorted(len(slots) > len("[]") for (slots,) in rows(tmp_path, of_a)) == [True, True]
    whole = "SELECT reason FROM gaps JOIN meters USING (meter_id) WHERE name = 'a' AND reason = %r"
    assert rows(tmp_path, whole % "daemon_killed") == []
