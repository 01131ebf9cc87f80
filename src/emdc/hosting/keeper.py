"""The keeper of one worker process: `python -m emdc.hosting.keeper LOCK SOCKET LIFELINE`.

It always has one child. The child waits for the lock; who gets it of all workers' children is the
holder, runs the daemon and serves HTTP on the socket. A killed holder frees the lock, so the next
takes over at once, and its keeper starts another child. LIFELINE is the read end of a pipe whose
other end only the worker has: when the worker ends, however it ends, so does the keeper; the child
ends with the keeper in the same way.

Until it has the lock a child imports nothing heavy: there may be many that wait.
"""

import fcntl
import logging
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final, NoReturn

log = logging.getLogger("emdc.hosting.keeper")

GRACE_S: Final = 10.0
"""A daemon that was told to end and has not by then is cut off."""
LONG_LIFE_S: Final = 60.0
LONGEST_PAUSE_S: Final = 30.0
"""A child that lived shorter is replaced after 1, 2, 4 … s, at most this."""
FRESHEN_S: Final = 3600.0
"""The lock file is touched this often, because temporary folders are cleared of old files."""


def keep(lifeline: int, work: Callable[[socket.socket], None]) -> None:
    """Have one child that does `work` until the other end of `lifeline` is closed.

    `work` gets a socket that reads end of file when the keeper is gone. Single-threaded, so that
    its children can be plain forks.
    """
    failures = 0
    while True:
        started = time.monotonic()
        ours, child = _child(lifeline, work)
        over = _readable(lifeline, ours.fileno())
        ours.close()
        os.waitpid(child, 0)
        failures = 0 if time.monotonic() - started > LONG_LIFE_S else failures + 1
        if lifeline in over or _readable(lifeline, timeout_s=pause_s(failures)):
            return


def pause_s(failures: int) -> float:
    """Seconds before the next child, after this many that lived shortly."""
    return min(LONGEST_PAUSE_S, 2.0 ** (min(failures, 16) - 1)) if failures else 0.0


def _child(lifeline: int, work: Callable[[socket.socket], None]) -> tuple[socket.socket, int]:
    """Our end of the pair, which reads end of file when the child is gone; the child's id."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if not child:
        ours.close()
        os.close(lifeline)
        _work_and_exit(work, theirs)
    theirs.close()
    return ours, child


def _work_and_exit(work: Callable[[socket.socket], None], keeper: socket.socket) -> NoReturn:
    code = 1
    try:
        work(keeper)
        code = 0
    except BaseException:
        log.exception("the holder of the lock ended")
    finally:
        logging.shutdown()
        os._exit(code)


def _readable(*files: int, timeout_s: float | None = None) -> set[int]:
    """Those of the files that have something to read or have ended, waited for."""
    poll = select.poll()
    for file in files:
        poll.register(file, select.POLLIN)
    return {file for file, _ in poll.poll(None if timeout_s is None else timeout_s * 1000)}


def hold(lock: Path, path: Path, keeper: socket.socket) -> None:
    """Wait for the lock, then serve on a Unix socket at `path` until told to end."""
    file = _Lock(lock)
    threading.Thread(target=_end_with, args=(keeper, file), daemon=True).start()
    file.acquire()
    from emdc.hosting import holder  # noqa: PLC0415 (brings the daemon, which takes time and memory)

    holder.serve(path, os.environ)


class _Lock:
    """A lock file. Its text, the holder's process id, is for people; the lock is flock(2)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def acquire(self) -> None:
        """Wait until this process alone has the lock of the file that the path names now."""
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            fcntl.flock(file, fcntl.LOCK_EX)
            if self._is_at_path(file):
                break
            os.close(file)  # somebody removed the one that we waited for
        os.ftruncate(file, 0)
        os.write(file, f"{os.getpid()}\n".encode())
        self._file = file

    def freshen(self) -> None:
        """Show whoever clears old files away that this one is in use."""
        if self._file >= 0:
            os.utime(self._file)

    def _is_at_path(self, file: int) -> bool:
        try:
            return os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:
            return False


def _end_with(keeper: socket.socket, lock: _Lock) -> None:
    """End this process when its keeper is gone: gently, which stops the daemon, and then surely."""
    keeper.settimeout(FRESHEN_S)
    while True:
        try:
            if not keeper.recv(1):
                break
        except TimeoutError:
            lock.freshen()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


def main(lock: str, path: str, lifeline: str) -> None:
    """Be the keeper of a worker; `lifeline` is a number of an open file."""
    # Whoever started us may have ignored or blocked what must end our children.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    keep(int(lifeline), partial(hold, Path(lock), Path(path)))


if __name__ == "__main__":
    main(*sys.argv[1:])
