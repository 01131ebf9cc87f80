"""Alembic's entry: runs the revisions on a connection that was handed in, or by `-x` settings.

`migrate.upgrade` hands in a connection. Plain `alembic -x db_host=FILE upgrade head` works in a
checkout too, with the settings of `emdc migrate`: db_type, db_user, db_password, db_host, db_port,
db_name, data_timezone, and `discard=yes` for a downgrade that drops readings.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from alembic import context
from alembic.runtime.migration import MigrationContext
from alembic.util.exc import CommandError
from sqlalchemy import Connection, Engine

from emdc.errors import ConfigError, EmdcError
from emdc.storage import migrate
from emdc.storage.database import connected, open_engine
from emdc.storage.schema import metadata
from emdc.storage.steps import MYSQL


def run(connection: Connection) -> None:
    """Run what was asked on `connection`, whose transaction is open already."""
    if migrate.is_upgrade(context.config):
        migrate.adopt(connection)
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_object=partial(migrate.is_ours, connection.dialect.name),
        on_version_apply=_recorded,
    )
    with context.begin_transaction():
        context.run_migrations()


def _recorded(ctx: MigrationContext, *_facts: object, **_named: object) -> None:
    """MySQL keeps each change of the tables, also where a later revision refuses: the number of the
    revision that they are at must stay too.
    """
    if ctx.dialect.name in MYSQL and ctx.connection is not None:
        ctx.connection.exec_driver_sql("COMMIT")


def run_by_settings() -> None:
    """Open the database that the `-x` settings name; Alembic prints a CommandError as one line."""
    try:
        url = migrate.url_of(context.get_x_argument(as_dictionary=True))
        engine = open_engine(url, silence_s=None)
        with closing_engine(engine), connected(engine, write=True) as connection:
            run(connection)
    except EmdcError as error:
        raise CommandError(str(error)) from error


@contextmanager
def closing_engine(engine: Engine) -> Iterator[None]:
    """Close the engine's connections at the end."""
    try:
        yield
    finally:
        engine.dispose()


if context.is_offline_mode():
    raise ConfigError("--sql is not supported: sql/ holds the schema as plain SQL")
if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    run_by_settings()
