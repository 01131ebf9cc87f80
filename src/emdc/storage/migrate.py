"""The schema's life: upgrade, which revision a database is at, and the check at start.

Called by the commands and the daemon; Alembic is loaded only when something is to be upgraded.
Databases of the old collector are recognised, also those made by plain SQL scripts.

On SQLite and PostgreSQL an upgrade happens as a whole or not at all. MySQL commits each change of
the schema by itself: there an upgrade that was killed goes on where it stopped when run again.
"""

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import URL, Connection, Engine, inspect, make_url
from sqlalchemy.schema import SchemaItem

from emdc.errors import ConfigError, SchemaError
from emdc.storage import ddl, old_rows, schema
from emdc.storage.database import connected
from emdc.storage.schema import HEAD, OLD_REVISIONS, READINGS_REVISION, REVISIONS
from emdc.storage.urls import shown

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS: Final = "emdc.storage:migrations"

_OLD_COLUMNS: Final[Mapping[str, frozenset[str]]] = {
    "topics": frozenset({"topic_id", "topic_name"}),
    "data": frozenset({"ts", "topic_id", "value_string"}),
    "meta": frozenset({"topic_id", "metadata"}),
    "volttron_table_definitions": frozenset({"table_id", "table_name", "table_prefix"}),
}


def upgrade(
    engine: Engine,
    revision: str = "head",
    *,
    data_timezone: str | None = None,
    say: Callable[[str], None] | None = None,
) -> None:
    """Bring the database to `revision`; one that is there already is left alone.

    `data_timezone` is an IANA zone or `keep`, needed when the old collector left readings; `say`
    is told of each step that may take long. Raises ConfigError for an unknown revision or zone,
    SchemaError for a newer or foreign database.
    """
    from alembic import command  # noqa: PLC0415 (loading Alembic costs the daemon's start)
    from alembic.util.exc import CommandError  # noqa: PLC0415

    _refuse_newer(engine)
    with connected(engine, write=True) as connection:
        if revision in {"head", *REVISIONS[REVISIONS.index(READINGS_REVISION) :]}:
            _ask_for_zone(connection, data_timezone)
        config = _config(connection=connection, data_timezone=data_timezone, say=say)
        try:
            command.upgrade(config, revision)
        except CommandError as error:
            raise ConfigError(f"revision {revision}: {error}; known are {_known()}") from error


def _ask_for_zone(connection: Connection, zone: str | None) -> None:
    """Raise ConfigError when a later step would want to know it: those before may take hours."""
    if zone:
        old_rows.checked_zone(zone)
    elif _OLD_COLUMNS["data"] <= _columns(connection, "data", _tables(connection)):
        rows = old_rows.examine(connection)
        if rows.count:
            old_rows.need_zone(rows, "")


def preview(
    engine: Engine, revision: str = "head", *, data_timezone: str | None = None
) -> list[str]:
    """What `upgrade` would do, in sentences; nothing is changed.

    Raises ConfigError for an unknown revision or zone, SchemaError for a newer or foreign database.
    """
    _refuse_newer(engine)
    target = HEAD if revision == "head" else revision
    if target not in REVISIONS:
        raise ConfigError(f"revision {revision}: expected one of {_known()}")
    with connected(engine) as connection:
        tables = _tables(connection)
        at = _revision_of(connection, tables)
        last = REVISIONS.index(target) + 1
        left = REVISIONS[REVISIONS.index(at) + 1 : last] if at else REVISIONS[:last]
        if not left:
            return [f"is at revision {at} already: nothing to do"]
        start = at or ("none" if tables else "none, an empty database,")
        lines = [f"from revision {start} to {target}", *map(_summary, left)]
        if READINGS_REVISION in left and "data" in tables:
            lines += _told(connection, data_timezone)
    return lines


def _summary(revision: str) -> str:
    """A revision and the first line of its script."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    script = ScriptDirectory.from_config(_config()).get_revision(revision)
    return f"  {revision}  {script.doc.removesuffix('.')}"


def _revision_of(connection: Connection, tables: Sequence[str]) -> str | None:
    """The revision that an upgrade would start from; None when that is the beginning."""
    if not tables or _is_half_made(connection, tables):
        return None
    return _recorded(connection) or _by_hand(connection, tables)


def _told(connection: Connection, zone: str | None) -> list[str]:
    """What would become of the old collector's rows, in sentences."""
    rows = old_rows.examine(connection)
    if not rows.count:
        return []
    told = old_rows.told(connection, rows, old_rows.checked_zone(zone or old_rows.KEEP))
    lines = [*told, "  they stay as they are, in data_old; the view data shows them too"]
    if not zone:
        lines.append("  --data_timezone=ZONE is needed: the zone of the old collector's clock")
    return lines


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
        if _is_new(connection):
            ddl.create(connection)
            return
    require_head(engine)


def adopt(connection: Connection) -> None:
    """Record the revision of a database that was made by hand from the old SQL scripts.

    Nothing happens when it is empty or has a revision. Raises SchemaError when its tables are
    other people's.
    """
    tables = _tables(connection)
    if not tables or _recorded(connection) is not None or _is_half_made(connection, tables):
        return
    revision = _by_hand(connection, tables)
    if "alembic_version" not in tables:
        schema.alembic_version.create(connection)
    connection.execute(schema.alembic_version.insert().values(version_num=revision))


def _by_hand(connection: Connection, tables: Sequence[str]) -> str:
    """The revision that tables without one are at. Raises SchemaError when they are not ours."""
    for table, expected in _OLD_COLUMNS.items():
        missing = expected - _columns(connection, table, tables)
        if missing:
            raise SchemaError(
                f"table {table} lacks {', '.join(sorted(missing))}: neither empty nor a database of"
                " this program or the old collector, name another one"
            )
    # The two revisions between are for MySQL alone, and what they change is no hindrance later.
    indexes = {index["name"] for index in inspect(connection).get_indexes("data")}
    return OLD_REVISIONS[-1 if "topic_id_idx" in indexes else -2]


def _is_new(connection: Connection) -> bool:
    """Empty, or its creation was killed where each step is committed by itself."""
    tables = _tables(connection)
    if not tables:
        return True
    # A killed upgrade leaves the old collector's tables, which only another upgrade can finish.
    topics = _columns(connection, "topics", tables)
    old = "data" in tables or (topics and "meter_id" not in topics)
    return not old and _is_half_made(connection, tables)


def _is_half_made(connection: Connection, tables: Sequence[str]) -> bool:
    """Begun by this program or by Alembic, and nothing recorded yet."""
    return "alembic_version" in tables and _recorded(connection) is None


def is_upgrade(config: "Config") -> bool:
    """Whether Alembic runs an upgrade, asked for by `upgrade` or on its command line."""
    if config.attributes.get("connection") is not None:
        return True
    asked = getattr(config.cmd_opts, "cmd", None)
    return asked is not None and asked[0].__name__ == "upgrade"


def is_ours(
    engine_name: str, thing: SchemaItem, name: str | None, kind: str, *_details: object
) -> bool:
    """Whether Alembic compares this object: tables of other programs are none of our business."""
    if kind in {"column", "index"}:
        return bool(thing.info.get(schema.ONLY, engine_name) == engine_name)
    return kind != "table" or name in schema.metadata.tables


def url_of(settings: Mapping[str, Any]) -> URL:
    """The database that `db_type`, `db_host` and the like name, as the flags of `emdc migrate` do.

    Raises ConfigError when `db_host` is missing.
    """
    if url := settings.get("db_url"):
        return make_url(url)
    kind, host = settings.get("db_type", "sqlite"), settings.get("db_host")
    if not host:
        raise ConfigError("db_host is missing, expected -x db_host=FILE")
    if kind == "sqlite":
        return URL.create("sqlite", database=host)
    port = settings.get("db_port")
    return URL.create(
        "postgresql+psycopg" if kind == "postgresql" else kind,
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


def _known() -> str:
    return ", ".join(("head", *REVISIONS))


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
