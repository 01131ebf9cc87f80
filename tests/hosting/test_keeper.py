import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from emdc.hosting.keeper import LONGEST_PAUSE_S, pause_s
from emdc.hosting.spawner import python_command
from tests.hosting.deployed import kill, parent_of
from tests.program import PATIENCE_S, until


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="emdc-"))
    yield folder
    shutil.rmtree(folder)


@contextmanager
def keeper(folder: Path) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A keeper and our end of its lifeline. It has no settings, so its holder never collects."""
    ending, lifeline = os.pipe()
    env = {name: text for name, text in os.environ.items() if not name.startswith("EMDC_")}
    places = [str(folder / "lock"), str(folder / "sock")]
    process = subprocess.Popen(
        [*python_command("emdc.hosting.keeper"), *places, str(ending)],
        pass_fds=[ending],
        env=env,
        stderr=subprocess.DEVNULL,
    )
    os.close(ending)
    try:
        yield process, lifeline
    finally:
        if process.poll() is None:
            os.close(lifeline)
        process.wait(PATIENCE_S)


@contextmanager
def locked(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield file
    finally:
        os.close(file)


def children_of(pid: int) -> list[int]:
    everyone = [int(one.name) for one in Path("/proc").iterdir() if one.name.isdecimal()]
    return [one for one in everyone if parent_of(one) == pid]


def the_child_of(pid: int, *, without: int = 0) -> int:
    until(lambda: children_of(pid) not in ([], [without]))
    return children_of(pid)[0]


def waits_for_a_lock(pid: int) -> bool:
    locks = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {pid} " in line for line in locks)


def holder(folder: Path) -> int:
    lock = folder / "lock"
    return int(lock.read_text() or 0) if lock.exists() else 0


def test_a_killed_child_is_replaced_and_both_end_with_the_lifeline(folder: Path) -> None:
    with locked(folder / "lock"), keeper(folder) as (process, lifeline):
        first = the_child_of(process.pid)
        until(lambda: waits_for_a_lock(first))
        kill(first)
        second = the_child_of(process.pid, without=first)
        os.close(lifeline)
        assert process.wait(PATIENCE_S) == 0
        until(lambda: parent_of(second) == 0)


def test_a_child_ends_when_its_keeper_is_killed(folder: Path) -> None:
    with locked(folder / "lock"), keeper(folder) as (process, lifeline):
        child = the_child_of(process.pid)
        until(lambda: waits_for_a_lock(child))
        kill(process.pid)
        process.wait(PATIENCE_S)
        until(lambda: parent_of(child) == 0)
        os.close(lifeline)


def test_a_child_that_waits_has_loaded_neither_the_daemon_nor_a_framework(folder: Path) -> None:
    with locked(folder / "lock"), keeper(folder) as (process, _):
        child = the_child_of(process.pid)
        until(lambda: waits_for_a_lock(child))
        # Extension modules are mapped into memory; these come with the daemon and with msgspec.
        mapped = Path(f"/proc/{child}/maps").read_text()
        assert "msgspec" not in mapped
        assert "_sqlite3" not in mapped


def test_the_holder_names_itself_in_the_lock_file_and_keeps_the_lock(folder: Path) -> None:
    with keeper(folder) as (process, _):
        until(lambda: holder(folder) == the_child_of(process.pid))
        with (folder / "lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_lock_file_that_was_removed_meanwhile_does_not_count(folder: Path) -> None:
    lock = folder / "lock"
    with keeper(folder) as (process, _):
        with locked(lock):
            pass
        until(lambda: holder(folder) != 0)
        first = holder(folder)
        with keeper(folder) as (other, _):
            waiting = the_child_of(other.pid)
            until(lambda: waits_for_a_lock(waiting))
            lock.unlink()
            kill(first)
            # Whoever waited for the old file now holds the new one, and nobody else does.
            until(lambda: holder(folder) != 0)
            assert holder(folder) in (waiting, the_child_of(process.pid, without=first))


def test_a_holder_without_settings_says_so_on_the_socket(folder: Path) -> None:
    (folder / "sock").write_text("left by a dead holder")
    with keeper(folder):
        until((folder / "sock").is_socket)
        answers: list[bytes] = []
        threads = [threading.Thread(target=lambda: answers.append(ask(folder))) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(b"503 Service Unavailable" in answer for answer in answers)


def ask(folder: Path) -> bytes:
    def connect() -> bool:
        try:
            client.connect(str(folder / "sock"))
        except ConnectionRefusedError:
            return False
        return True

    with socket.socket(socket.AF_UNIX) as client:
        until(connect)
        client.sendall(b"BREW /health HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcd")
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_pauses_grow_to_their_limit() -> None:
    assert [pause_s(failures) for failures in (0, 1, 2, 3)] == [0.0, 1.0, 2.0, 4.0]
    assert pause_s(10_000) == LONGEST_PAUSE_S
