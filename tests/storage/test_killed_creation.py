"""What a start and a second upgrade make of a database whose upgrade was killed, on MariaDB."""

import multiprocessing
import signal
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from emdc.errors import SchemaError
from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare, preview, upgrade
from tests.servers import fresh, mariadb
from tests.storage.old_collector import BY_HAND, ask, left, make
from tests.storage.old_mysql import is_whole
from tests.storage.upgrade_victim import child

# A process of its own without threads, which is forked for each upgrade.
forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(["emdc.storage.migrate", "alembic.command", "pymysql"])


@pytest.fixture
def engine() -> Iterator[Engine]:
    with fresh(mariadb()) as url:
        opened = open_engine(url)
        yield opened
        opened.dispose()


def kill_upgrade(engine: Engine, number: int) -> None:
    """Let an upgrade be killed before its change of this number."""
    url = engine.url.render_as_string(hide_password=False)
    process = forks.Process(target=child, args=(number, url))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def tables(engine: Engine) -> set[str]:
    kinds = ask(engine, "SHOW FULL TABLES")
    return {name for name, kind in kinds if kind == "BASE TABLE"}


# The first revision makes the old tables, the last one drops the one for readings.
@pytest.mark.parametrize("number", [*range(10), *range(17, 24)])
def test_killed_upgrade_of_an_empty_database_is_completed(engine: Engine, number: int) -> None:
    kill_upgrade(engine, number)
    assert preview(engine)
    if number % 2:
        upgrade(engine)
    else:
        start(engine)
    assert is_whole(engine.url.render_as_string(hide_password=False))
    assert "data_old" not in tables(engine)


def start(engine: Engine) -> None:
    """What a daemon does, and then whoever reads what it says."""
    try:
        prepare(engine)
    except SchemaError:
        upgrade(engine)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 5, 8, 13, 21])
def test_start_after_a_killed_upgrade_names_the_command_and_takes_no_row(
    engine: Engine, number: int
) -> None:
    make(engine, BY_HAND)
    rows = left(engine)
    kill_upgrade(engine, number)
    before = tables(engine)
    with pytest.raises(SchemaError, match="run emdc migrate"):
        prepare(engine)
    assert preview(engine)
    assert tables(engine) == before
    assert left(engine, "data_old" if "data_old" in before else "data") == rows
