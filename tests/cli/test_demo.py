import json
import signal
import socket
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emdc.cli import demo, execute
from emdc.cli.demo import METERS
from tests.program import PATIENCE_S, complaints, emdc


def stored(file: Path) -> list[tuple[Any, ...]]:
    query = "SELECT name, count(*) FROM readings JOIN meters USING (meter_id) GROUP BY name"
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_demonstration_runs_until_somebody_ends_it_and_keeps_its_data(
    number: signal.Signals, tmp_path: Path
) -> None:
    with emdc("demo", "--port=0", folder=tmp_path) as program:
        program.page = program.line("http://")
        while "2 of 2 meters" not in (line := program.line("")):
            pass
        assert "Mercer" in line
        assert "kW" in line
        status, body = program.ask("GET", "/health")
        assert status == 200
        assert {one["name"] for one in json.loads(body)["meters"]} == set(METERS)
        code, out, err = program.end(number)
    assert (code, complaints(err)) == (0, set())
    file = tmp_path / "emdc-demo.db"
    assert out.endswith(f"stopped; the readings are in {file}\n")
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    assert {name for name, _ in stored(file)} == set(METERS)


def test_a_taken_port_gives_way_to_a_free_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        flags = (f"--port={port}", f"--db={tmp_path / 'mine.db'}")
        with emdc("demo", *flags, folder=tmp_path) as program:
            assert program.line(f"port {port} is taken")
            program.page = program.line("http://")
            assert program.ask("GET", "/ping") == (200, "")
            assert program.end(signal.SIGINT)[0] == 0
    assert (tmp_path / "mine.db").exists()


def test_the_demonstration_ends_when_nobody_reads_its_lines(tmp_path: Path) -> None:
    with emdc("demo", "--port=0", folder=tmp_path) as program:
        program.line("http://")
        assert program.process.stdout is not None
        program.process.stdout.close()
        assert program.process.wait(PATIENCE_S) == 0


def test_a_file_that_is_no_database_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(b"these are my notes " * 100)
    assert execute(["demo", "--port=0", f"--db={file}"]) == 1
    assert "not a database" in capsys.readouterr().err


def test_a_meter_that_cannot_be_simulated_is_an_error_and_no_hanging(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(demo.METERS, "UW/Elm/other", "no-such-map")
    with pytest.raises(Exception, match="no-such-map"), demo.simulated():
        pass


def test_the_simulated_meters_have_ports_of_their_own() -> None:
    with demo.simulated() as ports:
        assert len(set(ports)) == len(METERS)
    assert isinstance(ports, Sequence)
