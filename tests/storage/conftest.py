from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare
from tests.servers import fresh, mariadb, postgresql
from tests.storage.filled import KINDS, empty, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "emdc.db"


@pytest.fixture
def engine(path: Path) -> Iterator[Engine]:
    new = open_engine(f"sqlite:///{path}?timeout=0.2")
    prepare(new)
    yield new
    new.dispose()


@pytest.fixture(params=["postgresql", "mysql+pymysql", "mysql+mysqlconnector"])
def server_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A new, empty database of a server, through each driver."""
    server = postgresql() if request.param == "postgresql" else mariadb()
    with fresh(server) as url:
        yield url.replace("mysql+pymysql", request.param)


@pytest.fixture
def server_engine(server_url: str) -> Iterator[Engine]:
    """The same at the newest revision."""
    new = open_engine(server_url)
    prepare(new)
    yield new
    new.dispose()


@pytest.fixture(scope="module", params=KINDS)
def lasting_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A database at the newest revision of each kind, for all tests of a module."""
    with opened(request.param, request) as new:
        yield new


@pytest.fixture
def emptied_engine(lasting_engine: Engine) -> Iterator[Engine]:
    """That one, without rows."""
    yield lasting_engine
    empty(lasting_engine)


@pytest.fixture(scope="module", params=KINDS[1:])
def lasting_server_engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """The same of servers alone: making one takes a second."""
    with opened(request.param, request) as new:
        yield new


@pytest.fixture
def emptied_server_engine(lasting_server_engine: Engine) -> Iterator[Engine]:
    """That one, without rows."""
    yield lasting_server_engine
    empty(lasting_server_engine)
