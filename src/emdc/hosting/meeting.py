"""Where the processes of one deployment meet: a lock file, and a Unix socket beside it.

Processes of one user with the same database and meters find the same place without talking to each
other; other deployments find another.
"""

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from emdc.config import Settings, check_meters, load
from emdc.errors import ConfigError

LONGEST_SOCKET: Final = 107
"""Bytes of a Unix socket's path, without the zero that ends it: unix(7)."""

_SQLITE: Final = "sqlite:///"


@dataclass(frozen=True)
class Meeting:
    """Paths of one deployment."""

    lock: Path
    """Who holds it with flock(2) reads the meters. Never removed: two could hold two of them."""
    socket: Path
    """Where the holder serves HTTP."""


def settings(environment: Mapping[str, str]) -> Settings:
    """The settings of a deployment under another server: the environment, and the file it names.

    Raises ConfigError, also when there is no meter.
    """
    found = load(flags={}, environment=environment, default_db_host="sqlite.db")
    check_meters(found)
    return found


def meeting(found: Settings, environment: Mapping[str, str], folder: Path) -> Meeting:
    """Where the processes meet that were started with these settings in `folder`.

    Raises ConfigError when no folder can be used for it.
    """
    name = f"emdc-{identity(found, folder)}"
    place = _runtime_folder(environment, len(f"/{name}.sock"))
    return Meeting(place / f"{name}.lock", place / f"{name}.sock")


def identity(found: Settings, folder: Path) -> str:
    """Twelve hexadecimal digits that stand for a database and its meters."""
    url = found.redacted_url()
    if url.startswith(_SQLITE) and not found.database.in_memory:
        url = _SQLITE + str(folder.joinpath(unquote(url.removeprefix(_SQLITE))).resolve())
    meters = sorted(f"{m.name} {m.host}:{m.port}/{m.unit}" for m in found.meters)
    text = "\n".join([url, *meters])
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:12]


def _runtime_folder(environment: Mapping[str, str], name_length: int) -> Path:
    """The first folder that only this user can write to and whose socket paths are short enough."""
    problems = []
    for folder, make in _candidates(environment):
        problem = _problem(folder, make=make)
        if problem is None and len(os.fsencode(folder)) + name_length > LONGEST_SOCKET:
            problem = f"too long for a socket, expected {LONGEST_SOCKET - name_length} bytes"
        if problem is None:
            return folder
        problems.append(f"{folder}: {problem}")
    raise ConfigError(
        "no folder for the lock and the socket of the worker processes, expected one in "
        "RUNTIME_DIRECTORY or XDG_RUNTIME_DIR, or a usable one for temporary files\n  "
        + "\n  ".join(problems)
    )


def _candidates(environment: Mapping[str, str]) -> list[tuple[Path, bool]]:
    """Folders in order of preference, and whether to make them."""
    found = []
    if service := environment.get("RUNTIME_DIRECTORY", "").partition(":")[0]:
        found.append((Path(service), False))  # systemd.exec(5): the service's own, there already
    if session := environment.get("XDG_RUNTIME_DIR", ""):
        found.append((Path(session, "emdc"), True))
    found.append((Path(tempfile.gettempdir(), f"emdc-{os.geteuid()}"), True))
    return found


def _problem(folder: Path, *, make: bool) -> str | None:
    """Why the folder cannot be used; None when it can."""
    try:
        if make:
            folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        return f"{error.strerror}, expected a folder of this user"
    if not stat.S_ISDIR(status.st_mode):
        return "not a folder, expected one of this user"
    if status.st_uid != os.geteuid():
        return f"owned by user {status.st_uid}, expected {os.geteuid()}"
    if status.st_mode & 0o022:
        return f"others may write to it (mode {stat.S_IMODE(status.st_mode):04o}), expected 0700"
    return None
