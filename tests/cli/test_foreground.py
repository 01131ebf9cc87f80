"""Ctrl-C on a terminal, under a real `make`."""

import os
import pty
import sys
import time
from pathlib import Path

from tests.conftest import need_program
from tests.program import free_port


def test_ctrl_c_ends_the_demonstration_under_make_without_an_error(tmp_path: Path) -> None:
    need_program("make", "apt-get install make")
    port = free_port()
    recipe = f"demo:\n\t@exec {sys.executable} -m emdc demo --port {port} --db {tmp_path}/demo.db\n"
    (tmp_path / "Makefile").write_text(recipe)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execlp("make", "make", "-f", str(tmp_path / "Makefile"), "demo")
    shown, ended = b"", time.monotonic() + 60
    while b"2 of 2 meters" not in shown and time.monotonic() < ended:
        shown += os.read(terminal, 4096)
    assert f":{port}/".encode() in shown
    os.write(terminal, b"\x03")
    try:
        while chunk := os.read(terminal, 4096):
            shown += chunk
    except OSError:  # the terminal is gone with its last process
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown.decode()
    os.close(terminal)
    assert b"stopped; the readings are in" in shown
