"""A file that appears whole or not at all, for the output of a command.

It grows under another name beside its place. Nothing that is there is overwritten unless that was
asked for, and nothing is left behind when the disk is full or somebody interrupts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from emdc.errors import ConfigError, EmdcError


@contextmanager
def destination(path: Path, *, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file to write to; it has the name `path` when the block ends well.

    Raises ConfigError when it cannot have it, EmdcError when the disk refuses.
    """
    path = Path(os.path.realpath(path)) if overwrite else path
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        _check(path, overwrite=overwrite)
        # The system takes the umask off.
        number = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError as error:
        raise ConfigError(
            f"--output: {path}: {error.strerror}, expected a folder that can be written to"
        ) from error
    try:
        with os.fdopen(number, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(part, path, overwrite=overwrite)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise EmdcError(
            f"{path}: {error.strerror or error}: nothing is left of it; make room or name another"
            " --output"
        ) from error
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _check(path: Path, *, overwrite: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"--output: {path} is a folder, expected the name of a file")
    if path.exists() and not path.is_file():
        raise ConfigError(f"--output: {path} is not a regular file, expected one or no --output")
    if not path.parent.is_dir():
        raise ConfigError(f"--output: no folder {path.parent.absolute()}, create it first")
    if os.path.lexists(path) and not overwrite:
        raise _exists(path)


def _exists(path: Path) -> ConfigError:
    return ConfigError(f"--output: {path} exists, expected a new name or --overwrite")


def _put_in_place(part: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        part.replace(path)
        return
    try:
        # Unlike a renaming it fails when the name was taken meanwhile.
        path.hardlink_to(part)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:
        # A file system without links.
        if os.path.lexists(path):
            raise _exists(path) from None
        part.rename(path)
