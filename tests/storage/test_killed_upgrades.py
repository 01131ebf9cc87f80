"""An upgrade that is killed at any statement is completed by the next one, and no row is lost."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.storage import schema
from emdc.storage.database import open_engine
from emdc.storage.migrate import current, require_head, upgrade
from tests.servers import Server, fresh, private
from tests.storage import old_collector
from tests.storage.old_mysql import BY_HAND, CHECKSUM, ROOT, ROWS, ZONE, is_whole, rows_in
from tests.storage.plain import ask
from tests.storage.plant import execute, reading, rows, store

MOST = 100
"""Statements of an upgrade; there are fewer."""


class Victim:
    """A program that upgrades databases up to a statement."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def upgrade(self, number: int, url: str) -> bool:
        """Whether it was killed before that statement; else all of the upgrade was done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{number} {url}\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        assert status in (0, -signal.SIGKILL)
        return status != 0


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    command = [sys.executable, "-m", "tests.storage.upgrade_victim"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Victim(process)
        process.communicate()


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A MariaDB server that does not wait for its disk: no machine dies here."""
    options = ["--innodb-flush-log-at-trx-commit=0", "--innodb-flush-method=nosync"]
    with private("mariadb", options=options) as started:
        yield started.server


def killed_at(victim: Victim, server: Server, number: int, fill: Callable[[str], None]) -> bool:
    """Kill an upgrade of a filled database and repeat it; gives whether it came so far."""
    with fresh(server) as url:
        fill(url)
        before, checksum = rows_in("-08:00", url), ask(url, CHECKSUM.format("data"))
        killed = victim.upgrade(number, url)
        engine = open_engine(url)
        told: list[str] = []
        upgrade(engine, data_timezone=ZONE, say=told.append)
        engine.dispose()
        assert is_whole(url)
        assert rows_in("-08:00", url) == before
        assert ask(url, CHECKSUM.format("data_old")) == checksum
        assert ask(url, "SELECT zone FROM data_old_zone") == [(ZONE,)]
        assert ask(url, "SELECT count(*) FROM volttron_table_definitions")[0][0] in (0, 3)
        return killed


def made_by_hand(url: str) -> None:
    ask(url, *BY_HAND, *ROWS)


def at_revision(revision: str) -> Callable[[str], None]:
    def fill(url: str) -> None:
        engine = open_engine(url)
        upgrade(engine, revision)
        engine.dispose()
        ask(url, *ROWS)

    return fill


@pytest.mark.parametrize("first", range(4))
def test_upgrade_of_tables_made_by_hand_is_completed_wherever_it_was_killed(
    victim: Victim, server: Server, first: int
) -> None:
    numbers = iter(range(first, MOST, 4))
    while killed_at(victim, server, next(numbers), made_by_hand):
        pass
    assert next(numbers) > 20


@pytest.mark.parametrize("number", range(0, 12))
def test_upgrade_from_the_first_revision_is_completed(
    victim: Victim, server: Server, number: int
) -> None:
    # From the last of these on it is the upgrade of the test before.
    assert killed_at(victim, server, number, at_revision(schema.OLD_REVISIONS[0]))


def test_killed_twice_it_is_completed_too(victim: Victim, server: Server) -> None:
    for first, second in ((3, 0), (8, 2), (12, 5), (20, 1)):
        with fresh(server) as url:
            made_by_hand(url)
            before = rows_in("+00:00", url)
            assert victim.upgrade(first, url)
            assert victim.upgrade(second, url)
            assert not victim.upgrade(MOST, url)
            assert is_whole(url)
            assert rows_in("+00:00", url) == before


def test_file_is_as_before_wherever_its_upgrade_was_killed(victim: Victim, tmp_path: Path) -> None:
    for number in range(MOST):
        path = tmp_path / f"{number}.db"
        execute(path, old_collector.SCRIPT_SQLITE + old_collector.ROWS)
        before = rows(path, "SELECT sql FROM sqlite_master")
        killed = victim.upgrade(number, f"sqlite:///{path}")
        if killed:
            assert rows(path, "SELECT sql FROM sqlite_master") == before
        engine = open_engine(f"sqlite:///{path}")
        completed(engine)
        assert (
            len(rows(path, "SELECT * FROM data WHERE value_string IN ('121.25', 'offline')")) == 2
        )
        engine.dispose()
        if not killed:
            break
    assert 15 < number < MOST - 1


def completed(engine: Engine) -> None:
    upgrade(engine, data_timezone=ZONE)
    require_head(engine)
    assert current(engine) == schema.HEAD
    store(engine, reading(0))
