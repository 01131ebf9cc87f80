import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from emdc.errors import EmdcError
from emdc.hosting.spawner import Spawner, interpreter, python_environment
from tests.hosting.deployed import kill
from tests.program import PATIENCE_S, until

# It writes its process id into its working directory and ends with the lifeline.
WAIT = "import os, sys; open(f'k{os.getpid()}', 'w').close(); os.read(int(sys.argv[1]), 1)"
PROGRAM = [sys.executable, "-c", WAIT]


def spawner(folder: Path) -> Spawner:
    return Spawner(PROGRAM, environment=os.environ, folder=folder)


def started(folder: Path) -> list[int]:
    """Process ids of all keepers that ever ran in the folder."""
    return [int(one.name[1:]) for one in folder.glob("k*")]


def test_a_process_has_one_keeper_however_often_it_asks(tmp_path: Path) -> None:
    one = spawner(tmp_path)
    for _ in range(3):
        one.ensure()
    until(lambda: len(started(tmp_path)) == 1)
    one.close()
    assert len(started(tmp_path)) == 1


def test_closing_ends_the_keeper(tmp_path: Path) -> None:
    one = spawner(tmp_path)
    one.ensure()
    until(lambda: len(started(tmp_path)) == 1)
    one.close()
    assert not Path(f"/proc/{started(tmp_path)[0]}").exists()


def test_a_dead_keeper_is_replaced(tmp_path: Path) -> None:
    one = spawner(tmp_path)
    one.ensure()
    until(lambda: len(started(tmp_path)) == 1)
    kill(started(tmp_path)[0])

    def again() -> bool:
        one.ensure()
        return len(started(tmp_path)) == 2

    until(again)
    one.close()


def test_a_forked_process_has_a_keeper_of_its_own_and_lets_go_of_its_parents(
    tmp_path: Path,
) -> None:
    """Forks happen in a program of their own: this one may have threads."""
    program = f"""
        import os, sys, time
        from pathlib import Path
        from emdc.hosting.spawner import Spawner, follow_forks

        folder = Path({str(tmp_path)!r})
        one = Spawner({PROGRAM!r}, environment=os.environ, folder=folder)
        follow_forks(one.ensure_after_fork)
        one.ensure()
        while len(list(folder.glob("k*"))) < 1:
            time.sleep(0.01)
        (parents,) = folder.glob("k*")
        if os.fork():
            os._exit(0)
        while Path("/proc", parents.name[1:]).exists() or len(list(folder.glob("k*"))) < 2:
            time.sleep(0.01)
        (folder / "seen").touch()
        """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=True, timeout=PATIENCE_S)
    until((tmp_path / "seen").exists)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started(tmp_path)))


def test_uwsgis_own_hook_is_used_and_an_earlier_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "uwsgi.py").write_text("post_fork_hook = lambda: print('earlier')\n")
    program = """
        import uwsgi
        from emdc.hosting.spawner import follow_forks

        follow_forks(lambda: print("ours"))
        uwsgi.post_fork_hook()
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    assert done.stdout.split() == ["earlier", "ours"]


def test_a_keeper_that_cannot_be_started_is_an_error_that_names_it(tmp_path: Path) -> None:
    lost = Spawner([str(tmp_path / "python")], environment={}, folder=tmp_path)
    with pytest.raises(EmdcError, match=r"cannot start .*python: No such file"):
        lost.ensure()
    lost.close()


def test_the_interpreter_is_found_when_the_executable_is_a_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    version = [interpreter(), "-c", "import sys; print(*sys.version_info[:2])"]
    printed = subprocess.run(version, capture_output=True, text=True, check=True).stdout
    assert printed.split() == [str(part) for part in sys.version_info[:2]]


def test_no_interpreter_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("prefix", "exec_prefix", "base_prefix"):
        monkeypatch.setattr(sys, name, str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")
    with pytest.raises(EmdcError, match=r"no python3\.\d+ in "):
        interpreter()


def test_the_search_path_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", ["", "/srv/emdc/src"])
    assert python_environment({"TZ": "UTC"}) == {"TZ": "UTC", "PYTHONPATH": ".:/srv/emdc/src"}
