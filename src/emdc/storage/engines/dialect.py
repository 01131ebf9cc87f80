"""What one kind of database has to give: the Protocol of `sqlite`, `postgresql` and `mysql`.

Those three modules satisfy it by shape; `database.DIALECTS` is their table. Everything that is not
portable SQL is behind these names, but for the views (`views`) and the revisions (`migrations`).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import URL, ColumnElement, Connection, Engine, Row, TextClause
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

from emdc.storage.columns import Values
from emdc.storage.layout import ReadingRow

GapRow: TypeAlias = tuple[int, str, str, str]
"""meter_id, from_ts, to_ts, reason."""

LOOPBACK: Final = frozenset({"", "localhost", "127.0.0.1", "::1"})
CONNECT_S: Final = 10
SILENCE_S: Final = 30
"""A server that says nothing for so long is given up, and asked again on a new connection; an
upgrade waits without end."""

_REFUSING: Final = ("22", "23", "44", "45", "P0001")
"""Heads of SQLSTATE: data, integrity, a view's check, and what triggers raise on MySQL and
PostgreSQL. Drivers do not agree on classes for them."""
_MYSQL_CHECK: Final = 3819
"""A CHECK of MySQL's, whose SQLSTATE says nothing."""


class Dialect(Protocol):
    """One kind of database."""

    @property
    def value_columns(self) -> tuple[ColumnElement[Any], ...]:
        """What to select of `readings` to have its values."""

    @property
    def has_value(self) -> ColumnElement[bool]:
        """Whether a row of `readings` holds any value."""

    def values(self, row: Row[Any]) -> Values:
        """Values by slot of a row that has `value_columns`."""

    def connect_args(
        self, url: URL, tls_ca: Path | None, *, silence_s: int | None
    ) -> dict[str, Any]:
        """What the driver needs beside the URL; with `silence_s` None it waits without end."""

    def on_connect(self, connection: Any) -> None:
        """Set up a new connection of the driver."""

    def probe(self, engine: Engine) -> None:
        """Raise StorageError unless the database answers and can be used."""

    def insert_readings(self, connection: Connection, rows: Iterable[ReadingRow]) -> int:
        """Insert rows of `readings` whose key is new, in one go; gives how many were.

        `rows` is walked to its end, once.
        """

    def insert_gaps(self, connection: Connection, rows: Sequence[GapRow]) -> int:
        """Insert rows of `gaps` that are not there yet; gives how many were."""

    def writing(self, connection: Connection) -> None:
        """Called first in a transaction that writes readings: `settle` waits for its end."""

    def settle(self, connection: Connection) -> None:
        """Wait until what others, perhaps dead by now, are committing can be seen.

        A server may finish the commit of a collector that was killed long after the next one has
        started, which must not take its ticks for missed.
        """

    def alone(self, engine: Engine) -> AbstractContextManager[None]:
        """No other process is in such a block on this database."""


@contextmanager
def translated(connection: Connection) -> Iterator[None]:
    """Errors of the driver itself become those of SQLAlchemy, as if it had run the statement."""
    driver = connection.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        raise DBAPIError.instance(
            None, None, error, driver.Error, hide_parameters=True, dialect=connection.dialect
        ) from error


@contextmanager
def locked(engine: Engine, lock: TextClause, unlock: TextClause) -> Iterator[None]:
    """A lock of the server's, taken by a statement, which it frees when this connection ends."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(lock)
        try:
            yield
        finally:
            connection.execute(unlock)


def refuses_row(error: DBAPIError) -> bool:
    """Whether the database refuses a row for what is in it, and takes its neighbours."""
    said = error.orig
    state = str(getattr(said, "sqlstate", None) or "")
    number = said.args[0] if said is not None and said.args else None
    return (
        isinstance(error, IntegrityError | DataError)
        or state.startswith(_REFUSING)
        or number == _MYSQL_CHECK
    )
