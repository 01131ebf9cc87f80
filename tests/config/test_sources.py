"""Faults of a configuration: each is found, with its place and the nearest name."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from emdc.config import Settings, load
from emdc.errors import ConfigError

METER = 'name = "UW/a"\nhost = "10.0.0.1"\nmap = "nexus-1272"\n'


def settings(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    return load(flags=flags or {}, environment=environment or {}, config_file=file)


def fault(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(flags, environment, file)
    return str(caught.value)


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of emdc.toml in the working directory, so that errors name it briefly."""
    monkeypatch.chdir(tmp_path)
    return Path("emdc.toml")


def test_all_faults_come_together_each_with_its_place(toml: Path) -> None:
    toml.write_text(f"[http]\nport = 70000\n[[meters]]\n{METER}[[meters]]\nunit = 300\n")
    text = fault({"log_level": "LOUD"}, {"EMDC_DB_POOL_SIZE": "x"}, toml)
    lines = text.splitlines()
    assert lines[0] == "7 settings cannot be used"
    assert "  emdc.toml: http.port: 70000, expected 0-65535" in lines
    assert "  emdc.toml: meters[2].unit: 300, expected 0-255" in lines
    assert "  EMDC_DB_POOL_SIZE: 'x', expected a whole number" in lines
    assert any(line.startswith("  --log_level: 'LOUD', expected one of") for line in lines)


def test_a_fault_is_found_even_where_a_stronger_source_wins() -> None:
    assert fault({"port": 81}, {"EMDC_PORT": "x"}) == "EMDC_PORT: 'x', expected a whole number"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("log_lvl = 'x'\n", "emdc.toml: log_lvl: unknown key, did you mean log_level"),
        ("[datbase_]\n", "emdc.toml: datbase_: unknown key, did you mean database"),
        ("[database]\nhots = 'x'\n", "emdc.toml: database.hots: unknown key, did you mean host"),
        ("[http]\ntokn = 'x'\n", "emdc.toml: http.tokn: unknown key, did you mean token"),
        ("zzz = 1\n", "emdc.toml: zzz: unknown key"),
        ("http = 1\n", "emdc.toml: http: no table, expected [http] above its keys"),
        ("meters = [1]\n", "emdc.toml: meters[1]: no table, expected [[meters]] above its keys"),
        ("[meters]\n", "emdc.toml: meters: one table, expected [[meters]], with two brackets"),
    ],
)
def test_an_unknown_key_is_named_with_the_nearest(text: str, message: str, toml: Path) -> None:
    toml.write_text(text)
    assert message in fault(file=toml)


def test_an_unknown_key_of_a_meter_is_named_with_the_nearest(toml: Path) -> None:
    toml.write_text(f"[[meters]]\n{METER}intervl = 5\n")
    expected = "emdc.toml: meters[1].intervl: unknown key, did you mean interval"
    assert fault(file=toml) == expected


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("EMDC_PANEL_HOTS", "EMDC_PANEL_HOST"),
        ("EMDC_DB_PASWORD", "EMDC_DB_PASSWORD"),
    ],
)
def test_a_mistyped_variable_is_named_with_the_nearest(name: str, nearest: str) -> None:
    assert fault({}, {name: "hunter2"}) == f"{name}: unknown variable, did you mean {nearest}"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("UWSOLAR_DB_PORT", "EMDC_DB_PORT"), ("UWSOLAR_PANEL_HOTS", "UWSOLAR_PANEL_HOST")],
)
def test_an_unknown_old_variable_is_a_warning_with_the_nearest(name: str, nearest: str) -> None:
    got = settings({}, {name: "hunter2"})
    assert got == Settings(warnings=(f"{name}: unknown variable, did you mean {nearest}",))


def test_variables_of_other_programs_are_none_of_ours() -> None:
    assert settings({}, {"PATH": "/bin", "EMD": "x", "XEMDC_DB_HOST": "x"}) == Settings()


def test_an_unknown_flag_is_named_with_the_nearest() -> None:
    assert fault({"panel-hots": "x"}) == "--panel_hots: unknown flag, did you mean panel_host"


def test_broken_toml_is_named_by_line_and_column(toml: Path) -> None:
    toml.write_text("[http]\nport = \n")
    assert fault(file=toml).startswith("emdc.toml: line 2, column 8: not TOML: ")
    toml.write_text("[http\n")
    assert fault(file=toml).startswith("emdc.toml: line 1, column 6: not TOML: ")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("host = 10.0.0.1  # x", "host = 10.0.0.1  # x, expected the text in quotes: '10.0.0.1'"),
        ("ct_ratio = 1,5\r", "ct_ratio = 1,5, expected the decimals after a point: 1.5"),
        ('name = "roof', 'name = "roof, expected " at the end of the text too'),
        ("unit = 05", ": unit = 05"),
        ("[http", ": [http"),
        ("password = hunter2", "Invalid value, expected the text in quotes"),
        ("x = { token = hunter2 }", "Invalid value"),
        ('url = "hunter2', 'expected " at the end of the text too'),
        ("hunter2", "after a key in a key/value pair"),
    ],
)
def test_a_broken_line_is_shown_with_its_mend_and_without_secrets(
    line: str, said: str, toml: Path
) -> None:
    toml.write_text(f"{line}\n", newline="")
    assert fault(file=toml).endswith(said)
    assert "hunter2" not in fault(file=toml)


def test_a_file_that_is_not_utf_8_is_named_by_line(toml: Path) -> None:
    toml.write_bytes(b"# a\nlog_level = '\xff'\n")
    assert fault(file=toml) == "emdc.toml: line 2: a byte that is not UTF-8"


def test_a_byte_order_mark_and_windows_line_ends_are_fine(toml: Path) -> None:
    toml.write_bytes(b"\xef\xbb\xbf[http]\r\nport = 81\r\n")
    assert settings(file=toml).http.port == 81


@pytest.mark.parametrize("hostile", ["a = " + "[" * 5000, "a = 1" + "0" * 5000])
def test_a_hostile_file_is_an_error_and_no_crash(hostile: str, toml: Path) -> None:
    toml.write_text(hostile)
    assert "not TOML" in fault(file=toml)


def test_a_file_that_is_none_is_never_read(toml: Path, tmp_path: Path) -> None:
    assert "no such regular file" in fault(file=toml)
    assert "no such regular file" in fault(file=tmp_path)
    os.mkfifo("pipe")
    assert "no such regular file" in fault(file=Path("pipe"))
    assert "gone.toml: no such regular file" in fault({}, {"EMDC_CONFIG": "gone.toml"})
