"""Column types that differ by engine, with one form in Python.

Used by `schema` and the revisions. An instant is text of 26 characters in UTC everywhere in this
package (see `instants`); a database stores it as what it is best at. Values of a reading are a list
in slot order; integers beyond 2^53 are text in it, on every engine.
"""

from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import ARRAY, TIMESTAMP, Dialect, Double, Float, String, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator, TypeEngine

from emdc.reading import Value
from emdc.storage.instants import INSTANT_CHARS, from_text, to_text

_MYSQL: Final = frozenset({"mysql", "mariadb"})
_values: Final = msgspec.json.Decoder(list[Value])

Values: TypeAlias = list[Value]


class Instant(TypeDecorator[str]):
    """UTC: text that sorts on SQLite, TIMESTAMPTZ on PostgreSQL, DATETIME(6) on MySQL."""

    impl = String(INSTANT_CHARS)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of the column."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(TIMESTAMP(timezone=True))
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.DATETIME(fsp=6))
        return dialect.type_descriptor(String(INSTANT_CHARS))

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        """Text stays text, but for PostgreSQL, whose driver wants to know what it is."""
        if dialect.name == "postgresql" and value:
            return from_text(value)
        return value

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        """Text, whatever the driver gave."""
        if isinstance(value, datetime):
            return to_text(value if value.tzinfo else value.replace(tzinfo=UTC))
        return None if value is None else str(value)


class SlotValues(TypeDecorator[Values]):
    """Values by slot: a JSON array as text, FLOAT8[] on PostgreSQL (texts are beside it there)."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """The type of the column."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(ARRAY(Double()))
        if dialect.name in _MYSQL:
            return dialect.type_descriptor(mysql.MEDIUMTEXT())
        return dialect.type_descriptor(Text())

    def process_result_value(self, value: Any, _dialect: Dialect) -> Values | None:
        """A list, whatever the driver gave."""
        return _values.decode(value) if isinstance(value, str | bytes) else value


LONG_TEXT: Final = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""A meter may have ten thousand metrics: their slots need more than the 64 kB of MySQL's TEXT."""

SECONDS: Final = Float().with_variant(mysql.DOUBLE(asdecimal=False), "mysql", "mariadb")
"""MySQL's FLOAT has four bytes, in which 0.1 is another number."""

MYSQL_TABLE: Final[dict[str, Any]] = {
    f"{name}_{key}": value
    for name in ("mysql", "mariadb")
    for key, value in {
        "engine": "InnoDB",
        "charset": "utf8mb4",
        # The usual collation takes names for one that differ in case.
        "collate": "utf8mb4_bin",
        "row_format": "DYNAMIC",
    }.items()
}
