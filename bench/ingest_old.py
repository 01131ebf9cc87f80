"""One row for each value in the old collector's table, as the programs of that time write it.

The table is `data` (ts, topic_id, value_string) with unique (ts, topic_id). SQLite: SQLAlchemy's
ORM, `session.add_all` and a commit, as the old collector did; PostgreSQL: SQLAlchemy Core, an
insert of a list of dicts; MariaDB: mysql-connector's `executemany`. All of them durable: SQLite in
WAL with synchronous=FULL, the servers with their defaults. Each way writes the values of one tick
and begins with numbers, as EMDC's does.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from bench.engines import Database

Write = Callable[[datetime, Sequence[float]], None]
"""Stores the values of topics 1, 2, … in one tick."""

_TABLE = (
    "CREATE TABLE data (ts TIMESTAMP(6) NOT NULL, topic_id INTEGER NOT NULL,"
    " value_string TEXT NOT NULL, UNIQUE (ts, topic_id))"
)
WAYS = {
    "sqlite": "ORM, add_all and commit",
    "postgresql": "Core, insert of a list of dicts",
    "mariadb": "mysql-connector, executemany",
}


@contextmanager
def old_way(place: Database) -> Iterator[Callable[[datetime, Sequence[float]], float]]:
    """A function that stores one tick in the old table and gives the seconds that it took."""
    with {"sqlite": _orm, "postgresql": _core, "mariadb": _connector}[place.kind](place) as write:

        def timed(ts: datetime, values: Sequence[float]) -> float:
            started = time.perf_counter()
            write(ts, values)
            return time.perf_counter() - started

        yield timed


@contextmanager
def _orm(place: Database) -> Iterator[Write]:
    class Base(DeclarativeBase):
        pass

    class Data(Base):
        __tablename__ = "data"
        ts: Mapped[datetime] = mapped_column(primary_key=True)
        topic_id: Mapped[int] = mapped_column(primary_key=True)
        value_string: Mapped[str]

    engine = sa.create_engine(place.url)

    @sa.event.listens_for(engine, "connect")
    def durable(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    Base.metadata.create_all(engine)

    def write(ts: datetime, values: Sequence[float]) -> None:
        rows = [
            Data(ts=ts, topic_id=topic, value_string=str(value))
            for topic, value in enumerate(values, 1)
        ]
        with Session(engine) as session:
            session.add_all(rows)
            session.commit()

    yield write
    engine.dispose()


@contextmanager
def _core(place: Database) -> Iterator[Write]:
    place.rows(_TABLE)
    engine = sa.create_engine(place.url)
    table = sa.Table("data", sa.MetaData(), autoload_with=engine)

    def write(ts: datetime, values: Sequence[float]) -> None:
        rows = [
            {"ts": ts, "topic_id": topic, "value_string": str(value)}
            for topic, value in enumerate(values, 1)
        ]
        with engine.begin() as connection:
            connection.execute(sa.insert(table), rows)

    yield write
    engine.dispose()


@contextmanager
def _connector(place: Database) -> Iterator[Write]:
    import mysql.connector  # noqa: PLC0415 - this engine only

    place.rows(_TABLE)
    connection = mysql.connector.connect(
        host=place.host,
        port=place.port,
        user=place.user,
        password=place.password,
        database=place.name,
    )
    insert = "INSERT INTO data (ts, topic_id, value_string) VALUES (%s, %s, %s)"

    def write(ts: datetime, values: Sequence[float]) -> None:
        rows = [(ts, topic, str(value)) for topic, value in enumerate(values, 1)]
        with connection.cursor() as cursor:
            cursor.executemany(insert, rows)
        connection.commit()

    yield write
    connection.close()
