"""Small files that are only ever a help: what is known from one start to the next.

Written whole or not at all. One that is damaged is set aside, and the program goes on as if there
were none. Called by `lessons` and `discoveries`.
"""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import msgspec

from emdc.errors import StorageError
from emdc.storage.salvage import flush_folder, set_aside

log = logging.getLogger(__name__)

_T = TypeVar("_T")


def read(
    path: Path, parse: Callable[[bytes], _T], now: datetime, *, what: str, mend: bool = True
) -> _T | None:
    """What `parse` makes of the file; None when there is none. `what` is what logs call it.

    One of which `parse` raises ValueError or DecodeError is told of, and renamed so that a new one
    can take its place; that is for who writes it: others do not `mend`.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.warning(f"{what} cannot be read", extra={"error": str(error)})
        return None
    try:
        return parse(text)
    except (ValueError, msgspec.DecodeError) as error:
        facts = {"file": str(path), "error": str(error)}
        if mend:
            with suppress(StorageError):
                facts["kept"] = str(set_aside(path, "damaged", now))
        log.warning(f"{what} is damaged and forgotten", extra=facts)
        return None


def write(path: Path, document: msgspec.Struct) -> None:
    """Put this into the file: all of it, or the file stays as it is. Raises OSError."""
    text = msgspec.json.format(msgspec.json.encode(document))
    path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.new")
    with new.open("wb") as file:
        new.chmod(0o640)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    flush_folder(path)
