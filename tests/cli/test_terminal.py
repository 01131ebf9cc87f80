import re
import sys

import pytest

from emdc.cli.terminal import clean, print_table, say


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\nb"),
        ("a\x1b[31mb", "a\\u001b[31mb"),
        ("a\x00\x7f\x9b", "a\\u0000\\u007f\\u009b"),
        ("a\u202eb\u2066", "a\\u202eb\\u2066"),
        ("°C Ω 电", "°C Ω 电"),
    ],
)
def test_control_characters_are_spelled_out(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_say_prints_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1bb")
    assert capsys.readouterr().out == "a\\u001bb\n"


def test_a_table_shows_cells_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(
        "[bold]t[/bold]", ("name", ">value"), [("[red]x[/red]", ":smile:"), ("\x1b[2J", "")]
    )
    printed = capsys.readouterr().out
    assert "[bold]t[/bold]" in printed
    assert "[red]x[/red]" in printed
    assert ":smile:" in printed
    assert "\x1b" not in printed


def test_a_long_title_stays_on_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("t" * 500, ("name",), [])
    assert "t" * 500 + "\n" in capsys.readouterr().out


def shown_on(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """The lines of a table on a terminal so wide."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    row = ("a-name-of-thirty-characters-xyz", "text " * 10, "shipped", "verified")
    print_table("Maps", ("name", "model", "origin", "certainty"), [row], ("origin", "certainty"))
    plain = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    return plain.splitlines()


@pytest.mark.parametrize(
    ("columns", "present"),
    [(200, {"origin", "certainty"}), (75, {"certainty"}), (65, set())],
)
def test_a_narrow_screen_keeps_names_whole_and_goes_without_spare_columns(
    columns: int,
    present: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown_on(columns, monkeypatch, capsys)
    assert any("a-name-of-thirty-characters-xyz" in line for line in lines)
    table = [line for line in lines if "no room" not in line]
    assert {name for name in ("origin", "certainty") if name in "\n".join(table)} == present
    assert max(map(len, table)) <= columns


def test_columns_that_are_left_out_are_named_with_where_they_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "65 columns have no room for origin, certainty: widen the window, or add | less -S"
    assert shown_on(65, monkeypatch, capsys)[-1] == said
    assert "no room" not in "\n".join(shown_on(200, monkeypatch, capsys))
