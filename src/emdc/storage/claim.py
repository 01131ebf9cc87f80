"""One recording process for each meter of a SQLite file.

Each tick of a meter has one place in the file, and the first reading takes it. Of two processes
that record one meter, the one that cannot reach it has its gap ready first, and the values of the
other would find their place taken. A claim is a listening abstract Unix socket, named by the file
and the meter: the kernel allows one, and frees it when its process ends however it ends.
Abstract sockets are Linux only; elsewhere nothing is claimed.
"""

import hashlib
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from struct import Struct
from typing import Final

from sqlalchemy import Connection, text

from emdc.errors import StorageError
from emdc.storage.database import Database, connected, shown

_PEER: Final = Struct("3i")  # process, user, group: unix(7), SO_PEERCRED
_CALLERS: Final = 128
"""Callers are never answered; when so many have asked, the next one is not told who it is."""


@contextmanager
def claimed(engine: Database, meters: Iterable[str]) -> Iterator[None]:
    """No other process records these meters into this file until the block ends.

    Raises StorageError naming the process that does. A database in memory needs no claim.
    """
    with ExitStack() as stack:
        with connected(engine) as connection:
            file = _file(connection)
        for meter in meters if file else ():
            stack.enter_context(_claim(_name(file, meter), f"{shown(engine.url)}: {meter}"))
        yield


def elsewhere(connection: Connection, meters: Iterable[str]) -> frozenset[str]:
    """Those of these meters that another process records into this file."""
    file = _file(connection)
    if not file:
        return frozenset()
    holders = {meter: _holder(_name(file, meter)) for meter in meters}
    return frozenset(m for m, process in holders.items() if process not in {None, os.getpid()})


def _file(connection: Connection) -> str:
    """The file as SQLite itself calls it; empty where nothing can be claimed."""
    if connection.dialect.name != "sqlite" or sys.platform != "linux":
        return ""
    query = text("SELECT file FROM pragma_database_list WHERE name = 'main'")
    return str(connection.execute(query).scalar() or "")


def _name(file: str, meter: str) -> str:
    """The kernel's name of a claim; a file has the same under each of its paths."""
    status = Path(file).stat()
    digest = hashlib.sha256(meter.encode()).hexdigest()[:32]
    return f"\0emdc/readings/{status.st_dev:x}:{status.st_ino:x}/{digest}"


def _claim(name: str, what: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(name)
        listener.listen(_CALLERS)
    except OSError as error:
        listener.close()
        by = f", process {holder}" if (holder := _holder(name)) else ""
        raise StorageError(
            f"{what} is recorded there by another program{by}: end that one, or name another file"
        ) from error
    return listener


def _holder(name: str) -> int | None:
    """Which process has a claim, 0 when that cannot be found out; None when none has."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as caller:
        try:
            caller.connect(name)
            peer = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        except BlockingIOError:
            return 0
        except OSError:
            return None
        process: int = _PEER.unpack(peer)[0]
        return process
