"""PostgreSQL by psycopg 3: readings by COPY; where some are there already by a staging table.

Numbers are in `vals` (FLOAT8[]), the rare texts of a reading beside it in `texts`, by slot.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Row,
    func,
    null,
    or_,
    text,
)
from sqlalchemy.exc import IntegrityError

from emdc.reading import Value
from emdc.storage.columns import Values
from emdc.storage.engines.dialect import CONNECT_S, LOOPBACK, SILENCE_S, GapRow, locked, translated
from emdc.storage.layout import ReadingRow
from emdc.storage.schema import readings

_COLUMNS: Final = "meter_id, ts, read_at, scheduled, vals, texts, gaps"
_STAGE: Final = (
    "CREATE TEMPORARY TABLE IF NOT EXISTS emdc_new_readings (LIKE readings) ON COMMIT DELETE ROWS"
)
_COPY: Final = f"COPY readings ({_COLUMNS}) FROM STDIN"
_COPY_STAGED: Final = f"COPY emdc_new_readings ({_COLUMNS}) FROM STDIN"
# What failed and was rolled back to a savepoint has left nothing in the staging table.
_INSERT: Final = (
    f"INSERT INTO readings ({_COLUMNS}) SELECT {_COLUMNS} FROM emdc_new_readings"  # noqa: S608
    " ON CONFLICT (meter_id, ts) DO NOTHING"
)
_CLEAR: Final = "DELETE FROM emdc_new_readings"
_INSERT_GAP: Final = (
    "INSERT INTO gaps (meter_id, from_ts, to_ts, reason) VALUES (%s, %s, %s, %s)"
    " ON CONFLICT DO NOTHING"
)
_LOCK: Final = text("SELECT pg_advisory_lock(hashtext('emdc: meters and topics'))")
_UNLOCK: Final = text("SELECT pg_advisory_unlock(hashtext('emdc: meters and topics'))")
_WRITING: Final = text("SELECT pg_advisory_xact_lock_shared(hashtext('emdc: readings'))")
_SETTLE: Final = text("SELECT pg_advisory_xact_lock(hashtext('emdc: readings'))")
# Where a server commits without waiting for its disk, what was acknowledged could be lost.
_SESSION: Final = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('DateStyle', 'ISO', false),"
    " set_config('extra_float_digits', '1', false),"
    " set_config('client_min_messages', 'warning', false),"
    " CASE current_setting('synchronous_commit') WHEN 'off' THEN"
    " set_config('synchronous_commit', 'on', false) END"
)
_LINES: Final = 50
"""Lines that go to the server together, while the next ones are made."""
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

_decode: Final = msgspec.json.Decoder(list[Value]).decode
_encode: Final = msgspec.json.Encoder().encode

value_columns: Final[tuple[ColumnElement[Any], ...]] = (readings.c.vals, readings.c.texts)
has_value: Final[ColumnElement[bool]] = or_(
    func.cardinality(func.array_remove(readings.c.vals, null())) > 0, readings.c.texts.is_not(None)
)


def values(row: Row[Any]) -> Values:
    """Values by slot; every number is a float here."""
    found: Values = list(row.vals)
    for slot, value in (row.texts or {}).items():
        found[int(slot)] = value
    return found


def connect_args(
    url: URL, tls_ca: Path | None, *, silence_s: int | None = SILENCE_S
) -> dict[str, Any]:
    """Time-outs, and TLS as far as the server offers it; with `tls_ca` it must and is verified."""
    arguments: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "application_name": "emdc",
        "client_encoding": "utf8",
        "keepalives_idle": SILENCE_S,
        "keepalives_interval": CONNECT_S,
        "keepalives_count": 3,
        "tcp_user_timeout": 1000 * SILENCE_S,
    }
    if (url.host or "") in LOOPBACK and not any(key.startswith("ssl") for key in url.query):
        arguments["sslmode"] = "disable"
    given = {key: value for key, value in arguments.items() if key not in url.query}
    if tls_ca is not None:
        # Whatever the URL says of it.
        given |= {"sslmode": "verify-full", "sslrootcert": str(tls_ca)}
    return given


def on_connect(connection: Any) -> None:
    """Times in UTC as the driver reads them, every digit of a number, commits on disk."""
    with connection.cursor() as cursor:
        cursor.execute(_SESSION)
    connection.commit()


def probe(engine: Engine) -> None:
    """Connecting is all that there is to try."""
    with engine.connect():
        pass


def insert_readings(connection: Connection, rows: Iterable[ReadingRow]) -> int:
    """Insert rows of `readings` whose key is new; gives how many were."""
    coming, lines = iter(rows), list[str]()
    try:
        with connection.begin_nested():
            _copy(connection, _COPY, _kept(map(_line, coming), lines))
    except IntegrityError:
        # Some of them are there, as in a replay: nearly never, and the staging table costs as much
        # again as the rest.
        lines += map(_line, coming)
        return _insert_new(connection, lines)
    return len(lines)


def _kept(lines: Iterable[str], into: list[str]) -> Iterator[str]:
    """The lines, some at a time; each is in `into` once it was given."""
    coming = iter(lines)
    while some := list(islice(coming, _LINES)):
        into += some
        yield "".join(some)


def _copy(connection: Connection, statement: str, parts: Iterable[str]) -> None:
    driver: Any = connection.connection
    with translated(connection), driver.cursor() as cursor, cursor.copy(statement) as copy:
        for part in parts:
            copy.write(part)


def _insert_new(connection: Connection, lines: Sequence[str]) -> int:
    connection.exec_driver_sql(_STAGE)
    _copy(connection, _COPY_STAGED, lines)
    options = {"preserve_rowcount": True}
    new = connection.exec_driver_sql(_INSERT, execution_options=options).rowcount
    connection.exec_driver_sql(_CLEAR)
    return new


def insert_gaps(connection: Connection, rows: Sequence[GapRow]) -> int:
    """Insert rows of `gaps` that are not there yet; gives how many were."""
    if not rows:
        return 0
    options = {"preserve_rowcount": True}
    return connection.exec_driver_sql(_INSERT_GAP, list(rows), execution_options=options).rowcount


def writing(connection: Connection) -> None:
    """A shared lock, which ends once the commit can be seen."""
    connection.execute(_WRITING)


def settle(connection: Connection) -> None:
    """Wait for all who write now; those who come later wait until this transaction ends."""
    connection.execute(_SETTLE)


def alone(engine: Engine) -> AbstractContextManager[None]:
    """An advisory lock."""
    return locked(engine, _LOCK, _UNLOCK)


def _line(row: ReadingRow) -> str:
    """One line of COPY's text format. Source: PostgreSQL 15, COPY, file formats."""
    meter_id, ts, read_at, scheduled, vals, gaps = row
    if '"' in vals:
        vals, texts = _apart(vals)
    else:
        # A JSON array of numbers and nulls is an array literal once its brackets are braces.
        vals, texts = f"{{{vals[1:-1]}}}", "\\N"
    reasons = gaps.translate(_ESCAPES) if gaps else "\\N"
    return f"{meter_id}\t{ts}\t{read_at}\t{scheduled:d}\t{vals}\t{texts}\t{reasons}\n"


def _apart(vals: str) -> tuple[str, str]:
    """Numbers as an array literal, and the texts by slot as JSON, both as COPY wants them."""
    found = _decode(vals)
    texts = {str(slot): value for slot, value in enumerate(found) if isinstance(value, str)}
    numbers = ["null" if v is None or isinstance(v, str) else repr(v) for v in found]
    return f"{{{','.join(numbers)}}}", _encode(texts).decode().translate(_ESCAPES)
