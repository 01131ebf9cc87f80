"""A filled database, and a client of a program that answers from it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from tests.web.stored import filled, stored_site


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """For all tests, which only read it."""
    made = filled(tmp_path_factory.mktemp("stored") / "emdc.db")
    yield made
    made.dispose()


@pytest.fixture(scope="session")
def client(engine: Engine) -> Iterator[TestClient[Litestar]]:
    with stored_site(engine).client() as asking:
        yield asking


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Engine]:
    """The same for one test, which may spoil it."""
    made = filled(tmp_path / "emdc.db")
    yield made
    made.dispose()
