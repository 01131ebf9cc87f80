import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from emdc.cli import past
from emdc.logs import LogHandler
from tests.cli.recorded import END, record


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings of ours in the environment, and no log left behind by a command."""
    for name in [name for name in os.environ if name.startswith(("EMDC_", "UWSOLAR_"))]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [one for one in root.handlers if isinstance(one, LogHandler)]:
        root.removeHandler(handler)
    root.setLevel(level)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of `tests.cli.recorded`, for tests that only read it."""
    return record(tmp_path_factory.mktemp("recorded") / "emdc.db")


@pytest.fixture
def at_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands on the past are run a minute after the end of that database."""
    monkeypatch.setattr(past, "now", lambda: END.timestamp() + 60)
