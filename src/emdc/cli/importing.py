"""`emdc import`: the values of a CSV file into a database, once all its lines are checked."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO, Any, Final

from emdc import daemon, stores
from emdc.cli.csvlines import Fault, Survey, read, survey
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.refined import takes_dash
from emdc.cli.stored import counting, settings_of
from emdc.cli.terminal import note, say
from emdc.config import Settings
from emdc.config.table import CONFIG, Setting
from emdc.errors import ConfigError, StorageError
from emdc.storage.database import Database, open_engine
from emdc.storage.engines.sqlite import sqlite_file
from emdc.storage.instants import to_text
from emdc.storage.intake import Intake, Known, known
from emdc.storage.migrate import prepare

FILE: Final = Setting("", "file", "path", None, "CSV file; - is standard input")
DRY_RUN: Final = Setting("", "dry_run", "switch", False, "Say what would be stored, store nothing")
_SHOWN: Final = 5


@takes_dash(FILE.flag)
@takes(DRY_RUN, *DATABASE, CONFIG, *LOG, argument=FILE)
def command(file: str, /, **given: object) -> int:
    """Store the values of a CSV file.

    With a first line `ts,topic,value` as `emdc export` writes it; other
    columns are not read. What is there already stays as it is. All lines
    are checked first, and of a file with a fault nothing is stored.

        emdc import values.csv --db_host=emdc.db
        emdc export --db_host=a.db | emdc import - --db_host=b.db
    """
    own: dict[str, Any] = checked(
        (FILE, DRY_RUN), {"file": file, "dry_run": given.pop("dry_run", None)}, {}
    )
    settings = settings_of(given)
    name, dry = str(own["file"]), bool(own["dry_run"])
    with _opened(name) as content:
        topics = _known(settings)
        found = survey(content, topics)
        found.check(name)
        engine = _database(settings, dry=dry)
        daemon.calm_garbage_collection()
        try:
            intake = Intake(engine, found.names, to_text(datetime.now(UTC)), dry=dry)
            _store(content, topics, found.count, intake)
        finally:
            engine.dispose()
    _explain(found)
    _sum_up(intake, settings)
    return 0


@contextmanager
def _opened(name: str) -> Iterator[IO[bytes]]:
    """The file, which can be read from its beginning again. Raises ConfigError."""
    if name == "-" and sys.stdin is None:
        raise ConfigError("-: standard input is closed, expected a CSV file")
    try:
        with sys.stdin.buffer if name == "-" else open(name, "rb") as given:  # noqa: PTH123
            if given.seekable():
                yield given
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(given, copy)
                yield copy
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ConfigError(f"{name}: {error.strerror}, expected a CSV file") from error


def _known(settings: Settings) -> Known:
    """What the database knows; a file that does not exist is not made before all is checked."""
    if _is_new(settings):
        return Known(frozenset(), frozenset())
    engine = stores.open_database(settings)
    try:
        return known(engine)
    finally:
        engine.dispose()


def _database(settings: Settings, *, dry: bool) -> Database:
    """The database; for a trial on a file that does not exist one in memory."""
    if dry and _is_new(settings):
        engine = open_engine("sqlite://")
        prepare(engine)
        return engine
    return stores.open_database(settings)


def _is_new(settings: Settings) -> bool:
    file = sqlite_file(settings.database_url())
    return file is not None and not file.exists()


def _store(content: IO[bytes], topics: Known, count: int, intake: Intake) -> None:
    intake.open()
    try:
        with counting("values", count) as tell:
            for line in read(content, topics):
                if isinstance(line, Fault):
                    raise ConfigError(f"the file has changed meanwhile: line {line.line}")
                if written := intake.add(line[1]):
                    tell(written)
            tell(intake.flush())
    except (KeyboardInterrupt, StorageError, ConfigError):
        if not intake.dry:
            # How many cannot be told: the interruption may have come right after a commit.
            note("emdc: ended early; what is stored so far stays, start it again for the rest")
        raise


def _explain(found: Survey) -> None:
    for one in found.mixed[:_SHOWN]:
        note(f"emdc: texts among the numbers of {one}: stored as texts")
    if len(found.mixed) > _SHOWN:
        note(f"emdc: and of {len(found.mixed) - _SHOWN:,} more topics")


def _sum_up(intake: Intake, settings: Settings) -> None:
    total = intake.total
    would = "would be " if intake.dry else ""
    say(
        f"{total.added:,} values {would}imported, {total.unchanged:,} there already, "
        f"{total.conflicts:,} conflicts{_stays(total.conflicts)}: {settings.redacted_url()}"
    )


def _stays(conflicts: int) -> str:
    return ", where the value that was there stays" if conflicts else ""
