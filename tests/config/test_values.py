import re
from pathlib import Path

import pytest

from emdc.config.secret import Secret
from emdc.config.table import SETTINGS, Setting
from emdc.config.values import check, from_text, limits

ROWS = {setting.key: setting for setting in SETTINGS}
PORT = ROWS["meters.port"]
INTERVAL = ROWS["meters.interval"]
RATIO = ROWS["meters.ct_ratio"]
ANONYMOUS = ROWS["http.allow_anonymous"]


@pytest.mark.parametrize(
    ("setting", "text", "value"),
    [
        (PORT, "502", 502),
        (PORT, " +1502 ", 1502),
        (INTERVAL, "60", 60.0),
        (INTERVAL, "0.5", 0.5),
        (INTERVAL, ".5", 0.5),
        (INTERVAL, "1e2", 100.0),
        (RATIO, "40", 40.0),
        (RATIO, " Meter ", "meter"),
        (ANONYMOUS, "Yes", True),
        (ANONYMOUS, "0", False),
        (ROWS["log_level"], "info", "INFO"),
        (ROWS["maps_dir"], "/etc/maps", Path("/etc/maps")),
        (ROWS["database.tls_ca"], "/etc/ca.pem", Path("/etc/ca.pem")),
        (ROWS["database.spool_mb"], "1000000", 1_000_000),
        (ROWS["http.token"], " a b ", Secret(" a b ")),
        (ROWS["meters.timezone"], " America/Los_Angeles ", "America/Los_Angeles"),
        (ROWS["meters.max_power"], "166.3", 166.3),
    ],
)
def test_text_becomes_the_value_that_it_spells(setting: Setting, text: str, value: object) -> None:
    assert from_text(setting, text) == value


@pytest.mark.parametrize(
    ("setting", "text", "problem"),
    [
        (PORT, "x", "'x', expected a whole number"),
        (PORT, "502.0", "expected a whole number"),
        (PORT, "0x1F6", "expected a whole number"),
        (PORT, "5_02", "expected a whole number"),
        (PORT, "\uff15\uff10\uff12", "expected a whole number"),
        (PORT, "1" * 30, "expected a whole number"),
        (PORT, "0", "0, expected 1-65535"),
        (PORT, "-1", "-1, expected 1-65535"),
        (PORT, "65536", "65536, expected 1-65535"),
        (INTERVAL, "0,5", "expected a number"),
        (INTERVAL, "5m", "expected a number"),
        (INTERVAL, "nan", "expected a number"),
        (INTERVAL, "inf", "expected a number"),
        (INTERVAL, "1e999", "expected 0.1-86400"),
        (INTERVAL, "0", "expected 0.1-86400"),
        (INTERVAL, "-5", "expected 0.1-86400"),
        (RATIO, "200:5", "'200:5', expected a number such as 80, 400/5 or meter"),
        (RATIO, "0", "expected 1e-06-1000000"),
        (ANONYMOUS, "maybe", "'maybe', expected true or false"),
        (ROWS["log_level"], "LOUD", "'LOUD', expected one of DEBUG, INFO"),
        (ROWS["database.type"], "oracle", "expected one of sqlite"),
        (ROWS["database.spool_mb"], "0", "0, expected 1-1000000"),
        (ROWS["database.spool_mb"], "0.5", "expected a whole number"),
        (ROWS["meters.name"], "a\x1bb", "without control characters"),
        (ROWS["meters.name"], "x" * 256, "256 characters, expected at most 255"),
        (ROWS["meters.timezone"], "PST", "'PST', expected a time zone of the IANA list such as"),
        (ROWS["meters.timezone"], "europe/paris", "did you mean Europe/Paris"),
        (ROWS["meters.max_power"], "0", "0.0, expected 0.001-10000000"),
        (ROWS["meters.max_power"], "-5", "expected 0.001-10000000"),
        (ROWS["meters.max_power"], "166 kW", "expected a number"),
        (ROWS["database.name"], "\udcff", "not UTF-8"),
        (ROWS["maps_dir"], "~nobody-has-this-name/x", "no home folder"),
    ],
)
def test_text_that_spells_no_value_is_refused(setting: Setting, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        from_text(setting, text)


def test_a_ratio_is_a_number_or_the_word_for_the_meter() -> None:
    assert check(RATIO, 40) == 40.0
    assert check(RATIO, "METER") == "meter"


@pytest.mark.parametrize(
    ("text", "ratio"), [("400/5", 80.0), (" 200 / 5 ", 40.0), ("14400/120", 120.0), ("1/2.5", 0.4)]
)
def test_a_ratio_is_read_as_the_plate_of_a_transformer_has_it(text: str, ratio: float) -> None:
    assert from_text(RATIO, text) == check(RATIO, text) == ratio


@pytest.mark.parametrize(
    "text", ["400/0", "-400/5", "400/-5", "0/5", "400/5/2", "/5", "400/", "-5", "0"]
)
def test_a_ratio_is_above_zero(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        from_text(RATIO, text)


@pytest.mark.parametrize(
    ("setting", "value", "problem"),
    [
        (PORT, "502", "'502', expected a whole number, without quotes"),
        (PORT, 502.0, "expected a whole number"),
        (PORT, True, "expected a whole number"),
        (INTERVAL, True, "expected a number"),
        (INTERVAL, float("nan"), "nan, expected 0.1-86400"),
        (INTERVAL, 10**400, "expected 0.1-86400"),
        (RATIO, "40", "'40', expected a number, without quotes"),
        (RATIO, "many", "'many', expected a number such as 80, 400/5 or meter"),
        (RATIO, True, "expected a number"),
        (ANONYMOUS, 1, "expected true or false"),
        (ROWS["database.name"], 5, "expected a text in quotes"),
        (ROWS["database.name"], "  ", "empty"),
        (ROWS["meters.name"], " a", "without spaces at its ends"),
        (ROWS["meters.timezone"], 1, "1, expected a text in quotes"),
        (ROWS["meters.max_power"], "166", "'166', expected a number, without quotes"),
        (ROWS["database.password"], 12345678, "expected it in quotes"),
        (ROWS["database.password"], "hunter2\nx", "several lines"),
    ],
)
def test_a_value_of_another_type_is_refused(setting: Setting, value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)) as caught:
        check(setting, value)
    assert "hunter2" not in str(caught.value)
    assert "12345678" not in str(caught.value)


def test_a_long_value_is_cut_in_its_error() -> None:
    with pytest.raises(ValueError, match="…") as caught:
        from_text(PORT, "x" * 5000)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("name", ["'; DROP TABLE x;--", "=cmd()", "<script>", "Zähler 1/Süd"])
def test_a_name_may_be_any_printable_text(name: str) -> None:
    assert check(ROWS["meters.name"], name) == name


def test_limits_read_as_people_write_them() -> None:
    assert [limits(PORT), limits(INTERVAL), limits(ROWS["maps_dir"])] == [
        "1-65535",
        "0.1-86400",
        "",
    ]
