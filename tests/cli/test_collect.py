import asyncio
import json
import re
import sqlite3
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emdc.cli import collect, execute
from emdc.cli.demo import METERS, simulated
from emdc.daemon import open_links
from emdc.meters import library
from emdc.modbus.settings import LinkSettings
from tests.program import daemon, free_port, meter_flags

NEXUS = [metric.name for metric in library.find("nexus-1272").metrics]


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, ...]]:
    with simulated() as found:
        yield found


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def two_meters(folder: Path, ports: tuple[int, ...]) -> str:
    """A configuration file for the meters of the demonstration."""
    file = folder / "emdc.toml"
    blocks = (
        f'[[meters]]\nname = "{name}"\nhost = "127.0.0.1:{port}"\nmap = "{map_name}"\n'
        for (name, map_name), port in zip(METERS.items(), ports, strict=True)
    )
    file.write_text("".join(blocks), encoding="utf-8")
    return f"--config={file}"


def test_every_metric_is_printed_with_a_value_and_a_mark(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["collect", *meter_flags(ports[0])]) == 0
    printed = capsys.readouterr()
    table = [line.split() for line in printed.out.splitlines()]
    assert [line[0] for line in table if line[-1:] == ["ok"]] == NEXUS
    assert f"{len(NEXUS)} of {len(NEXUS)} values" in printed.out
    assert printed.err == ""


def test_json_holds_the_same_for_programs(
    ports: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["collect", two_meters(tmp_path, ports), "--json"]) == 0
    meters = json.loads(capsys.readouterr().out)
    assert [meter["meter"] for meter in meters] == list(METERS)
    assert [value["metric"] for value in meters[0]["values"]] == NEXUS
    assert {value["mark"] for meter in meters for value in meter["values"]} == {"ok"}
    assert meters[0]["values"][0]["unit"] == "V"


def test_one_meter_of_several_can_be_chosen(
    ports: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = list(METERS)[1]
    assert execute(["collect", two_meters(tmp_path, ports), f"--meter={name}"]) == 0
    printed = capsys.readouterr().out
    assert name in printed
    assert next(iter(METERS)) not in printed


def test_a_meter_that_is_not_configured_cannot_be_chosen(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["collect", *meter_flags(ports[0]), "--meter=other"]) == 2
    assert "'other' is not configured" in capsys.readouterr().err


def test_nothing_is_stored_without_a_database(
    ports: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["collect", *meter_flags(ports[0])]) == 0
    assert list(tmp_path.iterdir()) == []


def test_with_a_database_the_readings_are_stored_as_manual_ones(
    ports: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "emdc.db"
    assert execute(["collect", two_meters(tmp_path, ports), f"--db_host={file}"]) == 0
    assert "stored in" in capsys.readouterr().err
    assert rows(file, "SELECT count(*), max(scheduled) FROM readings") == [(2, 0)]
    assert rows(file, "SELECT (SELECT count(*) FROM schedules), count(*) FROM gaps") == [(0, 0)]


def test_the_database_may_come_from_the_environment(
    ports: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "emdc.db"
    monkeypatch.setenv("UWSOLAR_DB_HOST", str(file))
    assert execute(["collect", *meter_flags(ports[0])]) == 0
    assert rows(file, "SELECT count(*) FROM readings") == [(1,)]


def test_a_meter_that_is_off_gives_1_and_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    flags = meter_flags(free_port(), "--panel_modbus_retries=0")
    assert execute(["collect", *flags]) == 1
    printed = capsys.readouterr().err
    assert "no value, connect_refused: 127.0.0.1:" in printed
    assert "nothing listens there: is Modbus TCP switched on in the meter" in printed


def test_a_line_that_cannot_be_opened_says_why_and_nothing_of_ports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = tmp_path / "ttyUSB0"
    flags = [f"--panel_host={device}", "--panel_metrics_workbook=nexus-1272"]
    assert execute(["collect", *flags, "--panel_topic_prefix=a", "--panel_modbus_retries=0"]) == 1
    (said,) = capsys.readouterr().err.splitlines()
    problem = f"connect_refused: {device}: No such file or directory"
    assert said == f"emdc: a: no value, {problem}"


def test_a_meter_that_refuses_the_registers_is_not_said_to_be_without_power(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [flag.replace("nexus-1272", "eaton-pxm-4000") for flag in meter_flags(ports[0])]
    assert execute(["collect", *flags]) == 1
    printed = capsys.readouterr().err
    assert "exception:2" in printed
    assert "it answers but refuses these registers: is this the right map and unit?" in printed
    assert "power" not in printed


def test_one_meter_that_answers_is_enough(
    ports: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag = two_meters(tmp_path, (ports[0], free_port()))
    file = tmp_path / "emdc.toml"
    file.write_text(file.read_text(encoding="utf-8") + "retries = 0\n", encoding="utf-8")
    assert execute(["collect", flag]) == 0
    printed = capsys.readouterr()
    assert next(iter(METERS)) in printed.out
    assert list(METERS)[1] in printed.err


def test_beside_a_daemon_it_names_the_holder_and_how_to_ask_it(
    ports: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "emdc.db"
    flags = meter_flags(ports[0], "--panel_modbus_retries=0")
    with daemon(*flags, folder=tmp_path) as running:
        assert running.ask("POST", "/collect")[0] == 200
        assert execute(["collect", *flags, f"--db_host={file}"]) == 1
        printed = capsys.readouterr().err
        assert f"process {running.process.pid}" in printed
        advised = re.search(r"; ask it: curl -X POST (\S+); curl '(\S+)'$", printed, re.MULTILINE)
        assert advised is not None
        assert advised[1] == f"{running.page}collect"
        with urllib.request.urlopen(advised[2]) as answer:
            topics = json.load(answer)["topics"]
        assert [topic["metric"] for topic in topics] == NEXUS
        assert all(topic["value"] is not None for topic in topics)
    assert rows(file, "SELECT count(*) FROM readings") == [(0,)]


def test_a_holder_that_serves_no_page_is_named_all_the_same(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    async def beside() -> int:
        links = open_links("emdc collect, process 1")
        try:
            link = links.link("127.0.0.1", ports[0], LinkSettings())
            (await link.dial.connect(timeout_s=5)).close()
            flags = meter_flags(ports[0], "--panel_modbus_retries=0")
            return await asyncio.to_thread(execute, ["collect", *flags])
        finally:
            links.close()

    assert asyncio.run(beside()) == 1
    printed = capsys.readouterr().err
    assert "is being read by emdc collect, process 1" in printed
    assert "curl" not in printed


def test_the_page_is_found_in_what_a_holder_says() -> None:
    said = "emdc, process 7, at http://[::1]:8080/"
    found = collect._PAGE.search(said)
    assert found is not None
    assert found[0] == "http://[::1]:8080"


def test_warnings_beside_an_answer_are_text_even_where_nobody_looks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert execute(["collect", *meter_flags(free_port(), "--panel_unit=0")]) == 1
    printed = capsys.readouterr().err
    assert "--panel_unit: 0 is reserved" in printed
    assert "{" not in printed


@pytest.mark.parametrize(("ratio", "warned"), [("400/5", True), ("meter", True), ("1", False)])
def test_a_ratio_that_the_map_has_no_use_for_is_warned_of(
    ratio: str, warned: bool, ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = (
        f"--panel_host=127.0.0.1:{ports[1]}",
        "--panel_topic_prefix=a",
        "--panel_metrics_workbook=eaton-pxm-4000",
        f"--panel_ct_ratio={ratio}",
    )
    assert execute(["collect", *flags]) == 0
    assert ("no value of the map goes by this ratio" in capsys.readouterr().err) is warned
