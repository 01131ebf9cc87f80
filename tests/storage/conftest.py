from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emdc.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{path}?timeout=0.2")
    prepare(opened)
    yield opened
    opened.dispose()
