"""The whole program as a process of its own, on simulated meters of this machine."""

import asyncio
import json
import signal
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from emdc.cli.demo import simulated
from emdc.config import MeterSettings, Settings
from emdc.daemon import open_links, open_meters, plan
from tests.program import daemon, finished, free_port, meter_flags, until

W = "/metric?name=W"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A Nexus 1272 that runs through all tests here."""
    with simulated() as ports:
        yield ports[0]


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def test_the_daemon_answers_http_and_ends_at_ctrl_c(port: int, tmp_path: Path) -> None:
    with daemon(*meter_flags(port), folder=tmp_path) as program:
        assert program.ask("GET", "/ping") == (200, "")
        status, text = program.ask("GET", W)
        assert status == 200
        assert float(text) > 0
        assert program.ask("POST", "/collect?iterations=2&wait_time=0") == (200, "")
        code, out, err = program.end(signal.SIGINT)
    assert (code, out) == (0, "")
    assert "Traceback" not in err


def test_without_a_database_the_start_says_that_samples_are_lost_and_how_to_keep_them(
    port: int, tmp_path: Path
) -> None:
    with daemon(*meter_flags(port), folder=tmp_path) as program:
        assert "lost when the program ends" in program.started["readings"]
        assert "--db_host=emdc.db keeps them" in program.started["readings"]
        assert "POST /collect" in program.started["meters"]
        assert "this machine only" in program.started["open_to"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("database", ["in memory", "file"])
def test_what_was_just_read_is_in_the_answers_about_the_past(
    port: int, tmp_path: Path, database: str
) -> None:
    flags = [f"--db_host={tmp_path / 'emdc.db'}"] if database == "file" else []
    with daemon(*meter_flags(port, *flags, "--panel_interval=0.2"), folder=tmp_path) as program:

        def rows(path: str) -> list[Any]:
            status, text = program.ask("GET", path)
            assert status == 200, text
            return list(json.loads(text)["rows"])

        until(lambda: len(rows("/history?topic=W&start=-1h&step=0")) > 2)
        assert rows("/history?topic=W&start=-1h&step=1d")[0][1] > 2
        status, text = program.ask("GET", "/energy?topic=W&start=-1h&per=total")
        assert (status, json.loads(text)["periods"][0]["quality"]) == (200, "estimated")
        assert json.loads(program.ask("GET", "/topics?search=voltage")[1])["total"] > 2
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0, err
    assert [path.name for path in tmp_path.iterdir()] == (["emdc.db"] if flags else [])


def test_the_end_by_sigterm_leaves_a_clean_database_and_the_mark_of_a_stop(
    port: int, tmp_path: Path
) -> None:
    file = tmp_path / "emdc.db"
    flags = meter_flags(port, f"--db_host={file}", "--panel_interval=0.2")
    with daemon(*flags, folder=tmp_path) as program:
        until(lambda: program.ask("GET", W)[0] == 200)
        code, _, err = program.end(signal.SIGTERM)
    assert code == 0, err
    assert [path.name for path in tmp_path.iterdir()] == ["emdc.db"]
    assert rows(file, "PRAGMA integrity_check") == [("ok",)]
    # What the map wants once an hour is read at the start too, beside the schedule.
    assert rows(file, "SELECT count(*) FROM readings WHERE scheduled = 0") in ([(0,)], [(1,)])
    assert rows(file, "SELECT count(*) > 0 FROM readings WHERE scheduled = 1") == [(1,)]
    assert rows(file, "SELECT reason FROM gaps WHERE from_ts = to_ts") == [("daemon_stopped",)]


def test_readings_of_a_manual_collection_are_in_the_file_when_the_answer_comes(
    port: int, tmp_path: Path
) -> None:
    file = tmp_path / "emdc.db"
    with daemon(*meter_flags(port, f"--db_host={file}"), folder=tmp_path) as program:
        assert program.ask("POST", "/collect?iterations=3&wait_time=0")[0] == 200
        assert rows(file, "SELECT count(*), max(scheduled) FROM readings") == [(3, 0)]


def test_the_flags_of_the_old_collector_start_it(port: int, tmp_path: Path) -> None:
    old = (
        "--log_level=DEBUG",
        "--db_type=sqlite",
        "--db_user=uwsolar",
        "--db_password=",
        "--db_host=old.db",
        "--db_name=uwsolar",
        "--db_pool_size=3",
        "--panel_metrics_worksheet_name=Metrics",
        "--panel_modbus_retries=3",
        "--panel_modbus_retry_wait_time=1",
    )
    with daemon("--host", "127.0.0.1", *meter_flags(port, *old), folder=tmp_path) as program:
        assert program.ask("GET", W)[0] == 200
    assert (tmp_path / "old.db").exists()


def test_the_environment_of_the_old_collector_starts_it(port: int, tmp_path: Path) -> None:
    environment = {
        "UWSOLAR_DB_HOST": "sqlite.db",
        "UWSOLAR_PANEL_HOST": f"127.0.0.1:{port}",
        "UWSOLAR_PANEL_TOPIC_PREFIX": "UW/Mercer/nexus_meter",
        "UWSOLAR_PANEL_METRICS_WORKBOOK": "nexus-metrics.xlsx",
        "UWSOLAR_PANEL_MODBUS_RETRIES": "2",
    }
    with daemon(folder=tmp_path, environment=environment) as program:
        assert program.ask("GET", W)[0] == 200
    assert (tmp_path / "sqlite.db").exists()


def test_a_file_describes_several_meters(port: int, tmp_path: Path) -> None:
    meter = f'[[meters]]\nname = "m%d"\nhost = "127.0.0.1:{port}"\nmap = "nexus-1272"\n'
    (tmp_path / "emdc.toml").write_text(meter % 1 + meter % 2, encoding="utf-8")
    with daemon("--config=emdc.toml", folder=tmp_path) as program:
        assert program.ask("POST", "/collect")[0] == 200
        meters = json.loads(program.ask("GET", "/health")[1])["meters"]
    assert [(one["name"], one["state"]) for one in meters] == [("m1", "ok"), ("m2", "ok")]


def test_a_meter_that_is_off_is_a_gap_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "emdc.db"
    flags = meter_flags(free_port(), f"--db_host={file}", "--panel_modbus_retries=0")
    with daemon(*flags, folder=tmp_path) as program:
        assert program.ask("POST", "/collect") == (200, "")
        assert program.event("meter does not answer")["reason"] == "connect_refused"
        status, text = program.ask("GET", W)
        assert status in {502, 503}
        assert "connect_refused" in text or "backoff_skipped" in text
        assert program.end(signal.SIGINT)[0] == 0
    missing = "SELECT count(*) > 0 FROM readings WHERE gaps LIKE '%connect_refused%'"
    assert rows(file, missing) == [(1,)]


def test_a_second_daemon_on_a_meter_says_who_holds_it_and_records_the_gaps(
    port: int, tmp_path: Path
) -> None:
    file = tmp_path / "second.db"
    flags = meter_flags(port, "--panel_interval=0.2", "--panel_modbus_retries=0")
    with daemon(*flags, folder=tmp_path) as first:
        until(lambda: first.ask("GET", W)[0] == 200)
        with daemon(*flags, f"--db_host={file}", folder=tmp_path) as second:
            silent = second.event("meter does not answer")
            assert silent["reason"] == "meter_held"
            assert f"process {first.process.pid}, at {first.page}" in silent["held_by"]
            until(lambda: "meter_held" in second.ask("GET", W)[1])
            assert second.end(signal.SIGINT)[0] == 0
        assert first.ask("GET", W)[0] == 200
    stored = "SELECT count(*) > 0 FROM readings WHERE gaps LIKE '%meter_held%'"
    assert rows(file, stored) == [(1,)]


def test_a_taken_port_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        ended = finished("run", *meter_flags(1, f"--port={number}"), folder=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"emdc: cannot listen on 127.0.0.1:{number}: ")
    assert "--port" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_database_of_another_program_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    file.write_bytes(b"this is no database " * 100)
    ended = finished("run", *meter_flags(1, "--port=0", "--db_host=other.db"), folder=tmp_path)
    assert ended.returncode == 1
    assert "not a database" in ended.stderr
    assert file.read_bytes() == b"this is no database " * 100


@pytest.mark.parametrize(
    ("interval", "given", "pause_s"),
    [(None, None, 30), (0.2, None, 1), (1, None, 2), (60, None, 30), (1, 12.5, 12.5)],
)
def test_a_meter_that_is_back_is_asked_within_two_intervals_unless_a_setting_says_otherwise(
    interval: float | None, given: float | None, pause_s: float
) -> None:
    meter = MeterSettings(
        name="m", host="127.0.0.1", map="nexus-1272", interval=interval, backoff_max=given
    )

    async def longest_pause_s() -> float:
        links = open_links("a test")
        try:
            (opened,), _ = open_meters(plan(Settings(meters=(meter,))), links, mend=False)
            return opened.link.settings.backoff_max_s
        finally:
            links.close()

    assert asyncio.run(longest_pause_s()) == pause_s


def test_meters_behind_one_gateway_are_waited_for_as_long_as_the_quickest_of_them_allows() -> None:
    slow = MeterSettings(name="slow", host="127.0.0.1", map="nexus-1272", interval=60)
    quick = MeterSettings(name="quick", host="127.0.0.1", map="nexus-1272", interval=1, unit=2)
    other = MeterSettings(name="other", host="127.0.0.2", map="nexus-1272", interval=60)

    async def longest_pauses_s() -> list[float]:
        links = open_links("a test")
        try:
            settings = Settings(meters=(slow, quick, other))
            opened, _ = open_meters(plan(settings), links, mend=False)
            return [meter.link.settings.backoff_max_s for meter in opened]
        finally:
            links.close()

    assert asyncio.run(longest_pauses_s()) == [2, 2, 30]


def test_the_zone_and_the_most_power_of_a_meter_are_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    said = MeterSettings(
        name="said", host="::1", map="nexus-1272", timezone="Europe/Paris", max_power=166.3
    )
    silent = MeterSettings(name="silent", host="::1", map="nexus-1272", unit=2)

    async def recorded() -> list[list[str | float | None]]:
        links = open_links("a test")
        try:
            opened, _ = open_meters(plan(Settings(meters=(said, silent))), links, mend=False)
            found = [meter.profile.settings for meter in opened]
            return [[one.get("timezone"), one.get("max_power")] for one in found]
        finally:
            links.close()

    assert asyncio.run(recorded()) == [["Europe/Paris", 166.3], ["Asia/Kathmandu", None]]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--panel_hots=x",), "unknown option: --panel_hots, did you mean --panel_host"),
        (("--panel_host=a", "--panel-host=b"), "--panel-host specified multiple times"),
        (("--panel_unit=300",), "--panel_unit: 300, expected 0-255"),
        ((), "no meter is configured"),
        (meter_flags(1, "--host=0.0.0.0"), "'0.0.0.0' is open to the network"),
    ],
)
def test_a_wrong_setting_ends_it_with_2(
    arguments: tuple[str, ...], problem: str, tmp_path: Path
) -> None:
    ended = finished("run", *arguments, folder=tmp_path)
    assert ended.returncode == 2
    assert problem in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_wrong_map_ends_it_with_2_and_names_the_nearest(tmp_path: Path) -> None:
    flags = [flag.replace("nexus-1272", "nexus-1271") for flag in meter_flags(1)]
    ended = finished("run", "--port=0", *flags, folder=tmp_path)
    assert ended.returncode == 2
    assert "did you mean nexus-1272?" in ended.stderr
