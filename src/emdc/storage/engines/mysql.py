"""MySQL and MariaDB, by PyMySQL or mysql-connector: one INSERT of many rows.

`INSERT IGNORE` would hide other errors than a key that is there; the update that changes nothing
does not, and needs no more than the right to update that one column.
"""

import logging
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, text
from sqlalchemy.exc import DataError

from emdc.storage.engines import jsonvalues
from emdc.storage.engines.dialect import CONNECT_S, LOOPBACK, SILENCE_S, GapRow, locked
from emdc.storage.layout import ReadingRow
from emdc.storage.urls import shown

log = logging.getLogger(__name__)

_SQL_MODE: Final = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_LOCK: Final = text("SELECT GET_LOCK('emdc: meters and topics', 30)")
_UNLOCK: Final = text("SELECT RELEASE_LOCK('emdc: meters and topics')")
_SETTLE: Final = text(
    "SELECT (SELECT ts FROM readings AS r WHERE r.meter_id = m.meter_id"
    " ORDER BY ts DESC LIMIT 1 LOCK IN SHARE MODE),"
    " (SELECT to_ts FROM gaps AS g WHERE g.meter_id = m.meter_id"
    " ORDER BY from_ts DESC LIMIT 1 LOCK IN SHARE MODE) FROM meters AS m LOCK IN SHARE MODE"
)
# Without the names of the columns, whose order is the table's: MariaDB wants the right to update
# each column that is named, although only one is.
_READING: Final = "INSERT INTO readings VALUES "
_GAP: Final = "INSERT INTO gaps VALUES "
_UNLESS_THERE: Final = " ON DUPLICATE KEY UPDATE meter_id = meter_id"
_ROW_BYTES: Final = 160
"""More than a row takes in a statement beside its values and gaps."""
_PACKET: Final = "emdc_packet_bytes"

value_columns = jsonvalues.value_columns
has_value = jsonvalues.has_value
values = jsonvalues.values


def connect_args(
    url: URL, tls_ca: Path | None, *, silence_s: int | None = SILENCE_S
) -> dict[str, Any]:
    """Time-outs, UTC, strict checks, and TLS as far as the server offers it.

    With `tls_ca` it must be TLS, and certificate and name are verified. Affected rows are counted
    as changed ones, not as found ones: that is how new rows are told from those that were there.
    """
    arguments: dict[str, Any] = {
        "charset": "utf8mb4",
        "collation": "utf8mb4_bin",
        "sql_mode": _SQL_MODE,
        "init_command": "SET time_zone = '+00:00'",
        "read_timeout": silence_s,
        "write_timeout": silence_s,
    }
    if url.get_driver_name() == "mysqlconnector":
        from mysql.connector.constants import ClientFlag  # noqa: PLC0415 (the driver that is used)

        arguments |= {"connection_timeout": CONNECT_S, "client_flags": ClientFlag.get_default()}
    else:
        arguments |= {"connect_timeout": CONNECT_S, "client_flag": 0}
        if url.password:
            # PyMySQL would take its characters for those of ISO 8859-1.
            arguments["password"] = str(url.password).encode()
    return {key: value for key, value in arguments.items() if key not in url.query} | _tls(
        url, tls_ca
    )


def _tls(url: URL, tls_ca: Path | None) -> dict[str, Any]:
    if tls_ca is not None:
        # Whatever the URL says of it.
        verify = dict.fromkeys(("ssl_verify_cert", "ssl_verify_identity"), True)
        return {"ssl_ca": str(tls_ca), "ssl_disabled": False, **verify}
    if (url.host or "") in LOOPBACK and not any(key.startswith("ssl") for key in url.query):
        return {"ssl_disabled": True}
    return {}


def on_connect(connection: Any) -> None:
    """Texts compare by their bytes; the rest of the session is as `connect_args` has it.

    SQLAlchemy sets the character set of PyMySQL's anew, and with it another collation.
    """
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET collation_connection = utf8mb4_bin")


def probe(engine: Engine) -> None:
    """Connect, and say when the server's commits do not wait for its disk."""
    with engine.connect() as connection:
        flush = connection.exec_driver_sql("SELECT @@innodb_flush_log_at_trx_commit").scalar()
    if flush != 1:
        mend = "set innodb_flush_log_at_trx_commit=1 there: a power cut may lose the last second"
        log.warning("the server does not wait", extra={"url": shown(engine.url), "mend": mend})


def insert_readings(connection: Connection, rows: Iterable[ReadingRow]) -> int:
    """Insert rows of `readings` whose key is new; gives how many were.

    Raises DataError when one row is more than the server takes in one statement.
    """
    room = _packet_bytes(connection) // 2
    new, chunk, size = 0, list[ReadingRow](), 0
    for row in rows:
        # Quoting may double a character, and one may take four bytes; numbers take neither.
        weight = _ROW_BYTES + len(row.vals) + len(row.gaps or "")
        if weight > room:
            said = f"{weight} bytes in one reading, the server's max_allowed_packet is {2 * room}"
            raise DataError(None, None, ValueError(said))
        if size + weight > room:
            new += _insert(connection, _READING, chunk)
            chunk, size = [], 0
        chunk.append(row)
        size += weight
    return new + _insert(connection, _READING, chunk)


def insert_gaps(connection: Connection, rows: Sequence[GapRow]) -> int:
    """Insert rows of `gaps` that are not there yet; gives how many were."""
    most = max(1, _packet_bytes(connection) // 2 // _ROW_BYTES)
    return sum(
        _insert(connection, _GAP, rows[start : start + most]) for start in range(0, len(rows), most)
    )


def _insert(connection: Connection, sql: str, rows: Sequence[tuple[Any, ...]]) -> int:
    if not rows:
        return 0
    places = f"({', '.join(['%s'] * len(rows[0]))})"
    statement = f"{sql}{', '.join([places] * len(rows))}{_UNLESS_THERE}"
    options = {"preserve_rowcount": True}
    flat = tuple(value for row in rows for value in row)
    return connection.exec_driver_sql(statement, flat, execution_options=options).rowcount


def _packet_bytes(connection: Connection) -> int:
    known: int | None = connection.info.get(_PACKET)
    if known is None:
        asked = connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one()
        known = connection.info[_PACKET] = int(asked)
    return known


def writing(_connection: Connection) -> None:
    """Nothing, as in `settle`."""


def settle(connection: Connection) -> None:
    """Wait for whoever has written a meter's newest row and has not committed it yet.

    A locking read does, and begins no snapshot, so that what follows sees what was committed then.
    """
    connection.execute(_SETTLE).all()


def alone(engine: Engine) -> AbstractContextManager[None]:
    """A named lock."""
    return locked(engine, _LOCK, _UNLOCK)
