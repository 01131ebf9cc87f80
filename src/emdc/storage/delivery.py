"""The thread that speaks to the database: what is written now, and what comes back from the spool.

The recorder's own thread must never wait for a database that hangs, so whatever asks the database
something runs here. The spool is replayed oldest first, and an event is forgotten after the
database's commit: whatever ends the process in between, it comes again and changes nothing.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from emdc.errors import ConfigError, StorageError
from emdc.reading import MeterProfile, MeterReading
from emdc.storage import known, migrate, registry
from emdc.storage.database import DIALECTS, connected, is_memory
from emdc.storage.errands import Errands
from emdc.storage.lateness import Frontier
from emdc.storage.layout import MeterLayout
from emdc.storage.spool.backlog import Entry
from emdc.storage.spool.parcel import Entries, Event, Started, Stopped
from emdc.storage.spool.spool import Spool
from emdc.storage.store import Outcome, Store
from emdc.storage.tally import Tally
from emdc.storage.urls import reason, shown

log = logging.getLogger(__name__)

_T = TypeVar("_T")

_AT_ONCE: Final = 2000
"""Readings of the spool in one transaction."""
_LONGEST_RETRY_S: Final = 5.0
_LONGEST_RETRY_DENIED_S: Final = 60.0
"""After a wrong password: some servers lock an account that knocks too often."""


class Delivery:
    """One thread, one writing connection.

    A failed attempt to replay is repeated after `retry_s` seconds, then twice as long, at most 5
    (60 when the server denies access). A database in memory keeps `memory_limit` readings.
    """

    def __init__(  # noqa: PLR0913 (as of the recorder, which hands them on)
        self,
        engine: Engine,
        spool: Spool | None,
        tally: Tally,
        *,
        retry_s: float,
        memory_limit: int,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._spool = spool
        self._tally = tally
        self._retry_s = retry_s
        self._memory_limit = memory_limit
        self._frontier = Frontier(clock)
        self._store = self._store_of({})
        self._current: Store | None = None
        """The store of this run, once its meters are registered."""
        self._errands = Errands()
        self._prepared = False
        self._thread = threading.Thread(target=self._run, name="emdc-database", daemon=True)

    # For other threads

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def call(self, work: Callable[[], _T], patience_s: float | None) -> _T:
        """What `work` gives, run on the thread; raises what it raises.

        Raises TimeoutError when it is not done in time; it goes on all the same.
        """
        return self._errands.call(work, patience_s)

    def spare(self, work: Callable[[Connection], _T], patience_s: float) -> _T:
        """What `work` gives, in a transaction of this run's readings once nothing else is to do.

        Raises TimeoutError when readings had to go first for so long, or it takes longer;
        SQLAlchemyError when the database fails, which says nothing of the readings.
        """
        return self._errands.call(lambda: self._aside(work), patience_s, spare=True)

    def wake(self) -> None:
        """There is something in the spool."""
        self._errands.wake()

    @property
    def ready(self) -> bool:
        """Whether readings may go straight to the database: it answers, and none wait before."""
        return self._current is not None and self._tally.status.ok and not self._waiting()

    def close(self, patience_s: float) -> None:
        """End after what is being done, and give the connection back; a hung database is left."""
        self._errands.close()
        if self._thread.is_alive():
            self._thread.join(patience_s)

    # On the thread, through `call`

    def prepare(self) -> None:
        """Make a new database ready. Raises SchemaError when it is of another version."""
        if not self._prepared:
            migrate.prepare(self._engine)
            self._prepared = True

    def register(
        self, profiles: Sequence[MeterProfile], begin: Callable[[], datetime], *, scheduled: bool
    ) -> None:
        """Record what is configured; see `registry`. Raises ConfigError, StorageError."""
        self.prepare()
        layouts = self._register(profiles, begin, scheduled=scheduled)
        self._current = self._store_of(layouts)

    def join(self, profile: MeterProfile, begin: datetime, *, scheduled: bool) -> None:
        """Record one meter more. Raises ConfigError, StorageError."""
        assert self._current is not None
        found = self._register([profile], lambda: begin, scheduled=scheduled, joins=True)
        self._current.add(found)

    def commit(self, entries: Sequence[Entry]) -> Outcome:
        """Store entries of this run. Raises SQLAlchemyError when the database fails."""
        assert self._current is not None
        return self._attempt(self._current, entries)

    def mark_stop(self, at: datetime) -> None:
        """Leave the mark of a clean stop. Raises SQLAlchemyError when the database fails."""
        assert self._current is not None
        self._current.mark_stop(at)

    # The thread itself

    def _run(self) -> None:
        wait_s = self._retry_s
        while True:
            well = self._tally.status.ok
            errand = self._errands.next(
                None if well else wait_s,
                also=self._waiting if well else bool,
                free=lambda: self.ready,
            )
            if errand is not None:
                self._errands.run(errand)
            elif self._errands.closing:
                break
            elif self._waiting():
                was_well = self._tally.status.ok
                wait_s = self._retry_s if self._replay() or was_well else self._longer(wait_s)
        for store in (self._current, self._store):
            if store is not None:
                store.close()

    def _aside(self, work: Callable[[Connection], _T]) -> _T:
        assert self._current is not None
        try:
            return self._current.run(work)
        except SQLAlchemyError:
            self._current.close(broken=not is_memory(self._engine))
            raise

    def _waiting(self) -> bool:
        return self._spool is not None and self._spool.status().events > 0

    def _longer(self, wait_s: float) -> float:
        said = (self._tally.status.last_error or "").lower()
        denied = "password" in said or "denied" in said
        return min(2 * wait_s, _LONGEST_RETRY_DENIED_S if denied else _LONGEST_RETRY_S)

    def _replay(self) -> bool:
        """Bring the oldest events of the spool into the database; gives whether that worked."""
        assert self._spool is not None
        try:
            self.prepare()
            head = self._spool.head(_AT_ONCE)
            if head is None:
                return True
            begun = False
            for kind, events in groupby(head.events, type):
                begun = self._apply(kind, list(events))
            self._spool.remove(head)
            if begun:
                # Without a schedule it may be long until a reading shows that the database writes.
                self._tally.committed(Outcome(), aside=True)
        except (StorageError, SQLAlchemyError) as error:
            self._store.close(broken=not is_memory(self._engine))
            self._tally.failed(reason(error))
            return False
        except Exception as error:
            log.exception("the spool cannot be replayed by a fault of this program")
            self._tally.failed(repr(error))
            return False
        return True

    def _apply(self, kind: type[Event], events: list[Any]) -> bool:
        """Whether the last of them is a start that the database has taken."""
        if kind is Entries:
            entries = [entry for event in events for entry in event.entries]
            self._restore(entries)
            return False
        begun = False
        for event in events:
            if kind is Started:
                begun = self._begin_again(event)
            elif kind is Stopped:
                self._store.mark_stop(event.at)
        return begun

    def _begin_again(self, event: Started) -> bool:
        """Whether the database has taken it."""
        try:
            layouts = self._register(event.profiles, lambda: event.begin, scheduled=event.scheduled)
        except ConfigError as error:
            # It will never be another; the readings after it need not wait for ever.
            log.error("meters not registered", extra={"error": str(error)})
            self._tally.failed(str(error))
            return False
        self._store.close()
        self._store = self._current = self._store_of(layouts)
        return True

    def _store_of(self, layouts: Mapping[str, MeterLayout]) -> Store:
        limit, made_until = self._memory_limit, self._frontier.ts
        return Store(self._engine, layouts, memory_limit=limit, made_until=made_until)

    def _restore(self, entries: Sequence[Entry]) -> None:
        if not self._store.knows(entries):
            with connected(self._engine) as connection:
                layouts = known.layouts(connection, {entry.meter for entry in entries})
            self._store.close()
            self._store = self._store_of(layouts)
        replayed = sum(isinstance(entry, MeterReading) for entry in entries)
        self._attempt(self._store, entries, replayed=replayed)

    def _attempt(self, store: Store, entries: Sequence[Entry], *, replayed: int = 0) -> Outcome:
        try:
            outcome = store.commit(entries)
        except SQLAlchemyError as error:
            store.close(broken=not is_memory(self._engine))
            self._tally.failed(reason(error))
            raise
        for index, why in outcome.refused.items():
            if self._spool is not None:
                self._spool.open()
                self._spool.set_aside(entries[index], why)
        self._tally.committed(outcome, replayed=replayed, aside=self._spool is not None)
        return outcome

    def _register(
        self,
        profiles: Sequence[MeterProfile],
        begin: Callable[[], datetime],
        *,
        scheduled: bool,
        joins: bool = False,
    ) -> dict[str, MeterLayout]:
        dialect = DIALECTS[self._engine.dialect.name]
        try:
            with dialect.alone(self._engine):
                with connected(self._engine, write=True) as connection:
                    claimed = registry.claim(connection, profiles)
                with connected(self._engine, write=True) as connection:
                    dialect.settle(connection)
                    return registry.owe(
                        connection, profiles, claimed, begin(), scheduled=scheduled, joins=joins
                    )
        except SQLAlchemyError as error:
            raise StorageError(f"{shown(self._engine.url)}: {reason(error)}") from error
