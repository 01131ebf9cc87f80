"""The revision of the intervals, up and down, on every engine."""

import itertools
import re
from argparse import Namespace
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, event, inspect, text

from emdc.errors import SchemaError
from emdc.reading import Value
from emdc.storage import ddl
from emdc.storage.database import connected, open_engine
from emdc.storage.migrate import SCRIPTS, current, require_head, upgrade
from emdc.storage.schema import HEAD, OLD_REVISIONS, READINGS_REVISION, metadata
from tests.storage.filled import KINDS, fill, opened
from tests.storage.old_collector import differences

NEW = {name for name in metadata.tables if name.startswith(("interval_", "counter_"))}
SAID = (
    "INSERT INTO counter_epochs (topic_id, from_ts, kind, source, note)"
    " SELECT min(topic_id), '2026-03-01 12:00:00', 'swap', '{}', 'meter 2' FROM topics"
)
MADE = (
    "INSERT INTO interval_progress SELECT min(meter_id), '2026-03-01 12:15:00',"
    " '2026-03-01 12:15:00', '{}' FROM meters"
)
VALUES: dict[str, dict[float, Value]] = {
    "UW/Elm/eaton_meter/Wh": {0: 7, 60: 8},
    "UW/Elm/eaton_meter/W": {0: 1.5},
}


class KilledError(Exception):
    """The program ends at this statement."""


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A database at head with two readings."""
    with opened(request.param, request) as made:
        fill(made, VALUES)
        yield made


def downgrade(engine: Engine, *given: str, to: str = READINGS_REVISION) -> None:
    """As Alembic's command does it, with these `-x` settings."""
    config = Config(cmd_opts=Namespace(x=list(given)))
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("path_separator", "os")
    with connected(engine, write=True) as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, to)


def names(engine: Engine) -> tuple[set[str], set[str]]:
    """Tables and views."""
    seen = inspect(engine)
    return set(seen.get_table_names()), set(seen.get_view_names())


def ask(engine: Engine, query: str) -> list[tuple[Any, ...]]:
    with connected(engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def run(engine: Engine, statement: str) -> None:
    with connected(engine, write=True) as connection:
        connection.execute(text(statement))


def is_before(engine: Engine) -> bool:
    """Whether the database is as the revision before left it, with its readings."""
    tables, views = names(engine)
    assert tables == set(metadata.tables) - NEW
    assert views == set(ddl.VIEWS) - {"intervals"}
    assert ask(engine, "SELECT count(*) FROM data") == [(3,)]
    return current(engine) == READINGS_REVISION


def is_after(engine: Engine) -> bool:
    assert names(engine) == (set(metadata.tables), set(ddl.VIEWS))
    assert ask(engine, "SELECT count(*) FROM data") == [(3,)]
    assert ask(engine, "SELECT * FROM intervals") == []
    assert differences(engine) == []
    return current(engine) == HEAD


def test_way_back_and_forth_leaves_the_readings_as_they_are(engine: Engine) -> None:
    before = ask(engine, "SELECT ts, read_at, vals FROM readings ORDER BY ts")
    downgrade(engine)
    assert is_before(engine)
    upgrade(engine)
    require_head(engine)
    assert is_after(engine)
    assert ask(engine, "SELECT ts, read_at, vals FROM readings ORDER BY ts") == before


def killed(engine: Engine, number: int, change: Callable[[Engine], None]) -> bool:
    """Let the change end before its statement of that number; gives whether it came so far."""
    left = itertools.count(number, -1)

    def before(*facts: Any) -> None:
        if re.match(r"\s*(CREATE|DROP|INSERT|UPDATE)", facts[2]) and next(left) <= 0:
            raise KilledError

    victim = open_engine(engine.url)
    event.listen(victim, "before_cursor_execute", before)
    try:
        change(victim)
    except KilledError:
        return True
    finally:
        victim.dispose()
    return False


def test_change_that_is_killed_anywhere_is_completed_by_the_next(engine: Engine) -> None:
    downgrade(engine)
    # The others do all or nothing, and the drivers of MySQL send the same: there a few will do.
    every = 1 if engine.url.drivername == "mysql+pymysql" else 4
    for number in itertools.count(0, every):
        up = killed(engine, number, upgrade)
        upgrade(engine)
        assert is_after(engine)
        down = killed(engine, number, downgrade)
        downgrade(engine)
        assert is_before(engine)
        if not (up or down):
            break
    assert number >= len(NEW)


def test_downgrade_refuses_to_drop_what_users_have_said(engine: Engine) -> None:
    run(engine, SAID.format("user"))
    with pytest.raises(SchemaError, match=r"1 rows of counter_epochs .* repeat it with -x discard"):
        downgrade(engine)
    assert current(engine) == HEAD
    assert ask(engine, "SELECT note FROM counter_epochs") == [("meter 2",)]
    downgrade(engine, "discard=yes")
    assert is_before(engine)


def test_downgrade_drops_what_can_be_made_again(engine: Engine) -> None:
    run(engine, SAID.format("found"))
    run(engine, MADE)
    downgrade(engine)
    assert is_before(engine)


def test_downgrade_refuses_to_drop_what_was_made_of_deleted_readings(engine: Engine) -> None:
    run(engine, MADE)
    run(
        engine,
        "INSERT INTO gaps SELECT meter_id, '2026-02-01', '2026-03-01', 'retention' FROM meters",
    )
    with pytest.raises(SchemaError, match=r"deleted of 1 meters: repeat it with -x discard=yes"):
        downgrade(engine)
    assert ask(engine, "SELECT count(*) FROM interval_progress") == [(1,)]
    downgrade(engine, "discard=yes")
    assert is_before(engine)


def test_downgrade_that_a_revision_before_refuses_leaves_a_whole_database(engine: Engine) -> None:
    with pytest.raises(SchemaError, match="would drop 2 readings"):
        downgrade(engine, to=OLD_REVISIONS[-1])
    assert is_before(engine) if engine.dialect.name == "mysql" else is_after(engine)
