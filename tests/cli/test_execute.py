import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from emdc import cli
from emdc.cli import execute
from emdc.errors import ConfigError, StorageError
from tests.program import PATIENCE_S


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let every command end with this error."""

    def call(_tokens: Sequence[str]) -> int:
        raise error

    monkeypatch.setattr("emdc.cli.app.call", call)


@pytest.mark.parametrize(
    ("error", "tokens", "code"),
    [
        (ConfigError("a: wrong"), ["run"], 2),
        (StorageError("b: gone"), ["run"], 1),
        (OSError(28, "No space left on device"), ["run"], 1),
        (KeyError("c"), ["run"], 1),
        (KeyboardInterrupt(), ["run"], 0),
        (KeyboardInterrupt(), ["demo"], 0),
        (KeyboardInterrupt(), ["simulate"], 0),
        (KeyboardInterrupt(), ["collect"], 1),
        (BrokenPipeError(), ["map", "list"], 0),
    ],
)
def test_every_end_has_its_exit_code(
    error: BaseException, tokens: list[str], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising(monkeypatch, error)
    assert execute(tokens) == code


def test_a_fault_of_the_program_is_one_line_that_says_how_to_see_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, KeyError("two\nlines"))
    execute(["run"])
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1
    assert "KeyError" in printed
    assert "--debug" in printed


def test_debug_shows_the_trace(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, KeyError("two"))
    execute(["run", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_an_error_cannot_move_the_cursor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, ConfigError("a\x1b[2Jb"))
    execute(["run"])
    assert capsys.readouterr().err == "emdc: a\\u001b[2Jb\n"


def test_the_only_exit_codes_are_0_1_and_2() -> None:
    assert (cli.FAILED, cli.MISUSED) == (1, 2)


def emdc(*arguments: str, stdout: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "emdc", *arguments]
    return subprocess.run(
        command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.mark.parametrize("arguments", [("map", "list"), ("--help",), ("--version",)])
def test_a_reader_that_has_seen_enough_is_no_error(arguments: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = emdc(*arguments, stdout=writing)
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no full device here")  # noqa: PTH110
@pytest.mark.parametrize("arguments", [("map", "list"), ("--version",)])
def test_output_that_cannot_be_written_is_an_error_of_one_line(arguments: tuple[str, ...]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        ended = emdc(*arguments, stdout=full)
    finally:
        os.close(full)
    assert ended.returncode == 1
    assert "No space left on device" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_output_that_was_closed_before_the_start_is_no_error() -> None:
    command = f"{sys.executable} -m emdc map list >&-"
    ended = subprocess.run(
        ["/bin/sh", "-c", command], stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_sigterm_during_a_command_leaves_no_trace() -> None:
    code = (
        "import os, signal, emdc.cli, emdc.cli.app; "
        "emdc.cli.app.call = lambda tokens: os.kill(os.getpid(), signal.SIGTERM); "
        "emdc.cli.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, "collect"],
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "emdc: interrupted\n")


def test_ctrl_c_while_a_library_executes_a_text_is_an_exit_code_and_no_signal(
    tmp_path: Path,
) -> None:
    (tmp_path / "interrupted.py").write_text(
        "from emdc import cli\nimport emdc.cli.terminal\n"
        "cli._command = lambda tokens: exec('raise KeyboardInterrupt')\n"
        "cli.main()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-m", "interrupted", "export"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "emdc: interrupted\n")
