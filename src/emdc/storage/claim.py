"""One recording process on this machine for each meter of a database.

Each tick of a meter has one place in the database, and the first reading takes it. Of two processes
that record one meter, the one that cannot reach it has its gap ready first, and the values of the
other would find their place taken. A claim is a listening abstract Unix socket, named by the
database and the meter: the kernel allows one, and frees it when its process ends however it ends.
Abstract sockets are Linux only; elsewhere nothing is claimed. Processes on other machines are not
seen: what they record into a server's database is told by the host in the meter's settings.
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
from emdc.storage.database import Database, connected, is_memory
from emdc.storage.engines.dialect import LOOPBACK
from emdc.storage.urls import shown

_PEER: Final = Struct("3i")  # process, user, group: unix(7), SO_PEERCRED
_SERVERS: Final = {"postgresql": ("postgresql", 5432), "mysql": ("mysql", 3306)}
"""Kind and usual port, for each name that an address may begin with."""
_SERVERS["mariadb"] = _SERVERS["mysql"]
_CALLERS: Final = 128
"""Callers are never answered; when so many have asked, the next one is not told who it is."""


@contextmanager
def claimed(engine: Database, meters: Iterable[str]) -> Iterator[None]:
    """No other process of this machine records these meters there until the block ends.

    Raises StorageError naming the process that does. A database in memory needs no claim.
    """
    with ExitStack() as stack:
        place = _place(engine)
        for meter in meters if place else ():
            stack.enter_context(_claim(_name(place, meter), f"{shown(engine.url)}: {meter}"))
        yield


def elsewhere(connection: Connection, meters: Iterable[str]) -> frozenset[str]:
    """Those of these meters that another process of this machine records there."""
    place = _place(connection.engine)
    if not place:
        return frozenset()
    holders = {meter: _holder(_name(place, meter)) for meter in meters}
    return frozenset(m for m, process in holders.items() if process not in {None, os.getpid()})


def _place(engine: Database) -> str:
    """What all addresses of one database have in common; empty where nothing can be claimed."""
    if is_memory(engine) or sys.platform != "linux":
        return ""
    url = engine.url
    if engine.dialect.name == "sqlite":
        with connected(engine) as connection:
            query = text("SELECT file FROM pragma_database_list WHERE name = 'main'")
            status = Path(str(connection.execute(query).scalar())).stat()
        return f"{status.st_dev:x}:{status.st_ino:x}"
    host = "localhost" if (url.host or "") in LOOPBACK else url.host
    kind, usual_port = _SERVERS[engine.dialect.name]
    server = f"{kind}://{host}:{url.port or usual_port}/{url.database}"
    return hashlib.sha256(server.encode()).hexdigest()[:32]


def _name(place: str, meter: str) -> str:
    """The kernel's name of a claim."""
    digest = hashlib.sha256(meter.encode()).hexdigest()[:32]
    return f"\0emdc/readings/{place}/{digest}"


def _claim(name: str, what: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(name)
        listener.listen(_CALLERS)
    except OSError as error:
        listener.close()
        by = f", process {holder}" if (holder := _holder(name)) else ""
        raise StorageError(
            f"{what} is recorded there by another program{by}: end that one, or name another"
            " database"
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
