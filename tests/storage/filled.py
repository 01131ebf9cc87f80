"""Databases that hold given values, written past the recorder, for tests of what is read."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec
import pytest
from sqlalchemy import Engine

from emdc.numerals import MAX_EXACT_INT
from emdc.reading import Value
from emdc.storage.database import connected, dialect_of, open_engine
from emdc.storage.instants import to_text
from emdc.storage.layout import ReadingRow
from emdc.storage.migrate import prepare
from emdc.storage.past.samples import Export, StoredTopic
from emdc.storage.places import place
from emdc.storage.schema import metadata
from tests.servers import fresh, mariadb, postgresql
from tests.storage.plant import tick

_LASTING = {"alembic_version", "volttron_table_definitions"}
KINDS = ("sqlite", "postgresql", "mysql+pymysql", "mysql+mysqlconnector")


@contextmanager
def opened(kind: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """A new database at head, of one of KINDS."""
    if kind == "sqlite":
        folder = request.getfixturevalue("tmp_path_factory").mktemp("database")
        engine = open_engine(f"sqlite:///{folder}/emdc.db")
        prepare(engine)
        yield engine
        engine.dispose()
        return
    with fresh(postgresql() if kind == "postgresql" else mariadb()) as url:
        engine = open_engine(url.replace("mysql+pymysql", kind))
        prepare(engine)
        yield engine
        engine.dispose()


def fill(engine: Engine, values: Mapping[str, Mapping[float, Value]]) -> None:
    """Rows that hold these values, by topic and seconds after noon; slots in the order given."""
    with connected(engine, write=True) as connection:
        places = place(connection, list(values))
        rows: dict[tuple[int, float], dict[int, Value]] = {}
        for name, by_time in values.items():
            for seconds, value in by_time.items():
                cells = rows.setdefault((places[name].meter_id, seconds), {})
                long = isinstance(value, int) and abs(value) > MAX_EXACT_INT
                cells[places[name].slot] = str(value) if long else value
        dialect_of(connection).insert_readings(
            connection,
            [
                ReadingRow(meter_id, at, to_text(tick(1e6)), False, _array(cells), None)
                for (meter_id, seconds), cells in rows.items()
                for at in [to_text(tick(seconds))]
            ],
        )


def empty(engine: Engine) -> None:
    """Take everything out."""
    with connected(engine, write=True) as connection:
        for table in reversed(metadata.sorted_tables):
            if table.name not in _LASTING:
                connection.execute(table.delete())


def stored(export: Export) -> list[tuple[str, str, Value]]:
    """(minute and second, topic, value) of all that an export gives, in order."""
    return [(ts[14:], name, value) for ts, cells in export.ticks() for _, name, value in cells]


def names(topics: list[StoredTopic]) -> list[str]:
    return [topic.name for topic in topics]


def _array(cells: Mapping[int, Value]) -> str:
    width = max(cells) + 1
    return msgspec.json.encode([cells.get(slot) for slot in range(width)]).decode()
