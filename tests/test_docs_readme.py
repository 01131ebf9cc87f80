"""What README.md shows can be used as it stands: its configuration, and its command lines."""

import re
import shlex
from pathlib import Path

import pytest

from emdc.cli.app import build
from emdc.config import check_bind, check_meters, load

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
COMMAND = re.compile(r"(?:\.venv/bin/)?emdc ")


def command_lines() -> list[str]:
    """Every command line of EMDC: those of whole blocks, and those inside sentences."""
    blocks = re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    joined = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    spans = re.findall(
        r"(?<!`)`([^`\n]+)`(?!`)", re.sub(r"^```.*?^```", "", README, flags=re.M | re.S)
    )
    return [line.strip() for line in (*joined, *spans) if COMMAND.match(line.strip())]


LINES = command_lines()


def test_the_configuration_of_the_readme_loads(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    file = tmp_path / "emdc.toml"
    file.write_text(block, encoding="utf-8")
    file.chmod(0o600)
    settings = load(flags={}, environment={}, config_file=file)
    check_meters(settings)
    check_bind(settings.http)
    assert settings.warnings == ()
    assert [meter.map for meter in settings.meters] == ["nexus-1272", "eaton-pxm-4000"]


def test_the_readme_shows_the_commands_that_a_new_user_needs() -> None:
    shown = {COMMAND.sub("", line).split()[0] for line in LINES}
    assert {"run", "collect", "migrate", "map"} <= shown


@pytest.mark.parametrize("line", LINES)
def test_each_command_line_of_the_readme_is_understood(line: str) -> None:
    tokens = [token for token in shlex.split(line)[1:] if token != "…"]
    _, bound, _ = build(tokens[0]).parse_args(tokens, exit_on_error=False, print_error=False)
    assert bound.args or bound.kwargs or tokens[0] == "map"
