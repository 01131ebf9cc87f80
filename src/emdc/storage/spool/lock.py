"""Whose a spool is: the process that holds a lock on a file beside it.

Called by `file`.
"""

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from emdc.errors import StorageError
from emdc.storage.spool.salvage import spelled


def lock_beside(path: Path) -> int:
    """Make the spool this process's own until the given descriptor is closed.

    Makes the folder. The lock is the kernel's and ends with its process, however that ends; the
    file beside the spool only carries it and is never removed, so that two can never hold locks of
    two files of one name. Raises StorageError naming the process that has it.
    """
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o640)
    except OSError as error:
        raise StorageError(f"{path}: {spelled(error)}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(lock, 20, 0).strip().decode("ascii", "replace")
        os.close(lock)
        if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
            raise StorageError(f"{path}: {spelled(error)}") from error
        by = f", process {holder}" if holder.isdigit() else ""
        raise StorageError(
            f"{path} is in use by another program{by}: end that one, or name another folder"
        ) from error
    with suppress(OSError):  # on a full disk the claim holds, only nameless
        os.ftruncate(lock, 0)
        os.pwrite(lock, b"%d\n" % os.getpid(), 0)
    return lock
