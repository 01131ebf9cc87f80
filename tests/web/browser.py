"""The pages as a real browser has them, and their modules as node has them."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from emdc.web import pages
from tests.conftest import need_program

STATIC = Path(pages.__file__).parent / "static"
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def rendered(address: str, folder: Path) -> str:
    """The page as Chromium has it after its scripts ran."""
    options = [*QUIET, f"--user-data-dir={folder}", "--virtual-time-budget=3000", "--dump-dom"]
    command = [need_program("chromium"), *options, address]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=True).stdout


def shown(page: str, kind: str) -> list[str]:
    """The texts of all spans of a class."""
    return re.findall(rf'<span class="{kind}"[^>]*>([^<]*)</span>', page)


def plain(text: str) -> str:
    """A text without what one version of a browser puts in dates and another does not."""
    return text.replace(",", "").replace("\u2009", "")


def told(folder: Path, module: str, expression: str) -> Any:
    """The value of a JavaScript expression in which the module's exports are known as `m`."""
    here = folder / "static"
    if not here.exists():
        here.mkdir()
        for script in STATIC.glob("*.js"):
            shutil.copy(script, here)
        (here / "package.json").write_text('{"type": "module"}')
    code = f"import * as m from './{module}.js'; console.log(JSON.stringify({expression}))"
    node = need_program("node", "install Node.js")
    ended = subprocess.run(
        [node, "--input-type=module", "-e", code],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
