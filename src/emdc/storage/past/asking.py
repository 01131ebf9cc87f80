"""Connections of the driver itself, for questions that are asked often and must cost little.

SQLAlchemy takes longer to send a statement than SQLite takes to answer one. A few connections are
kept, each used by one thread at a time; a database in memory has one connection, which is borrowed
from the engine for each question. Only `chronicle` and what it is made of ask here; nothing writes.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from emdc.errors import StorageError
from emdc.storage.database import is_memory
from emdc.storage.urls import reason, shown

_T = TypeVar("_T")

SHORT: Final = 512
"""Characters of the longest text that a server of MySQL does not take for a large object."""

_KEPT: Final = 2
"""Connections of a kind that stay open while nobody asks."""
_CHARACTER: Final = 4
"""Bytes."""
_OFFSET: Final = "+00:00"

_whole: Final = msgspec.json.Decoder(list[int])


def _of_texts(stored: Sequence[Any]) -> list[float]:
    parse = datetime.fromisoformat
    return [parse(text + _OFFSET).timestamp() for text in stored]


def _of_microseconds(stored: Sequence[Any]) -> list[float]:
    return [number / 1e6 for number in stored]


@dataclass(frozen=True, slots=True)
class Speech:
    """How one kind of engine is spoken to."""

    kind: str
    seconds: str
    """What to select of an instant's `{column}`, for `times`."""
    times: Callable[[Sequence[Any]], list[float]]
    """Seconds since 1970 of what was selected."""
    begin: str | None
    """Begins a transaction that sees one moment. None: a connection that does not commit each
    statement by itself begins one without being told to, which is a round trip less."""
    mark: str
    """Stands for a parameter."""


_MYSQL: Final = Speech(
    "mysql",
    "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {column})",
    _of_microseconds,
    None,
    "%s",
)
_SPEECH: Final[Mapping[str, Speech]] = {
    "sqlite": Speech("sqlite", "{column}", _of_texts, "BEGIN", "?"),
    "postgresql": Speech(
        "postgresql",
        "extract(epoch FROM {column})::float8",
        list,
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
        "%s",
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


@lru_cache(maxsize=256)
def _spelled(sql: str, speech: Speech) -> str:
    """The statement with `?` and `seconds(column)` as the engine wants them."""
    head, *parts = sql.split("seconds(")
    for part in parts:
        column, _, rest = part.partition(")")
        head += speech.seconds.format(column=column) + rest
    return head.replace("?", speech.mark)


class Asker:
    """One connection of the driver, each statement by itself unless `together`.

    `apart`: it is for questions that are `together`, and begins a transaction by itself.
    """

    def __init__(self, speech: Speech, connection: Any, *, apart: bool = False) -> None:
        self.speech = speech
        self.apart: Final = apart
        self.connection: Final = connection
        self._options: dict[str, bool] = {}
        self._joined_bytes = 0
        if speech.kind == "postgresql":
            connection.autocommit = True
            self._cursor = connection.cursor(binary=True)
            self._options = {"prepare": True}
        elif speech.kind == "mysql":
            switch = connection.autocommit
            if callable(switch):
                switch(not apart)
            else:
                connection.autocommit = not apart
            self._cursor = connection.cursor()
            # A server may be set to less, at which each statement sees another moment.
            self._cursor.execute(
                "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
            )
            self._cursor.execute("SELECT @@max_allowed_packet")
            # A row of them must fit: texts of a counter's few columns, most of them short.
            self._joined_bytes = int(self._cursor.fetchall()[0][0]) // 4
            self._cursor.execute(f"SET SESSION group_concat_max_len = {self._joined_bytes}")
        else:
            self._cursor = connection.cursor()

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of a statement as this engine's driver takes it."""
        self._cursor.execute(sql, parameters, **self._options)
        found: list[tuple[Any, ...]] = self._cursor.fetchall()
        return found

    def ask(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement that all engines take but for `?` and `seconds(column)`."""
        return self.rows(_spelled(sql, self.speech), parameters)

    def columns(
        self, at: str, names: Sequence[str], source: str, *parameters: Any
    ) -> tuple[list[float], list[str]]:
        """Instants in order, and each JSON column (NULL: null) with its rows joined by commas.

        `source` is what follows SELECT's list; the parameters of `names` come before its own.
        """
        wanted = ", ".join([f"seconds({at})", *names])
        rows = self.ask(f"SELECT {wanted} {source} ORDER BY {at}", *parameters)
        if not rows:
            return [], [""] * len(names)
        instants, *columns = zip(*rows, strict=True)
        texts = [",".join([cell or "null" for cell in column]) for column in columns]
        return self.speech.times(instants), texts

    def joined(
        self, at: str, names: Sequence[str], source: str, *parameters: Any
    ) -> tuple[list[float], list[str]]:
        """The same, joined by the server where it is MySQL, for many rows of short cells.

        Its drivers take longer for a row than it takes for a reading. Where a name can be longer
        than SHORT it makes a table on disk for each question; LEFT keeps it short.
        """
        if not self._joined_bytes:
            return self.columns(at, names, source, *parameters)
        # Without ORDER BY, which would sort each of them: rows come by the key anyway.
        cells = [f"IFNULL({name}, 'null')" for name in names]
        wanted = ", ".join(f"GROUP_CONCAT({cell})" for cell in (f"seconds({at})", *cells))
        (found,) = self.ask(f"SELECT {wanted} {source}", *parameters)
        if not any(map(self._is_cut, found)):
            instants, *texts = [text or "" for text in found]
            times = self.speech.times(_whole.decode(f"[{instants}]"))
            if times == sorted(times):
                return times, texts
        return self.columns(at, names, source, *parameters)

    def _is_cut(self, text: str | None) -> bool:
        return text is not None and len(text.encode()) >= self._joined_bytes - _CHARACTER

    def together(self, work: "Callable[[Asker], _T]") -> _T:
        """What `work` gives, whose statements all see one moment."""
        if self.speech.begin is not None:
            self._cursor.execute(self.speech.begin)
        try:
            result = work(self)
        except BaseException:
            with suppress(Exception):
                self._cursor.execute("ROLLBACK")
            raise
        self._cursor.execute("COMMIT")
        return result

    def close(self) -> None:
        """End the connection."""
        with suppress(Exception):
            self.connection.close()


class _LostError(StorageError):
    """The connection is of no more use."""


class Asking:
    """The connections of one engine, for any thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._speech = _SPEECH[engine.dialect.name]
        self._memory = is_memory(engine)
        self._idle: dict[bool, list[Asker]] = {False: [], True: []}
        self._closed = False

    @property
    def engine(self) -> Engine:
        """Whose connections these are."""
        return self._engine

    def ask(self, work: Callable[[Asker], _T], *, apart: bool = False) -> _T:
        """What `work` gives; when a connection turns out to be broken, once more on another.

        Raises StorageError when the database fails.
        """
        try:
            return self._borrowed(work) if self._memory else self._asked(work, apart=apart)
        except SQLAlchemyError as error:
            raise self._failure(error) from error

    def together(self, work: Callable[[Asker], _T]) -> _T:
        """The same; all statements of `work` see one moment."""
        apart = self._speech.begin is None
        return self.ask(lambda asker: asker.together(work), apart=apart)

    def close(self) -> None:
        """End the connections that are kept; those in use end with their question."""
        self._closed = True
        self._forget()

    def _asked(self, work: Callable[[Asker], _T], *, apart: bool) -> _T:
        try:
            asker = self._idle[apart].pop()
        except IndexError:
            return self._tried(self._opened(apart=apart), work)
        try:
            return self._tried(asker, work)
        except _LostError:
            # A server that was started anew, or lost patience with a client that asked nothing.
            self._forget()
        return self._tried(self._opened(apart=apart), work)

    def _tried(self, asker: Asker, work: Callable[[Asker], _T]) -> _T:
        fit = False
        try:
            result = work(asker)
            fit = True
        except self._engine.dialect.loaded_dbapi.Error as error:
            if self._engine.dialect.is_disconnect(error, asker.connection, None):
                raise _LostError(*self._failure(error).args) from error
            raise self._failure(error) from error
        except Exception:
            fit = True
            raise
        finally:
            self._keep(asker, fit=fit)
        return result

    def _borrowed(self, work: Callable[[Asker], _T]) -> _T:
        try:
            with closing(self._engine.raw_connection()) as pooled:
                return work(Asker(self._speech, pooled.driver_connection))
        except self._engine.dialect.loaded_dbapi.Error as error:
            raise self._failure(error) from error

    def _opened(self, *, apart: bool) -> Asker:
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        # It is ours from now on: the pool may open another one in its place.
        pooled.detach()
        return Asker(self._speech, connection, apart=apart)

    def _keep(self, asker: Asker, *, fit: bool) -> None:
        idle = self._idle[asker.apart]
        if not fit or self._closed or len(idle) >= _KEPT:
            asker.close()
        else:
            idle.append(asker)

    def _forget(self) -> None:
        for idle in self._idle.values():
            with suppress(IndexError):
                while True:
                    idle.pop().close()

    def _failure(self, error: Exception) -> StorageError:
        return StorageError(f"{shown(self._engine.url)}: {reason(error)}")
