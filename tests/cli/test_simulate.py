import shlex
import signal
import socket
from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.meters import library
from tests.program import emdc, finished

MAP = "--map=nexus-1272"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_map_is_served_until_somebody_ends_it(number: signal.Signals, tmp_path: Path) -> None:
    with emdc("simulate", MAP, "--port=0", folder=tmp_path) as program:
        count = len(library.find("nexus-1272").metrics)
        shown = program.line("nexus-1272:")
        assert shown.startswith(f"nexus-1272: {count} metrics at 127.0.0.1:")
        tried = program.line("try:").removeprefix("try: emdc ")
        assert finished(*shlex.split(tried), folder=tmp_path).returncode == 0
        code, _, err = program.end(number)
    assert (code, err) == (0, "")


def test_only_the_given_unit_answers(tmp_path: Path) -> None:
    with emdc("simulate", MAP, "--port=0", "--unit=7", "--latency=1", folder=tmp_path) as program:
        assert program.line("nexus-1272:").endswith(", unit 7")
        tried = shlex.split(program.line("try:").removeprefix("try: emdc "))
        assert "--panel_unit=7" in tried
        assert finished(*tried, folder=tmp_path).returncode == 0
        other = finished(*tried[:-1], "--panel_unit=8", folder=tmp_path)
    assert other.returncode == 1
    assert "exception:11" in other.stderr


def test_a_map_is_served_in_rtu_frames(tmp_path: Path) -> None:
    flags = ("simulate", MAP, "--port=0", "--transport=rtu-over-tcp")
    with emdc(*flags, folder=tmp_path) as program:
        program.line("nexus-1272:")
        tried = shlex.split(program.line("try:").removeprefix("try: emdc "))
        assert "--panel_transport=rtu-over-tcp" in tried
        assert finished(*tried, folder=tmp_path).returncode == 0
        once = ("--panel_modbus_retries=0", "--panel_timeout=0.5")
        other = finished(*tried[:-1], *once, folder=tmp_path)
    assert other.returncode == 1


def test_what_it_says_to_try_finds_the_same_map(tmp_path: Path) -> None:
    folder = tmp_path / "own maps"
    folder.mkdir()
    (folder / "my meter.xlsx").write_bytes(library.shipped("nexus-1272"))
    for flags in (["--map=own maps/my meter.xlsx"], ["--map=my meter", "--maps_dir=own maps"]):
        with emdc("simulate", *flags, "--port=0", folder=tmp_path) as program:
            program.line("my meter:")
            tried = shlex.split(program.line("try:").removeprefix("try: emdc "))
            ended = finished(*tried, folder=tmp_path)
        assert ended.returncode == 0, ended.stderr


def test_a_taken_port_is_an_error_that_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert execute(["simulate", MAP, f"--port={port}"]) == 1
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ([], "--map: missing"),
        (["--map=nexsus-1272"], "did you mean nexus-1272?"),
        ([MAP, "--port=65536"], "--port: 65536, expected 0-65535"),
        ([MAP, "--transport=udp"], "--transport: 'udp', expected one of tcp, rtu-over-tcp"),
        ([MAP, "--latency=-1"], "--latency: -1.0, expected 0-60000"),
        ([MAP, "--host=nowhere:1"], "--host: 'nowhere:1'"),
    ],
)
def test_what_cannot_be_simulated_is_2(
    flags: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["simulate", *flags]) == 2
    assert problem in capsys.readouterr().err
