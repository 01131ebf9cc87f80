"""The step of the build that fetches the chart library, with npm programs of our own."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

import hatch_build
from tests.conftest import lacking
from tests.web.browser import STATIC

NAMES = {Path(name).name for name in hatch_build.FILES}


def hook(root: Path) -> hatch_build.UplotHook:
    # Hatchling gives more, of which the hook uses nothing.
    return hatch_build.UplotHook(str(root), {}, None, None, "", "wheel")  # type: ignore[arg-type]


def npm(folder: Path, script: str) -> None:
    """A program called npm that is the only one on the way."""
    folder.mkdir()
    program = folder / "npm"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package of the same files, and the checksum of its archive as the expected one."""
    path = tmp_path / "uplot.tgz"
    with tarfile.open(path, "w:gz") as package:
        for name in hatch_build.FILES:
            package.add(STATIC / "vendor" / Path(name).name, f"package/{name}")
    digest = hashlib.sha512(path.read_bytes()).digest()
    monkeypatch.setattr(hatch_build, "SHA512", base64.b64encode(digest).decode())
    return path


def test_the_files_here_are_the_ones_that_the_build_names() -> None:
    found = {
        name: hashlib.sha256((STATIC / "vendor" / Path(name).name).read_bytes()).hexdigest()
        for name in hatch_build.FILES
    }
    assert found == hatch_build.FILES


def test_what_npm_fetched_is_put_there(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(tmp_path / "bin", f"/bin/cp {archive} .")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    vendor = tmp_path / hatch_build.VENDOR
    vendor.mkdir(parents=True)
    (vendor / "uPlot.esm.js").write_text("another version")
    assert hook(tmp_path).dependencies() == []
    hook(tmp_path).initialize("editable", {})
    assert {path.name for path in vendor.iterdir()} == NAMES
    assert (vendor / "uPlot.esm.js").read_bytes() == (STATIC / "vendor/uPlot.esm.js").read_bytes()


def test_files_that_are_there_need_neither_npm_nor_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    shutil.copytree(STATIC / "vendor", tmp_path / hatch_build.VENDOR)
    assert hook(tmp_path).dependencies() == []
    hook(tmp_path).initialize("standard", {})


def test_without_npm_the_build_asks_for_one_from_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hook(tmp_path).dependencies() == [hatch_build.NODE_WHEEL]


def test_an_archive_that_is_another_one_ends_the_build(
    tmp_path: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.write_bytes(archive.read_bytes() + b"\0")
    npm(tmp_path / "bin", f"/bin/cp {archive} .")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(RuntimeError, match=r"its integrity is sha512-.*, expected sha512-"):
        hook(tmp_path).initialize("standard", {})
    assert not (tmp_path / hatch_build.VENDOR).exists()


@pytest.mark.parametrize("script", ["echo 'no network' >&2; exit 1", "echo 'no network' >&2"])
def test_a_failure_ends_the_build_and_says_what_to_do(
    tmp_path: Path, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    npm(tmp_path / "bin", script)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(
        RuntimeError, match=r"no network\nInstall npm .* or let it reach its registry"
    ):
        hook(tmp_path).initialize("standard", {})


def test_no_file_of_the_project_names_a_registry() -> None:
    root = Path(hatch_build.__file__).parent
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    if not listed:
        lacking("not a checkout")
    named = "registry." + "npmjs"
    assert [name for name in listed if named in _text(root / name)] == []


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.is_file() else ""
