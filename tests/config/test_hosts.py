import re

import pytest

from emdc.config import MeterSettings
from emdc.config.hosts import check_bind_host, is_loopback, split_host
from emdc.place import place


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.168.1.10", "192.168.1.10", None),
        ("192.168.1.10:1502", "192.168.1.10", 1502),
        ("Meter-7.Example.org", "meter-7.example.org", None),
        ("meter:502", "meter", 502),
        ("meter.example.org.", "meter.example.org.", None),
        ("zähler.example", "xn--zhler-gra.example", None),
        ("127.0.0.1:5020", "127.0.0.1", 5020),
        ("fd00::5", "fd00::5", None),
        ("[fd00::5]", "fd00::5", None),
        ("[FD00::5]:1502", "fd00::5", 1502),
        ("fe80::1%eth0", "fe80::1%eth0", None),
    ],
)
def test_a_host_may_carry_a_port(text: str, host: str, port: int | None) -> None:
    assert split_host(text) == (host, port)


@pytest.mark.parametrize(
    ("host", "port", "text"),
    [
        ("meter", 502, "meter:502"),
        ("meter", None, "meter"),
        ("::1", 15020, "[::1]:15020"),
        ("::1", None, "[::1]"),
        ("/dev/ttyUSB0", 502, "/dev/ttyUSB0"),
    ],
)
def test_a_place_is_written_as_it_is_read(host: str, port: int | None, text: str) -> None:
    assert place(host, port) == text
    assert split_host(text) == (host, None if host.startswith("/") else port)


def test_the_place_of_a_meter_is_one_that_a_setting_takes() -> None:
    assert MeterSettings(name="m", host="::1", port=15020, map="x").place == "[::1]:15020"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        (":502", "empty"),
        ("http://meter", "without the protocol"),
        ("meter/1", "without a path"),
        ("user@meter", "without a user"),
        ("my meter", "without spaces"),
        ("meter\n", "without spaces"),
        ("nexus_meter", "letters, digits and hyphens"),
        ("-meter", "expected a host name"),
        ("a..b", "expected a host name"),
        ("a" * 64, "expected a host name"),
        (".".join(["a" * 60] * 5), "expected a host name"),
        ("meter:0", "port of 1-65535"),
        ("meter:65536", "port of 1-65535"),
        ("meter:", "a port after the colon"),
        ("meter:\uff15\uff10\uff12", "port of 1-65535"),
        ("[fd00::5", "[address]:port"),
        ("[fd00::5]502", "[address]:port"),
        ("fd00::zz", "IPv6"),
    ],
)
def test_a_spelling_that_is_no_host_is_refused_with_a_hint(text: str, hint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(hint)):
        split_host(text)


@pytest.mark.parametrize(
    "text", ["0.0.0.0", "0.1.2.3", "255.255.255.255", "240.0.0.1", "224.0.0.1", "::", "ff02::1"]
)
def test_an_address_of_no_single_machine_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected the address of one machine"):
        split_host(text)


@pytest.mark.parametrize("text", ["169.254.169.254", "fe80::1"])
def test_a_link_local_address_without_its_interface_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="link-local"):
        split_host(text)


@pytest.mark.parametrize(
    "text", ["127.1", "2130706433", "0x7f000001", "0177.0.0.1", "::ffff:127.0.0.1", "1.2.3.256"]
)
def test_an_address_that_programs_read_differently_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ambiguous address"):
        split_host(text)


@pytest.mark.parametrize("text", ["0.0.0.0", "::", "127.0.0.1", "::1", "localhost", "10.0.0.1"])
def test_a_server_may_listen_on_any_address(text: str) -> None:
    assert check_bind_host(text) == text


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "http://localhost", "local host"])
def test_a_server_does_not_listen_on_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        check_bind_host(text)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_is_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_any_other_address_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)
