"""The daemon as its users start it: a configuration file, `emdc run`, its HTTP port."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import rig


@dataclass(frozen=True)
class Setup:
    """One installation in a folder: a meter for each port, all with one register map."""

    folder: Path
    http_port: int
    ports: Sequence[int]
    workbook: Path
    meter_lines: Sequence[str] = ()
    """Further lines of every `[[meters]]` table."""
    database_lines: Sequence[str] = ()
    """Lines of the table `[database]`; without them it is the SQLite file."""

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.folder / "emdc.db"

    @property
    def log(self) -> Path:
        """What the daemon prints."""
        return self.folder / "daemon.log"

    def url(self, path: str) -> str:
        """Address of one of the daemon's routes."""
        return f"http://{rig.HOST}:{self.http_port}{path}"

    def write_config(self) -> Path:
        """The configuration file; meter number i is called `bench/i`."""
        sqlite = ('type = "sqlite"', f'host = "{self.database}"')
        lines = ["[database]", *(self.database_lines or sqlite)]
        lines += ["[http]", f"port = {self.http_port}"]
        for number, port in enumerate(self.ports):
            lines += ["[[meters]]", f'name = "bench/{number}"', f'host = "{rig.HOST}"']
            lines += [f"port = {port}", f'map = "{self.workbook}"', *self.meter_lines]
        path = self.folder / "emdc.toml"
        path.write_text("\n".join(lines) + "\n", "utf-8")
        return path


def launch(setup: Setup) -> subprocess.Popen[str]:
    """`emdc run`; its log goes to a file in the folder."""
    command = [sys.executable, "-m", "emdc", "run", "--config", str(setup.write_config())]
    with setup.log.open("a", encoding="utf-8") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, text=True, cwd=setup.folder)


def start_daemon(setup: Setup) -> subprocess.Popen[str]:
    """The same, once it answers on HTTP."""
    process = launch(setup)

    def answers() -> bool:
        if process.poll() is not None:
            tail = setup.log.read_text("utf-8")[-2000:]
            raise SystemExit(f"the daemon ended with exit code {process.returncode}:\n{tail}")
        try:
            with urllib.request.urlopen(setup.url("/ping"), timeout=2) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    try:
        rig.wait_for(answers, "the daemon's first answer")
    except SystemExit:
        rig.stop(process)
        raise
    return process


def database_health(setup: Setup) -> dict[str, Any]:
    """What a daemon that runs says of its database and its spool."""
    # A status of 503 has the same body: the database may be away.
    try:
        with urllib.request.urlopen(setup.url("/health"), timeout=10) as answer:
            body = answer.read()
    except urllib.error.HTTPError as error:
        body = error.read()
    found: dict[str, Any] = json.loads(body)["database"]
    return found


def has_drained(setup: Setup) -> bool:
    """Whether the database takes what comes, and nothing waits in the spool."""
    found = database_health(setup)
    return bool(found["ok"]) and not found["spool"]["bytes"]


@contextmanager
def daemon(setup: Setup) -> Iterator[subprocess.Popen[str]]:
    """The same, ended with the block."""
    process = start_daemon(setup)
    try:
        yield process
    finally:
        rig.stop(process)
