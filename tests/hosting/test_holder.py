import logging
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from emdc.hosting.holder import IN_LOG, apologise, attempt, listen
from emdc.logs import LogHandler

TOKEN = "0123456789abcdef"


@pytest.fixture(autouse=True)
def clean_log() -> Iterator[None]:
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [one for one in root.handlers if isinstance(one, LogHandler)]:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="emdc-") as folder:
        yield Path(folder, "sock")


def lost_map(path: Path) -> dict[str, str]:
    """An environment whose register map does not exist."""
    return {
        "EMDC_DB_HOST": str(path.with_name("emdc.db")),
        "EMDC_PANEL_HOST": "127.0.0.1:1",
        "EMDC_PANEL_TOPIC_PREFIX": "UW/Mercer/nexus_meter",
        "EMDC_PANEL_METRICS_WORKBOOK": str(path.with_name("lost.xlsx")),
    }


def tried(path: Path, environment: Mapping[str, str]) -> str | None:
    with listen(path) as listener:
        return attempt(listener, environment)


def test_clients_may_know_why_the_daemon_does_not_start(path: Path) -> None:
    assert "lost.xlsx" in (tried(path, lost_map(path)) or "")


def test_a_client_that_came_during_a_start_that_fails_is_told_why(path: Path) -> None:
    with listen(path) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        client.sendall(b"POST /collect HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\n\r\n")
        reason = attempt(listener, lost_map(path))
        assert reason is not None
        apologise(listener, reason, 0.2)
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"lost.xlsx" in answer


def test_clients_that_need_a_token_are_sent_to_the_log(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tried(path, lost_map(path) | {"EMDC_HTTP_TOKEN": TOKEN}) == IN_LOG
    assert "lost.xlsx" in capsys.readouterr().err


def test_settings_that_became_unusable_are_in_the_log_alone(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logging.getLogger().addHandler(logging.StreamHandler())
    try:
        assert tried(path, {"EMDC_PANEL_HOST": "not a host"}) == IN_LOG
    finally:
        logging.getLogger().handlers.pop()
    assert "cannot start" in capsys.readouterr().err
