import subprocess
import sys
from importlib import import_module

import pytest

from emdc import __version__
from emdc.cli import execute
from emdc.cli.app import COMMANDS

HEAVY = ("sqlalchemy", "litestar", "openpyxl", "uvicorn")


def test_the_program_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([]) == 0
    printed = capsys.readouterr().out
    assert all(name in printed and summary in printed for name, (_, summary) in COMMANDS.items())


def test_version_is_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_with_the_line_of_the_overview(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([name, "--help"]) == 0
    assert COMMANDS[name][1] in capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_is_where_the_table_says(name: str) -> None:
    module, _, attribute = COMMANDS[name][0].partition(":")
    assert callable(getattr(import_module(module), attribute))


@pytest.mark.parametrize("argument", ["--version", "--help", "runs"])
def test_nothing_heavy_is_loaded_before_a_command_is_known(argument: str) -> None:
    code = (
        "import sys; from emdc.cli import execute; "
        f"execute([{argument!r}]); sys.exit(any(name in sys.modules for name in {HEAVY!r}))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode
        == 0
    )


@pytest.mark.parametrize(
    ("tokens", "problem"),
    [
        (["runs"], "unknown command 'runs', did you mean run, expected one of run, collect,"),
        (["--versio"], "unknown command '--versio'"),
        (["map", "shw"], 'unknown command "shw", did you mean "show"'),
        (["map", "show"], "parameter NAME requires an argument"),
        (["probe", "a", "now"], "'now' belongs to no flag; a flag and its value are --flag=value"),
        (["run", "10.0.0.5:502"], "belongs to no flag; did you mean --panel_host=10.0.0.5:502"),
        (["run", "a.toml"], "'a.toml' belongs to no flag; did you mean --config=a.toml"),
        (["collect", "--map=x"], "--map, did you mean --panel_metrics_workbook;"),
        (["collect", "--port", "5"], "--port, did you mean --panel_host=HOST:PORT;"),
        (["probe", "10.0.0.5", "--port=5"], "did you mean HOST:PORT without a flag;"),
        (["map", "show", "sunspec", "--port=5"], "did you mean --host=HOST:PORT;"),
        (["run", "--panel_hots=x"], "unknown option: --panel_hots, did you mean --panel_host;"),
        (["run", "--panel_hos=x"], "unknown option: --panel_hos"),
        (["run", "--panel_host"], "--panel_host requires an argument"),
        (["run", "--port=1", "--port=2"], "--port specified multiple times"),
        (["run", "--debug=perhaps"], "--debug"),
        (["migrate", "--panel_host=x"], "unknown option: --panel_host"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_2(
    tokens: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(tokens) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("emdc: ")
    assert problem in printed.err
    assert printed.err.count("\n") == 1
    assert "--help" in printed.err
