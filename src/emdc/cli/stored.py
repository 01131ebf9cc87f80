"""What commands on a stored database share: which one is meant, and how far they have come."""

import difflib
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

from emdc.cli.settings import load, without_meters
from emdc.config import Settings
from emdc.errors import ConfigError
from emdc.storage.database import Database
from emdc.storage.existing import open_existing, require_head
from emdc.storage.intervals.accounts import Accounts

Tell: TypeAlias = Callable[[int], None]


def settings_of(given: Mapping[str, object]) -> Settings:
    """The settings; raises ConfigError when they name no database that outlives the command."""
    settings = load(given, without_meters())
    if settings.database.in_memory:
        raise ConfigError("no database is named, expected --db_host=FILE or --db_type and the like")
    return settings


@contextmanager
def existing(
    settings: Settings, *, write: bool = False, any_revision: bool = False
) -> Iterator[Database]:
    """The database, which must be there, until the block ends; a file is read-only without `write`.

    Raises ConfigError, or SchemaError when it is of another version.
    """
    address = settings.database_url()
    engine = open_existing(address, tls_ca=settings.database.tls_ca, write=write)
    try:
        if not any_revision:
            require_head(engine, address)
        yield engine
    finally:
        engine.dispose()


def meters_named(engine: Database, meter: str | None) -> dict[str, int]:
    """Numbers of the meters that --meter means, all without it, by name and in its order.

    Raises ConfigError for one that does not exist.
    """
    known = Accounts(engine).meters()
    if meter is None:
        return known
    if meter not in known:
        near = difflib.get_close_matches(meter, known, n=3, cutoff=0.4) or list(known)[:3]
        expected = f"expected one such as {', '.join(near)}" if near else "the database has none"
        raise ConfigError(f"--meter: no meter {meter!r}, {expected}")
    return {meter: known[meter]}


@contextmanager
def counting(what: str, total: int | None = None) -> Iterator[Tell]:
    """A bar on a terminal, none elsewhere; what it gives is told how many more are done."""
    from rich.console import Console  # noqa: PLC0415 (a fifth of a second)
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,}"),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    shown = sys.stderr.isatty()
    with Progress(*columns, console=console, disable=not shown, transient=True) as bar:
        yield partial(bar.advance, bar.add_task(what, total=total))
