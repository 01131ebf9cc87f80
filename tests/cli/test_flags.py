from typing import Any

import pytest
from cyclopts import App

from emdc.cli.flags import LOG, MAPS_DIR, checked, takes
from emdc.cli.run import command as run
from emdc.config.table import CONFIG, SETTINGS, Setting
from emdc.errors import ConfigError

NAME = Setting("", "name", "text", None, "A name")
COUNT = Setting("", "count", "whole", 3, "A number", 1, 9)


def given_to(*tokens: str) -> dict[str, Any]:
    """What a command with every setting as a flag is called with."""
    seen: list[dict[str, Any]] = []

    @takes(CONFIG, *SETTINGS)
    def command(**given: object) -> int:
        seen.append(dict(given))
        return 0

    app = App()
    app.default(command)
    app(list(tokens), exit_on_error=False, print_error=False, result_action="return_value")
    return seen[0]


@pytest.mark.parametrize("row", [CONFIG, *SETTINGS], ids=lambda row: row.flag)
def test_each_setting_is_a_flag_in_both_spellings(row: Setting) -> None:
    value = [] if row.kind == "switch" else ["7"]
    expected = {row.flag: True if row.kind == "switch" else "7"}
    assert given_to(f"--{row.flag}", *value) == expected
    assert given_to(f"--{row.flag.replace('_', '-')}", *value) == expected


@pytest.mark.parametrize("row", [CONFIG, *SETTINGS], ids=lambda row: row.flag)
def test_the_help_of_run_says_what_each_flag_means(
    row: Setting, capsys: pytest.CaptureFixture[str]
) -> None:
    app = App(name="emdc", help_format="plaintext")
    app.command(run, name="run")
    app(["run", "--help"], exit_on_error=False, result_action="return_value")
    words = "".join(capsys.readouterr().out.replace("│", " ").split())
    assert f"--{row.flag}" in words or row.flag[:20] in words
    assert "".join(row.help[:15].split()) in words


def test_a_flag_that_is_not_given_is_absent() -> None:
    assert given_to() == {}


def test_values_may_be_empty_or_begin_with_a_hyphen() -> None:
    assert given_to("--db_password=") == {"db_password": ""}
    assert given_to("--db_password=-x") == {"db_password": "-x"}


def test_a_switch_can_be_turned_off() -> None:
    assert given_to("--debug=false") == {"debug": False}


def test_own_values_are_checked_all_together() -> None:
    with pytest.raises(ConfigError) as raised:
        checked((NAME, COUNT), {"name": "", "count": "x"}, {})
    assert "--name: empty, expected a text" in str(raised.value)
    assert "--count: 'x', expected a whole number" in str(raised.value)


def test_own_values_have_defaults() -> None:
    assert checked((NAME, COUNT), {"count": None}, {}) == {"name": None, "count": 3}


def test_a_setting_may_come_from_the_environment_and_a_flag_is_stronger() -> None:
    environment = {"EMDC_MAPS_DIR": "/from/environment"}
    assert str(checked((MAPS_DIR,), {}, environment)["maps_dir"]) == "/from/environment"
    given = {"maps_dir": "/from/flag"}
    assert str(checked((MAPS_DIR,), given, environment)["maps_dir"]) == "/from/flag"


def test_the_log_has_its_three_flags() -> None:
    assert {row.flag for row in LOG} == {"log_level", "log_format", "debug"}
