"""docs/peers.md is what `python -m bench peers` writes, and EMDC gave no wrong value."""

from pathlib import Path

import pytest

from bench.peers_meters import METERS
from bench.peers_page import ERROR, HANG, RIGHT, WRONG, fooled, page, parse

TEXT = (Path(__file__).parents[1] / "docs" / "peers.md").read_text(encoding="utf-8")
TABLE, VERSIONS, *SECONDS = parse(TEXT)


def test_the_page_is_what_the_command_makes_of_its_table() -> None:
    assert page(TABLE, VERSIONS, *SECONDS) == TEXT


def test_the_page_has_each_of_the_fifteen_meters() -> None:
    assert list(TABLE) == list(METERS)
    assert len(METERS) == 15


def test_the_page_has_each_client_three_times_for_each_meter() -> None:
    assert list(VERSIONS) == ["emdc", "pymodbus", "uModbus", "pyModbusTCP", "modbus_tk"]
    words = {RIGHT, ERROR, WRONG, HANG}
    for of in TABLE.values():
        for reads in of.values():
            assert len(reads) == 3
            assert {read.partition(" after ")[0] for read in reads} <= words


def test_no_meter_gave_emdc_a_wrong_value() -> None:
    assert fooled(TABLE, "emdc") == 0


@pytest.mark.parametrize("client", [client for client in VERSIONS if client != "emdc"])
def test_the_meters_fool_others(client: str) -> None:
    assert fooled(TABLE, client) > 0
