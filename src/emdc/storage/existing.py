"""A database that is there already, for commands that look at it or mend it: it is never created.

For looking, a SQLite file is opened read-only: nothing in it changes, whatever state it is in.
"""

import sqlite3
from functools import partial
from pathlib import Path
from shlex import quote as quoted
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Engine, ExceptionContext, event, make_url

from emdc.errors import ConfigError, SchemaError, StorageError
from emdc.storage import migrate
from emdc.storage.database import connect, make_engine, probe
from emdc.storage.engines.sqlite import sqlite_file
from emdc.storage.schema import HEAD, REVISIONS
from emdc.storage.urls import shown

_SILENCE_S: Final = 600
"""A server may work so long on one statement: whole tables are counted and checked."""


def open_existing(address: str, *, tls_ca: Path | None = None, write: bool = False) -> Engine:
    """An engine on a database that exists, whatever its revision.

    Raises ConfigError when there is no such file, StorageError when it cannot be used.
    """
    url, file = make_url(address), sqlite_file(address)
    if file is not None and not file.exists():
        raise ConfigError(
            f"database {file}: no such file, expected one that EMDC has written: name the"
            f" collector's file with --db_host; emdc run --db_host={quoted(str(file))} makes one"
        )
    read_only = file is not None and not write and "uri" not in url.query
    # A URI needs no right to write; the one to use takes its place below.
    given = url.update_query_dict({"uri": "true"}) if read_only else url
    engine = make_engine(given, tls_ca=tls_ca, silence_s=_SILENCE_S)
    if read_only and file is not None:
        # Before the listener of `database`, which connects: after it no other one is asked.
        event.remove(engine, "do_connect", connect)
        event.listen(engine, "do_connect", partial(_open_read_only, file))
        event.listen(engine, "do_connect", connect)
        event.listen(engine, "handle_error", partial(_refuse_other_files, file))
    try:
        if write or file is None:
            probe(engine)
    except BaseException:
        engine.dispose()
        raise
    return engine


def require_head(engine: Engine, address: str) -> None:
    """Raise SchemaError, with what to run, unless the database is at this version's schema."""
    revision = migrate.current(engine)
    if revision == HEAD:
        return
    where = f"database {shown(make_url(address))}: is at revision {revision or 'none'}"
    if revision is not None and revision not in REVISIONS:
        raise SchemaError(f"{where}, which a newer version made, expected {HEAD}: run that one")
    raise SchemaError(f"{where}, expected {HEAD}: run emdc migrate with the same flags")


def _open_read_only(
    file: Path, _dialect: Any, _record: Any, arguments: list[Any], _parameters: Any
) -> None:
    arguments[0] = f"file:{quote(str(file.absolute()))}?mode=ro"


def _refuse_other_files(file: Path, context: ExceptionContext) -> None:
    error = context.original_exception
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
        raise StorageError(
            f"database {file}: not a database of SQLite, expected one that EMDC has written"
        ) from error
