import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from emdc.cli.destination import destination
from emdc.errors import ConfigError, EmdcError
from tests.conftest import need_program
from tests.disk import files_of_at_most


def write(path: Path, content: bytes = b"new", *, overwrite: bool = False) -> None:
    with destination(path, overwrite=overwrite) as file:
        file.write(content)


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with destination(path, overwrite=False) as file:
        file.write(b"new")
        assert not path.exists()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_others_may_read_it_as_far_as_the_umask_lets_them(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(tmp_path / "a.csv")
    finally:
        os.umask(before)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_there_stays_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"old")
    with pytest.raises(ConfigError, match=r"a\.csv exists, expected a new name or --overwrite"):
        write(path)
    assert path.read_bytes() == b"old"
    write(path, overwrite=True)
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_came_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    place = destination(path, overwrite=False)
    place.__enter__().write(b"new")
    path.write_bytes(b"old")
    with pytest.raises(ConfigError, match="exists"):
        place.__exit__(None, None, None)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_stays_one_when_its_file_is_overwritten(tmp_path: Path) -> None:
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write(link, overwrite=True)
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    with pytest.raises(ConfigError, match="exists"):
        write(tmp_path / "link.csv")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".", "is a folder, expected the name of a file"),
        ("none/a.csv", "no folder"),
        ("pipe", "is not a regular file"),
        ("x" * 300, "File name too long"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_cannot_be_a_file_is_refused(
    name: str, said: str, overwrite: bool, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match=f"^--output: .*{said}"):
        write(tmp_path / name, overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_is_full_leaves_nothing_and_what_was_there(
    overwrite: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    if overwrite:
        path.write_bytes(b"old")
    refused = pytest.raises(EmdcError, match="nothing is left of it; make room")
    with refused as raised, files_of_at_most(4096):
        write(path, b"x" * 100_000, overwrite=overwrite)
    assert not isinstance(raised.value, ConfigError)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == (
        [("a.csv", b"old")] if overwrite else []
    )


def test_an_interruption_leaves_nothing(tmp_path: Path) -> None:
    def interrupted(file: IO[bytes]) -> None:
        file.write(b"new")
        raise KeyboardInterrupt

    place = destination(tmp_path / "a.csv", overwrite=False)
    with pytest.raises(KeyboardInterrupt), place as file:
        interrupted(file)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system")
def test_a_real_full_disk_leaves_nothing(tmp_path: Path) -> None:
    script = (
        "from pathlib import Path; from emdc.cli.destination import destination\n"
        f"folder = Path({str(tmp_path)!r})\n"
        "try:\n"
        "    with destination(folder / 'a.csv', overwrite=False) as file:\n"
        "        file.write(b'x' * 3_000_000)\n"
        "except Exception as error:\n"
        "    print(error)\n"
        "print(list(folder.iterdir()))\n"
    )
    command = 'mount -t tmpfs -o size=1m none "$0" && exec "$1" -c "$2"'
    ended = subprocess.run(
        [need_program("unshare"), "-m", "sh", "-c", command, tmp_path, sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in ended.stderr or "unshare" in ended.stderr:
        pytest.skip(f"no right to mount a file system here: {ended.stderr}")
    assert "No space left on device: nothing is left of it" in ended.stdout
    assert ended.stdout.endswith("[]\n")
