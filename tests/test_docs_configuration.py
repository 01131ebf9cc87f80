"""docs/configuration.md says exactly what the table of settings says, row for row."""

from pathlib import Path

import pytest

from emdc.config.table import CONFIG, SETTINGS, Setting
from emdc.config.values import limits

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"


def row_of(setting: Setting) -> str:
    """The row that the page must have for a setting."""
    key = f"`{setting.key}`" if setting.key else ""
    names = ", ".join(f"`{name}`" for name in setting.names)
    default = setting.default
    plain = "true" if default is True else "false" if default is False else str(default)
    shown = "" if default is None else f"`{plain}`"
    extent = limits(setting) or ", ".join(f"`{choice}`" for choice in setting.choices)
    meaning = setting.help + (f" ({extent})" if extent else "")
    return f"| {key} | `--{setting.flag}` | {names} | {shown} | {meaning} |".replace("|  |", "| |")


ROWS = [row_of(setting) for setting in (CONFIG, *SETTINGS)]


@pytest.fixture(scope="module")
def page_rows() -> list[str]:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("|") and "`--" in line]


@pytest.mark.parametrize("row", ROWS)
def test_the_page_has_the_row_of_each_setting(row: str, page_rows: list[str]) -> None:
    assert row in page_rows


def test_the_page_has_no_row_without_a_setting(page_rows: list[str]) -> None:
    assert [row for row in page_rows if row not in ROWS] == []


def test_the_page_has_each_row_once(page_rows: list[str]) -> None:
    assert len(page_rows) == len(set(page_rows))


def test_each_setting_has_a_meaning_of_one_sentence() -> None:
    assert [s.key for s in SETTINGS if not s.help[0].isupper() or s.help.endswith(".")] == []
