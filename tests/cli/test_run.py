import asyncio
import json
import logging
import socket
import sys
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from emdc.cli.run import address, announce
from emdc.cli.settings import start_log
from emdc.config import Http, MeterSettings, Settings
from emdc.config.database import Database
from emdc.config.secret import Secret
from emdc.storage.tally import StorageStatus
from emdc.web.service import Service


@dataclass
class Listener:
    """What a listening socket says of itself."""

    name: tuple[Any, ...]

    def getsockname(self) -> tuple[Any, ...]:
        return self.name


def listening(*name: Any) -> socket.socket:
    return cast("socket.socket", Listener(name))


def settings(*intervals: float | None, db: str = "emdc.db", http: Http | None = None) -> Settings:
    meters = tuple(
        MeterSettings(name=f"m{place}", host="h", map="nexus-1272", interval=interval)
        for place, interval in enumerate(intervals)
    )
    database = Database(host=db, password=Secret("hidden"))
    return Settings(meters=meters, database=database, http=http or Http())


WRITES = StorageStatus("sqlite:///emdc.db", in_memory=False, ok=True)


def announced(given: Settings, storage: StorageStatus = WRITES) -> dict[str, str]:
    """The facts of the line that is logged at the start."""
    seen: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    handler = Handler()
    logging.getLogger().addHandler(handler)
    try:
        service = cast("Service", SimpleNamespace(storage=lambda: storage))
        asyncio.run(announce(given, listening("127.0.0.1", 8080), service, ()))
    finally:
        logging.getLogger().removeHandler(handler)
    assert [record.getMessage() for record in seen] == ["started"]
    return dict(vars(seen[0]))


@pytest.mark.parametrize(
    ("name", "page"),
    [
        (("127.0.0.1", 8080), "http://127.0.0.1:8080/"),
        (("::1", 8080, 0, 0), "http://[::1]:8080/"),
        (("0.0.0.0", 80), "http://127.0.0.1:80/"),
        (("::", 80, 0, 0), "http://[::1]:80/"),
    ],
)
def test_the_page_is_an_address_that_a_browser_here_takes(name: tuple[Any, ...], page: str) -> None:
    assert address(listening(*name)) == page


@pytest.mark.parametrize(
    ("intervals", "said"),
    [
        ((10.0,), "1 meter, read every 10 s"),
        ((1.0, 60.0), "2 meters, read every 1 to 60 s"),
        ((1.0, None), "2 meters, 1 of them read every 1 s, the others on POST /collect"),
    ],
)
def test_the_start_says_how_often_meters_are_read(
    intervals: tuple[float | None, ...], said: str
) -> None:
    assert announced(settings(*intervals))["meters"] == said


def test_without_a_schedule_the_start_says_how_to_have_one() -> None:
    said = announced(settings(None))["meters"]
    assert said.startswith("1 meter, read on POST /collect; --panel_interval=SECONDS")


def test_the_start_says_where_readings_go_without_a_password() -> None:
    assert announced(settings(1.0))["readings"] == "to sqlite:///emdc.db"
    assert "hidden" not in str(announced(settings(1.0)))


def test_database_that_is_away_is_told_at_the_start_with_the_spool() -> None:
    away = replace(WRITES, ok=False, last_error="connection refused", spool_path="/x/spool.db")
    said = announced(settings(1.0), away)["readings"]
    assert said == "to /x/spool.db until sqlite:///emdc.db takes them: connection refused"


def test_the_start_says_that_memory_keeps_nothing() -> None:
    said = announced(settings(1.0, db=":memory:"))["readings"]
    assert "lost when the program ends" in said
    assert "--db_host=emdc.db" in said


@pytest.mark.parametrize(
    ("http", "said"),
    [
        (Http(), "this machine only"),
        (Http(host="0.0.0.0", token=Secret("a-long-secret-text")), "everybody with the token"),
        (Http(host="0.0.0.0", allow_anonymous=True), "everybody, without a token"),
    ],
)
def test_the_start_says_who_can_reach_the_page(http: Http, said: str) -> None:
    assert announced(settings(1.0, http=http))["open_to"].startswith(said)


def test_the_start_is_logged_at_any_level(capsys: pytest.CaptureFixture[str]) -> None:
    given = settings(1.0)
    start_log(given)
    asyncio.run(
        announce(
            given,
            listening("127.0.0.1", 8080),
            cast("Service", SimpleNamespace(storage=lambda: WRITES)),
            (),
        )
    )
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["page"]) == ("started", "http://127.0.0.1:8080/")


def test_on_a_terminal_the_start_is_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    given = settings(1.0, db=":memory:")
    asyncio.run(
        announce(
            given,
            listening("127.0.0.1", 8080),
            cast("Service", SimpleNamespace(storage=lambda: WRITES)),
            (),
        )
    )
    printed = capsys.readouterr().out
    assert "http://127.0.0.1:8080/" in printed
    assert "lost when the program ends" in printed
    assert "1 meter, read every 1 s; Ctrl-C ends" in printed
