"""The programs of PostgreSQL and MariaDB, started from a folder of ours: what differs, and signals.

Used by `servers` alone, which knows how to log in.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from tests.conftest import lacking
from tests.program import PATIENCE_S, until

Kind: TypeAlias = Literal["postgresql", "mariadb"]

_PLACES: Final = ("usr/sbin", "usr/local/sbin", "usr/lib/postgresql/*/bin", "usr/pgsql-*/bin")
"""Where server programs lie that are in no user's PATH."""


@dataclass(frozen=True, slots=True)
class Traits:
    """What differs between the kinds."""

    user: str
    """Its administrator, who needs no password on a server of ours."""
    port: int
    driver: str
    variable: str
    """Environment variable that names a server to use."""
    accounts: tuple[str, ...]
    """Whom its programs run as when the tests run as root; the first that exists."""
    install: Callable[[Path], Sequence[str]]
    """Command line that makes `data` in a folder."""
    run: Callable[[Path, int], Sequence[str]]
    """Command line of the server with `data` in a folder, on a port."""
    tls: tuple[str, ...]
    """Its further arguments for TLS; {} is a PEM file with certificate and key."""
    stop: signal.Signals
    """Ends it in order, without waiting for its clients."""
    end: signal.Signals
    """Ends it at once and leaves nothing outside its folder."""


def _initdb(folder: Path) -> Sequence[str]:
    flags = ("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
    return (_program("initdb", "postgresql"), f"--pgdata={folder / 'data'}", *flags)


def _postgres(folder: Path, port: int) -> Sequence[str]:
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(folder),
        # In the folder, so that nothing stays in /dev/shm after a SIGKILL.
        "dynamic_shared_memory_type": "mmap",
    }
    given = itertools.chain.from_iterable(("-c", f"{k}={v}") for k, v in settings.items())
    return (_program("postgres", "postgresql"), "-D", str(folder / "data"), *given)


def _mariadb_install_db(folder: Path) -> Sequence[str]:
    return (
        _program("mariadb-install-db", "mariadb-server"),
        "--no-defaults",
        f"--datadir={folder / 'data'}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
        f"--tmpdir={folder}",
        "--innodb-log-file-size=16M",
    )


def _mariadbd(folder: Path, port: int) -> Sequence[str]:
    return (
        _program("mariadbd", "mariadb-server"),
        "--no-defaults",
        f"--datadir={folder / 'data'}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--socket={folder / 'socket'}",
        f"--pid-file={folder / 'pid'}",
        # A server that starts removes the temporary tables of others from a common folder.
        f"--tmpdir={folder}",
        "--skip-name-resolve",
        "--innodb-log-file-size=16M",
        "--innodb-buffer-pool-size=64M",
    )


TRAITS: Final[dict[Kind, Traits]] = {
    "postgresql": Traits(
        user="postgres",
        port=5432,
        driver="postgresql+psycopg",
        variable="EMDC_TEST_POSTGRESQL",
        accounts=("postgres", "nobody"),
        install=_initdb,
        run=_postgres,
        tls=("-c", "ssl=on", "-c", "ssl_cert_file={}", "-c", "ssl_key_file={}"),
        stop=signal.SIGINT,
        end=signal.SIGQUIT,
    ),
    "mariadb": Traits(
        user="root",
        port=3306,
        driver="mysql+pymysql",
        variable="EMDC_TEST_MARIADB",
        accounts=("mysql", "nobody"),
        install=_mariadb_install_db,
        run=_mariadbd,
        tls=("--ssl-cert={}", "--ssl-key={}"),
        stop=signal.SIGTERM,
        end=signal.SIGKILL,
    ),
}


class ServerProcess:
    """A server's processes. `folder` has its data; `command` runs it; `answers` asks whether it
    lets its administrator in."""

    def __init__(
        self, kind: Kind, folder: Path, *, command: Sequence[str], answers: Callable[[], bool]
    ) -> None:
        self.kind: Final = kind
        self.folder: Final = folder
        self._command = command
        self._answers = answers
        self._account = account(kind)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its first process; of PostgreSQL the one that starts all others."""
        assert self._process is not None
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether it was started and not ended since."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it, also again after it was stopped or killed; returns when it answers."""
        # PostgreSQL does not start as long as one process of the killed server is left.
        until(lambda: not self._members())
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self._account,
            )
        until(self._ready)

    def stop(self) -> None:
        """End it in order; what its clients have open is cut."""
        self._end_by(TRAITS[self.kind].stop)

    def kill(self) -> None:
        """End its first process as a crash does, and wait for PostgreSQL's others to follow it.

        Until they notice that it is gone they go on working for their clients.
        """
        self._end_by(signal.SIGKILL)
        self.thaw()
        until(lambda: not self._members())

    def freeze(self) -> None:
        """Let nothing of it run any more: its connections stay, and nobody answers on them."""
        os.kill(self.pid, signal.SIGSTOP)
        # Once it has stopped, it starts no further process.
        until(lambda: _state(self.pid) == "T")
        self._tell(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it run again."""
        self._tell(signal.SIGCONT)

    def end(self) -> None:
        """End whatever is left of it, in whatever state it is."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._end_by(TRAITS[self.kind].end)
        until(lambda: not self._tell(signal.SIGKILL))
        _remove_shared_memory(self.folder / "data" / "postmaster.pid")

    def _ready(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text(errors="replace")[-2000:])
        return self._answers()

    def _end_by(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        self._process.wait(PATIENCE_S)

    def _tell(self, number: signal.Signals) -> list[int]:
        """Send a signal to all of its processes; gives which they are."""
        members = self._members()
        for pid in members:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        return members

    def _members(self) -> list[int]:
        """Its processes, orphans too: they work in the folder of its data, and nobody else does."""
        data = self.folder / "data"
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cwd").readlink() == data:
                    found.append(int(process.name))
        return found


def install(kind: Kind, folder: Path) -> None:
    """Make an empty server's `data` in a folder, which its account owns."""
    give(folder, kind)
    command = TRAITS[kind].install(folder)
    subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, check=True, **account(kind))


def give(path: Path, kind: Kind) -> None:
    """Make the account of its programs the owner."""
    if os.getuid() == 0:
        shutil.chown(path, account(kind)["user"])


def account(kind: Kind) -> dict[str, Any]:
    """Arguments of subprocess: a database server refuses to run as root, so it runs as another."""
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    if os.getuid() != 0:
        return {"env": environment}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = next(known[name] for name in TRAITS[kind].accounts if name in known)
    return {
        "env": environment,
        "user": entry.pw_uid,
        "group": entry.pw_gid,
        "extra_groups": [],
    }


def _program(name: str, package: str) -> str:
    folders = [str(found) for place in _PLACES for found in sorted(Path("/").glob(place))[::-1]]
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *folders])
    found = shutil.which(name, path=path)
    if found is None:
        lacking(f"{name} is not installed: apt-get install {package}")
    return found


def _remove_shared_memory(lock: Path) -> None:
    """Remove what a killed PostgreSQL left in the kernel, as its lock file says in line 7."""
    if lock.exists() and (program := shutil.which("ipcrm")):
        segment = lock.read_text().splitlines()[6].split()[1]
        subprocess.run([program, "-m", segment], stderr=subprocess.DEVNULL, check=False)


def _state(pid: int) -> str:
    """One letter, T for stopped: proc(5), stat."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
