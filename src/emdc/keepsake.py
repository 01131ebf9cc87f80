"""Small files that are only ever a help: what is known of each meter from one start to the next.

They lie beside the spool, and are written whole or not at all. One that is damaged is set aside by
the program that writes it, and all goes on as if there were none. Called by `lessons` and
`discoveries`.
"""

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec

from emdc.config import MeterSettings, Settings
from emdc.errors import StorageError
from emdc.storage.spool.salvage import flush_folder, set_aside
from emdc.stores import spool_path

log = logging.getLogger(__name__)


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is kept of one meter, and what it is known by: another unit or address is another.

    Structs of this kind raise ValueError when they hold what cannot be true.
    """

    address: str
    """The meter's place in the settings."""
    unit: int


Of = TypeVar("Of", bound=Kept)


class _File(msgspec.Struct, Generic[Of], frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1] = 1
    meters: dict[str, Of]


class Keepsake(Generic[Of]):
    """One such file: `suffix` ends its name, `of` is kept of a meter, logs call it `what`."""

    def __init__(self, suffix: str, of: type[Of], *, what: str) -> None:
        self._suffix = suffix
        self._file = _File[of]  # type: ignore[valid-type]
        self.what = what

    def path(self, settings: Settings) -> Path | None:
        """The file; None with a database in memory, which leaves nothing behind."""
        spool = spool_path(settings)
        return spool and spool.with_name(f"{spool.name}-{self._suffix}.json")

    def read(self, path: Path | None, now: datetime, *, mend: bool) -> dict[str, Of]:
        """What the file says, by the meters' names; nothing when there is none.

        One that is damaged is told of; with `mend` it is renamed too, so that a new one can take
        its place: that is for the process that writes it.
        """
        try:
            text = path.read_bytes() if path else None
        except FileNotFoundError:
            return {}
        except OSError as error:
            log.warning(f"{self.what} cannot be read", extra={"error": str(error)})
            return {}
        if path is None or text is None:
            return {}
        try:
            return msgspec.json.decode(text, type=self._file).meters
        except (ValueError, msgspec.DecodeError) as error:
            facts = {"file": str(path), "error": str(error)}
            if mend:
                with suppress(StorageError):
                    facts["kept"] = str(set_aside(path, "damaged", now))
            log.warning(f"{self.what} is damaged and forgotten", extra=facts)
            return {}

    def write(self, path: Path, meters: Mapping[str, Of]) -> None:
        """Put this into the file: all of it, or the file stays as it is. Raises OSError."""
        text = msgspec.json.format(msgspec.json.encode(self._file(meters=dict(meters))))
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        new = path.with_name(f"{path.name}.new")
        with new.open("wb") as file:
            new.chmod(0o640)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        flush_folder(path)


def of(known: Mapping[str, Of], meter: MeterSettings) -> Of | None:
    """What is known of this meter; None when it was another that had its name."""
    found = known.get(meter.name)
    same = found is not None and (found.address, found.unit) == (meter.place, meter.unit)
    return found if same else None
