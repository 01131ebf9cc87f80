"""What a device says of itself, on the command line."""

import asyncio
import json
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest

from emdc.cli import execute
from tests import sunspec_device
from tests.program import emdc, finished, free_port
from tests.sunspec_device import Block, Device, common, device, meter203


@contextmanager
def playing(subject: Device) -> Iterator[int]:
    """The port of a device that answers on a thread of its own."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def run() -> None:
        stop = asyncio.Event()
        async with sunspec_device.serving(subject) as server:
            ready.set_result((asyncio.get_running_loop(), stop, server.port))
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    loop, stop, port = ready.result()
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def test_map_show_prints_the_models_and_metrics_of_a_device(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with playing(device(common(), Block(64111, [7] * 9), meter203())) as port:
        assert execute(["map", "show", "sunspec", "--host", f"127.0.0.1:{port}"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert ["1", "40002", "66", "read"] in lines
    assert ["64111", "40070", "9", "not", "read"] in lines
    assert ["203", "40081", "105", "read"] in lines
    (power,) = [line for line in lines if line[0] == "W"]
    assert power[1:6] == ["40099", "1", "INT16", "1", "W"]


def test_map_show_has_a_row_for_every_register_that_a_value_needs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with playing(device(common(), meter203())) as port:
        assert execute(["map", "show", "sunspec", "--host", f"127.0.0.1:{port}"]) == 0
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line for line in printed.splitlines() if line.strip()}
    named = set(re.findall(r"scale register ([^;\s]+)", printed))
    assert "model_203.W_SF" in named
    assert named <= rows.keys()
    assert "read for others" in rows["model_203.W_SF"]
    assert "minimum 13303913; maximum 13303913" in rows["model_203"]
    assert "read for others" not in rows["W"]
    assert "interval 3600" in rows["Serial_Number"]
    assert "3600.0" not in printed


def test_a_device_whose_models_are_empty_is_told_by_every_command(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with playing(device(Block(103, []))) as port:
        assert execute(["map", "show", "sunspec", "--host", f"127.0.0.1:{port}"]) == 1
        ended = finished("collect", *flags(port), folder=tmp_path)
    problem = "models 103 with 0 registers from 40000"
    assert problem in capsys.readouterr().err
    assert ended.returncode == 1
    assert f"emdc: roof: no value, not_discovered: {problem}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_map_show_writes_an_address_with_its_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["map", "show", "sunspec", "--host", f"[::1]:{free_port()}"]) == 1
    assert "emdc: [::1]:" in capsys.readouterr().err


def test_map_show_asks_the_unit_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    subject = device(common(), meter203())
    subject.unit = 126
    with playing(subject) as port:
        host = f"127.0.0.1:{port}"
        assert execute(["map", "show", "sunspec", "--host", host]) == 1
        assert "exception:11" in capsys.readouterr().err
        assert execute(["map", "show", "sunspec", "--host", host, "--unit", "126"]) == 0


def test_map_show_says_why_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with playing(Device()) as port:
        assert execute(["map", "show", "sunspec", "--host", f"127.0.0.1:{port}"]) == 1
    error = capsys.readouterr().err
    assert "no SunSpec marker at 40000, 0, 50000" in error
    assert "switch SunSpec over Modbus TCP on" in error
    assert execute(["map", "show", "sunspec", "--host", f"127.0.0.1:{free_port()}"]) == 1
    assert "connect_refused" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "plan"])
def test_other_commands_say_that_a_device_is_to_be_asked(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["map", command, "sunspec"]) == 2
    assert "emdc map show sunspec --host HOST" in capsys.readouterr().err


def test_map_show_wants_a_host(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["map", "show", "sunspec"]) == 2
    assert "--host: missing" in capsys.readouterr().err


def flags(port: int) -> tuple[str, ...]:
    return (
        f"--panel_host=127.0.0.1:{port}",
        "--panel_topic_prefix=roof",
        "--panel_metrics_workbook=sunspec",
        "--panel_modbus_retries=0",
    )


def test_collect_reads_what_the_device_has(tmp_path: Path) -> None:
    with playing(device(common(), meter203())) as port:
        ended = finished("collect", *flags(port), "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (meter,) = json.loads(ended.stdout)
    values = {one["metric"]: one["value"] for one in meter["values"]}
    assert (values["W"], values["Serial_Number"]) == (432.1, "SN-42")


def test_collect_says_why_a_device_does_not_say_what_it_has(tmp_path: Path) -> None:
    ended = finished("collect", *flags(free_port()), folder=tmp_path)
    assert ended.returncode == 1
    assert "emdc: roof: no value, connect_refused" in ended.stderr
    assert "nothing listens there" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_simulated_device_can_be_collected(tmp_path: Path) -> None:
    with emdc("simulate", "--map=sunspec", "--port=0", folder=tmp_path) as program:
        port = int(program.line("sunspec:").rsplit(":", 1)[1])
        ended = finished("collect", *flags(port), "--json", folder=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (meter,) = json.loads(ended.stdout)
    marks = {one["metric"]: one["mark"] for one in meter["values"]}
    assert {marks[name] for name in ("W", "Voltage_AN", "Current_A", "freq", "pf")} == {"ok"}


def test_a_simulated_device_counts_what_can_be_read(tmp_path: Path) -> None:
    with emdc("simulate", "--map=sunspec", "--port=0", folder=tmp_path) as program:
        shown = program.line("sunspec:")
        ended = finished("collect", *flags(int(shown.rsplit(":", 1)[1])), "--json", folder=tmp_path)
    (meter,) = json.loads(ended.stdout)
    assert shown.startswith(f"sunspec: {len(meter['values'])} metrics at ")
