import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.modbus.pdu import read_request


def test_a_read_of_two_holding_registers_is_what_the_specification_prints() -> None:
    request = read_request(1, 3, 179, 2)
    assert request.tail == bytes.fromhex("0000 0006 01 03 00B3 0002")
    assert request.head == bytes.fromhex("0000 0007 01 03 04")
    assert request.size == 13


@pytest.mark.parametrize(("count", "size"), [(1, 1), (8, 1), (9, 2), (2000, 250)])
def test_bits_are_answered_eight_in_a_byte(count: int, size: int) -> None:
    request = read_request(1, 1, 0, count)
    assert (request.head[-1], request.size) == (size, 9 + size)


@given(st.integers(0, 255), st.sampled_from([3, 4]), st.integers(0, 65535), st.integers(1, 125))
def test_every_read_that_fits_can_be_encoded(
    unit: int, code: int, address: int, count: int
) -> None:
    if address + count > 65536:
        return
    request = read_request(unit, code, address, count)
    assert request.tail == b"\0\0\0\6" + bytes([unit, code]) + address.to_bytes(2) + bytes(
        [0, count]
    )
    assert len(request.tail) == 10
    assert request.size == 2 + len(request.head) + 2 * count


@pytest.mark.parametrize("code", [-1, 0, *range(5, 256)])
def test_nothing_but_reading_can_be_encoded(code: int) -> None:
    with pytest.raises(ValueError, match=f"function code {code}, only 1 to 4 read"):
        read_request(1, code, 0, 1)


@pytest.mark.parametrize(
    ("unit", "code", "address", "count", "fault"),
    [
        (-1, 3, 0, 1, "unit -1, expected 0 to 255"),
        (256, 3, 0, 1, "unit 256, expected 0 to 255"),
        (1, 3, 0, 0, "0 to read at once, expected 1 to 125"),
        (1, 4, 0, 126, "126 to read at once, expected 1 to 125"),
        (1, 2, 0, 2001, "2001 to read at once, expected 1 to 2000"),
        (1, 3, -1, 1, "address -1 with 1 to read"),
        (1, 3, 65535, 2, "address 65535 with 2 to read"),
    ],
)
def test_a_field_that_does_not_fit_is_named(
    unit: int, code: int, address: int, count: int, fault: str
) -> None:
    with pytest.raises(ValueError, match=fault):
        read_request(unit, code, address, count)
