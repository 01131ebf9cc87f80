"""One keeper for each process that serves requests, started when the process has just begun.

Servers fork when they like: before or after this module is imported, with Python's knowledge or
without. So the state belongs to a process id, and a process that finds another's starts its own.
"""

import importlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from emdc.errors import EmdcError

log = logging.getLogger(__name__)

PAUSE_S: Final = 1.0
"""Least time between two starts of a keeper by one process."""


class Spawner:
    """Starts `command`, which is given the number of its lifeline as last argument.

    The lifeline is the read end of a pipe; its write end is closed by the kernel when this process
    ends, however it ends.
    """

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], folder: Path
    ) -> None:
        self._command = tuple(command)
        self._environment = dict(environment)
        self._folder = folder
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._lifeline = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._next_start = 0.0

    def ensure(self) -> None:
        """Start this process's keeper unless it runs. Raises EmdcError when it cannot be."""
        if self._pid != os.getpid():
            self._forget()
        with self._lock:
            now = time.monotonic()
            if self._running() or now < self._next_start:
                return
            self._next_start = now + PAUSE_S
            try:
                self._start()
            except OSError as error:
                raise EmdcError(
                    f"cannot start {self._command[0]}: {error.strerror}; the process that reads "
                    "the meters needs a Python interpreter and a free process"
                ) from error

    def ensure_after_fork(self) -> None:
        """Start the keeper of a process that has just been forked; a failure waits for a request.

        For a hook, from which an error would go nowhere.
        """
        try:
            self.ensure()
        except EmdcError as error:
            log.warning("no keeper yet", extra={"reason": str(error)})

    def close(self) -> None:
        """End the keeper of this process, and with it what it holds."""
        with self._lock:
            process, self._process = self._process, None
            self._let_go()
        if process is not None:
            process.wait()

    def _forget(self) -> None:
        """Leave the parent's keeper to the parent. The lock is new: a thread may have held it."""
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._let_go()
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
        self._process = None
        self._next_start = 0.0

    def _let_go(self) -> None:
        if self._lifeline >= 0:
            with suppress(OSError):
                os.close(self._lifeline)
        self._lifeline = -1

    def _running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        self._let_go()
        ending, self._lifeline = os.pipe()
        try:
            self._process = subprocess.Popen(
                [*self._command, str(ending)],
                cwd=self._folder,
                env=self._environment,
                pass_fds=[ending],
                start_new_session=True,  # Ctrl-C in a terminal is for the server alone
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        finally:
            os.close(ending)


def follow_forks(ensure: Callable[[], None]) -> None:
    """Call `ensure` in each process that is forked from this one from now on."""
    os.register_at_fork(after_in_child=ensure)
    try:
        # Exists inside uWSGI only, whose forks Python does not hear of.
        uwsgi: Any = importlib.import_module("uwsgi")
    except ImportError:
        return
    earlier: Callable[[], None] | None = getattr(uwsgi, "post_fork_hook", None)

    def hook() -> None:
        if earlier is not None:
            earlier()
        ensure()

    uwsgi.post_fork_hook = hook


def python_command(module: str) -> list[str]:
    """The beginning of a command that runs `module` in this interpreter's version."""
    # -P: a file in the working directory must not stand in for a module.
    return [interpreter(), "-P", "-m", module]


def python_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with this interpreter's search path, so that the same modules are found."""
    return {**environment, "PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)}


def interpreter() -> str:
    """The Python program of this process. Raises EmdcError when there is none.

    sys.executable comes last, since under uWSGI it names the server.
    """
    name = f"python{sys.version_info.major}.{sys.version_info.minor}"
    folders = [Path(prefix, "bin") for prefix in (sys.prefix, sys.exec_prefix, sys.base_prefix)]
    found = [str(folder / name) for folder in folders if os.access(folder / name, os.X_OK)]
    if sys.executable and Path(sys.executable).name.startswith("python"):
        found.append(sys.executable)
    if not found:
        raise EmdcError(f"no {name} in {', '.join(map(str, folders))}, expected one in them")
    return found[0]
