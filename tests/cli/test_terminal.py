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
