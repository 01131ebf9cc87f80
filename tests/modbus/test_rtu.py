import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.errors import ExceptionResponseError, ProtocolError
from emdc.modbus import read_request, rtu
from emdc.modbus.rtu_server import answer_rtu_stream

# As manuals of meters print them.
FRAMES = (
    "01 03 00 00 00 01 84 0A",
    "01 03 00 6B 00 03 74 17",
    "11 03 06 AE 41 56 52 43 40 49 AD",
    "01 83 02 C0 F1",
)


@pytest.mark.parametrize("frame", FRAMES)
def test_the_checksum_is_the_one_that_manuals_print(frame: str) -> None:
    data = bytes.fromhex(frame)
    assert rtu.framed(data[:-2]) == data


@given(st.binary(max_size=260))
def test_the_checksum_is_what_bit_by_bit_calculation_gives(data: bytes) -> None:
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    assert rtu.crc(data) == bytes([value & 0xFF, value >> 8])


def test_a_request_and_the_head_of_its_answer_are_those_of_modbus_tcp_without_its_header() -> None:
    request = read_request(17, 3, 107, 3)
    assert rtu.question(request) == rtu.framed(bytes.fromhex("11 03 00 6B 00 03"))
    assert rtu.head(request) == bytes.fromhex("11 03 06")


@pytest.mark.parametrize("size", range(11))
def test_a_frame_is_cut_when_it_is_whole(size: int) -> None:
    whole = bytes.fromhex(FRAMES[2])
    buffer = bytearray(whole[:size])
    assert rtu.cut(buffer) is None
    buffer += whole[size:] + b"\1"
    assert bytes(rtu.cut(buffer) or b"") == whole
    assert buffer == b"\1"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [("01 83 02 C0 F0", "protocol_error:crc"), ("01 06 00 00 00 01", "protocol_error:fc")],
)
def test_what_is_no_answer_to_a_read_is_named(frame: str, reason: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        rtu.cut(bytearray.fromhex(frame))
    assert caught.value.reason == reason


@given(st.binary(min_size=1, max_size=300))
def test_no_bytes_crash_the_framing_and_all_that_is_cut_is_whole(data: bytes) -> None:
    buffer = bytearray(data)
    try:
        while (frame := rtu.cut(buffer)) is not None:
            assert rtu.framed(bytes(frame[:-2])) == frame
    except ProtocolError:
        pass
    assert len(buffer) <= len(data)


@pytest.mark.parametrize(
    ("start", "cannot"),
    [
        ("01", False),
        ("01 03", False),
        ("01 03 04", False),
        ("01 83 02", False),
        ("02 03 06", False),
        ("01 03 06", True),
        ("01 04 04", True),
        ("01 84 02", True),
    ],
)
def test_the_first_three_bytes_tell_what_cannot_become_the_answer(start: str, cannot: bool) -> None:
    assert rtu.cannot_be(bytearray.fromhex(start), read_request(1, 3, 0, 2)) is cannot


def test_an_exception_is_told_from_a_wrong_answer() -> None:
    request = read_request(1, 3, 0, 2)
    refused = rtu.judge(bytes.fromhex("01 83 02"), request)
    assert isinstance(refused, ExceptionResponseError)
    assert refused.code == 2
    assert rtu.judge(bytes.fromhex("01 84 02"), request).reason == "protocol_error:fc"
    assert rtu.judge(bytes.fromhex("01 03 06"), request).reason == "protocol_error:count"


def echo(unit: int, code: int, address: int, count: int) -> bytes | int:
    return 11 if unit == 9 else bytes([unit, code]) * count


ASK = rtu.framed(bytes.fromhex("01 03 0000 0002"))
SAID = rtu.framed(bytes.fromhex("01 03 04 0103 0103"))


@pytest.mark.parametrize(
    ("data", "answers", "used"),
    [
        (ASK, SAID, 8),
        (ASK + ASK[:7], SAID, 8),
        (ASK + ASK, SAID * 2, 16),
        (rtu.framed(bytes.fromhex("09 03 0000 0002")), rtu.framed(b"\x09\x83\x0b"), 8),
        (rtu.framed(bytes.fromhex("01 06 0000 0002")), rtu.framed(b"\x01\x86\x01"), 8),
        (rtu.framed(bytes.fromhex("01 03 0000 0000")), rtu.framed(b"\x01\x83\x03"), 8),
        (rtu.framed(bytes.fromhex("00 03 0000 0002")), b"", 8),
        (ASK[:-1] + b"\0", b"", 8),
        (ASK[:-1] + b"\0" + ASK, b"", 16),
    ],
    ids=["one", "and a part", "two", "refused", "a write", "none", "all", "spoilt", "after that"],
)
def test_a_server_answers_whole_requests_and_nothing_else(
    data: bytes, answers: bytes, used: int
) -> None:
    assert answer_rtu_stream(data, echo) == (answers, used)
