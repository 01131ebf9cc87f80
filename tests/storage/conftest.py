from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare
from tests.servers import fresh, mariadb, postgresql


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emdc.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    opened = open_engine(f"sqlite:///{path}?timeout=0.2")
    prepare(opened)
    yield opened
    opened.dispose()


@pytest.fixture(params=["postgresql", "mysql+pymysql", "mysql+mysqlconnector"])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new, empty database of a server, through each driver."""
    server = postgresql() if request.param == "postgresql" else mariadb()
    with fresh(server) as url:
        yield url.replace("mysql+pymysql", request.param)


@pytest.fixture
def server_engine(server_url: str) -> Iterator[Engine]:
    """The same at the newest revision."""
    opened = open_engine(server_url)
    prepare(opened)
    yield opened
    opened.dispose()
