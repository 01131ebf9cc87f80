import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from emdc import zone as zones
from emdc.zone import machine_zone, zone


@pytest.mark.parametrize("name", ["Europe/Paris", "Australia/Lord_Howe", "US/Pacific", "UTC"])
def test_a_zone_is_known_by_its_name(name: str) -> None:
    assert zone(name) is ZoneInfo(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("europe/paris", "Europe/Paris"),
        ("Paris", "Europe/Paris"),
        ("Los Angeles", "America/Los_Angeles"),
        ("America/Los_Angles", "America/Los_Angeles"),
        ("new york", "America/New_York"),
        ("right/Europe/Paris", "Europe/Paris"),
        ("Kathmandu", "Asia/Kathmandu"),
        ("utc", "UTC"),
        ("../Europe/Paris", "Europe/Paris"),
    ],
)
def test_a_name_that_is_none_is_refused_with_the_one_that_is_meant(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(repr(name))}, .* did you mean {meant}$"):
        zone(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "nowhere", "Europe", "GMT+2", "PST", "CEST", "posixrules", "localtime", "Factory"),
        *("/etc/localtime", "zone.tab", "a" * 40, "\0", "Europe\udc80"),
    ],
)
def test_a_name_without_a_near_one_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match=r"IANA list such as America/Los_Angeles$"):
        zone(name)


def test_a_long_name_is_shown_cut() -> None:
    with pytest.raises(ValueError, match=r"^'x{63}…', expected"):
        zone("x" * 10_000)


def test_a_system_without_zones_is_told_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zones, "available_timezones", set)
    with pytest.raises(ValueError, match="knows no time zones: install its package tzdata"):
        zone("Europe/Pariss")


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """A folder that says Asia/Kathmandu in `timezone` and Europe/Paris in `localtime`."""
    (tmp_path / "timezone").write_text("Asia/Kathmandu\n")
    (tmp_path / "localtime").symlink_to("../usr/share/zoneinfo/Europe/Paris")
    return tmp_path


@pytest.mark.parametrize(
    "said",
    ["America/New_York", ":America/New_York", "/usr/share/zoneinfo/right/America/New_York"],
)
def test_the_environment_says_first_which_zone_the_machine_is_in(said: str, etc: Path) -> None:
    assert machine_zone({"TZ": said}, etc) == "America/New_York"


@pytest.mark.parametrize("said", ["", "PST8PDT,M3.2.0,M11.1.0", "nonsense", ":", "../x"])
def test_an_environment_that_names_no_zone_is_passed_over(said: str, etc: Path) -> None:
    assert machine_zone({"TZ": said}, etc) == machine_zone({}, etc) == "Asia/Kathmandu"


@pytest.mark.parametrize("content", [b"", b"# none\n", b"\xff", b"Somewhere/Else\n"])
def test_the_file_that_libraries_read_says_it_next(content: bytes, etc: Path) -> None:
    (etc / "timezone").write_bytes(content)
    assert machine_zone({}, etc) == "Europe/Paris"
    (etc / "timezone").unlink()
    assert machine_zone({}, etc) == "Europe/Paris"


def test_a_machine_that_names_no_zone_is_in_utc(tmp_path: Path) -> None:
    assert machine_zone({}, tmp_path) == "UTC"
    (tmp_path / "localtime").write_bytes(b"TZif2")
    assert machine_zone({}, tmp_path) == "UTC"


def test_the_zone_of_this_machine_is_one() -> None:
    assert zone(machine_zone({}))
