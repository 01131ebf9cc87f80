"""The schema's life: upgrade, which revision a database is at, and the check at start.

Called by the commands and the daemon; Alembic is loaded only when something is to be upgraded.
Databases of the old collector are recognised, also those made by plain SQL scripts.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, Engine, inspect

from emdc.errors import ConfigError, SchemaError
from emdc.storage import schema
from emdc.storage.database import connected, shown
from emdc.storage.schema import HEAD, OLD_REVISIONS, REVISIONS

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS: Final = "emdc.storage:migrations"

_OLD_COLUMNS: Final[Mapping[str, frozenset[str]]] = {
    "topics": frozenset({"topic_id", "topic_name"}),
    "data": frozenset({"ts", "topic_id", "value_string"}),
    "meta": frozenset({"topic_id", "metadata"}),
    "volttron_table_definitions": frozenset({"table_id", "table_name", "table_prefix"}),
}


def upgrade(engine: Engine, revision: str = "head", *, data_timezone: str | None = None) -> None:
    """Bring the database to `revision`, in one transaction: all of it or nothing.

    `data_timezone` is an IANA zone or `keep`, needed when the old collector left readings.
    Raises ConfigError for an unknown revision or zone, SchemaError for a newer or foreign database.
    """
    from alembic import command  # noqa: PLC0415 (loading Alembic costs the daemon's start)
    from alembic.util.exc import CommandError  # noqa: PLC0415

    _refuse_newer(engine)
    with connected(engine, write=True) as connection:
        config = _config(connection=connection, data_timezone=data_timezone)
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            known = ", ".join(("head", *REVISIONS))
            raise ConfigError(f"revision {revision}: {error}; known are {known}") from error


def current(engine: Engine) -> str | None:
    """The revision that the database says it is at; None when it says none."""
    with connected(engine) as connection:
        return _recorded(connection)


def require_head(engine: Engine) -> None:
    """Raise SchemaError, with the command to run, unless the database is at HEAD."""
    _refuse_newer(engine)
    with connected(engine) as connection:
        revision = _recorded(connection)
        if revision == HEAD:
            return
        zone = " --data_timezone=ZONE" if _has_old_rows(connection) else ""
    raise SchemaError(
        f"database {shown(engine.url)} is at revision {revision or 'none'}, expected {HEAD}: run"
        f" {_command(engine.url)}{zone}"
    )


def prepare(engine: Engine) -> None:
    """Make the database ready for readings: a new, empty one is created at HEAD.

    Any other must be at HEAD already; raises SchemaError as `require_head` does.
    """
    with connected(engine, write=True) as connection:
        if not _tables(connection):
            schema.create(connection)
            return
    require_head(engine)


def adopt(connection: Connection) -> None:
    """Record the revision of a database that was made by hand from the old SQL scripts.

    Nothing happens when it is empty or has a revision. Raises SchemaError when its tables are
    other people's.
    """
    tables = _tables(connection)
    if not tables or _recorded(connection) is not None:
        return
    for table, expected in _OLD_COLUMNS.items():
        missing = expected - _columns(connection, table, tables)
        if missing:
            raise SchemaError(
                f"table {table} lacks {', '.join(sorted(missing))}: neither empty nor a database of"
                " this program or the old collector, name another one"
            )
    # The two revisions between are for MySQL alone, and leave no trace on other engines.
    indexes = {index["name"] for index in inspect(connection).get_indexes("data")}
    revision = OLD_REVISIONS[-1 if "topic_id_idx" in indexes else -2]
    if "alembic_version" not in tables:
        schema.alembic_version.create(connection)
    connection.execute(schema.alembic_version.insert().values(version_num=revision))


def is_upgrade(config: "Config") -> bool:
    """Whether Alembic runs an upgrade, asked for by `upgrade` or on its command line."""
    if config.attributes.get("connection") is not None:
        return True
    asked = getattr(config.cmd_opts, "cmd", None)
    return asked is not None and asked[0].__name__ == "upgrade"


def is_ours(_object: object, name: str | None, kind: str, *_details: object) -> bool:
    """Whether Alembic compares this object: tables of other programs are none of our business."""
    return kind != "table" or name in schema.metadata.tables


def url_of(settings: Mapping[str, Any]) -> URL:
    """The database that `db_type`, `db_host` and the like name, as the flags of `emdc migrate` do.

    Raises ConfigError when `db_host` is missing.
    """
    kind, host = settings.get("db_type", "sqlite"), settings.get("db_host")
    if not host:
        raise ConfigError("db_host is missing, expected -x db_host=FILE")
    if kind == "sqlite":
        return URL.create("sqlite", database=host)
    port = settings.get("db_port")
    return URL.create(
        kind,
        username=settings.get("db_user", "uwsolar"),
        password=settings.get("db_password") or None,
        host=host,
        port=int(port) if port else None,
        database=settings.get("db_name", "uwsolar"),
    )


def _config(**attributes: object) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("path_separator", "os")
    config.attributes.update(attributes)
    return config


def _command(url: URL) -> str:
    if url.get_backend_name() == "sqlite":
        return f"emdc migrate --db_host={shlex.quote(url.database or ':memory:')}"
    parts = {"db_type": url.drivername, "db_user": url.username, "db_host": url.host}
    parts |= {"db_port": str(url.port) if url.port else None, "db_name": url.database}
    flags = (f"--{name}={shlex.quote(value)}" for name, value in parts.items() if value)
    return " ".join(("emdc migrate", *flags))


def _refuse_newer(engine: Engine) -> None:
    revision = current(engine)
    if revision is not None and revision not in REVISIONS:
        raise SchemaError(
            f"database {shown(engine.url)} is at revision {revision}, which this program does not"
            f" know: it was made by a newer one, run that; this one writes {HEAD}"
        )


def _tables(connection: Connection) -> Sequence[str]:
    return inspect(connection).get_table_names()


def _columns(connection: Connection, table: str, tables: Sequence[str]) -> frozenset[str]:
    if table not in tables:
        return frozenset()
    return frozenset(column["name"] for column in inspect(connection).get_columns(table))


def _recorded(connection: Connection) -> str | None:
    if "alembic_version" not in _tables(connection):
        return None
    row = connection.execute(schema.alembic_version.select()).first()
    return None if row is None else str(row.version_num)


def _has_old_rows(connection: Connection) -> bool:
    if "data" not in _tables(connection):
        return False
    return connection.exec_driver_sql("SELECT 1 FROM data LIMIT 1").first() is not None
