import pytest
from hypothesis import given
from hypothesis import strategies as st

from emdc.errors import ExceptionResponseError, MeterError, ProtocolError
from emdc.modbus.mbap import MAX_FRAME, cut, frame_size, judge, may_follow
from emdc.modbus.pdu import read_request

RIGHT = bytes.fromhex("0001 0000 0007 01 03 04 00B3 0002")
REQUEST = read_request(1, 3, 179, 2)


@pytest.mark.parametrize("received", range(6))
def test_a_header_that_is_not_complete_has_no_size_yet(received: int) -> None:
    assert frame_size(RIGHT[:received]) is None


@pytest.mark.parametrize("length", range(3, 255))
def test_a_frame_is_six_bytes_longer_than_its_length_field(length: int) -> None:
    assert frame_size(bytes(4) + length.to_bytes(2)) == length + 6 <= MAX_FRAME


@pytest.mark.parametrize("length", [0, 1, 2, 255, 256, 65535])
def test_a_length_that_no_answer_has_is_refused(length: int) -> None:
    with pytest.raises(ProtocolError, match=f"length {length}, expected 3 to 254") as caught:
        frame_size(bytes(4) + length.to_bytes(2))
    assert caught.value.reason == "protocol_error:length"


@pytest.mark.parametrize("protocol", [1, 256, 0xFFFF])
def test_another_protocol_is_refused_before_its_length_is_looked_at(protocol: int) -> None:
    with pytest.raises(ProtocolError, match=f"protocol id {protocol}, expected 0") as caught:
        frame_size(bytes(2) + protocol.to_bytes(2) + bytes(2))
    assert caught.value.reason == "protocol_error:pid"


@given(st.lists(st.binary(min_size=3, max_size=254), max_size=5), st.data())
def test_frames_are_cut_whole_however_they_arrive(bodies: list[bytes], data: st.DataObject) -> None:
    frames = [bytes(4) + len(body).to_bytes(2) + body for body in bodies]
    stream, buffer, found = b"".join(frames), bytearray(), list[bytes]()
    while stream:
        taken = data.draw(st.integers(1, len(stream)))
        buffer += stream[:taken]
        stream = stream[taken:]
        while (frame := cut(buffer)) is not None:
            found.append(bytes(frame))
        assert len(buffer) < MAX_FRAME
    assert found == frames


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("0001 0000 0007 02 03 04 00B3 0002", "protocol_error:unit"),
        ("0001 0000 0007 01 04 04 00B3 0002", "protocol_error:fc"),
        ("0001 0000 0003 01 84 02", "protocol_error:fc"),
        ("0001 0000 0003 02 83 02", "protocol_error:unit"),
        ("0001 0000 0005 01 83 02 0000", "protocol_error:length"),
        ("0001 0000 0005 01 03 02 00B3", "protocol_error:count"),
        ("0001 0000 0009 01 03 06 00B3 0002 0003", "protocol_error:count"),
        ("0001 0000 0003 01 03 00", "protocol_error:count"),
        ("0001 0000 0006 01 03 03 00B300", "protocol_error:count"),
        ("0001 0000 0005 01 03 04 00B3", "protocol_error:length"),
        ("0001 0000 0003 01 83 02", "exception:2"),
        ("0001 0000 0003 01 83 0B", "exception:11"),
    ],
)
def test_a_wrong_answer_is_named_by_its_first_nine_bytes(answer: str, reason: str) -> None:
    frame = bytes.fromhex(answer)
    for known in (frame, frame[:9]):
        verdict = judge(known, REQUEST)
        assert verdict.reason == reason
        assert isinstance(verdict, ExceptionResponseError) is reason.startswith("exception")


@given(st.binary(min_size=7, max_size=300))
def test_no_bytes_make_anything_but_a_verdict(noise: bytes) -> None:
    buffer = bytearray(bytes(4) + noise)
    try:
        frame = cut(buffer)
    except ProtocolError:
        return
    if frame is not None:
        assert isinstance(judge(frame, REQUEST), MeterError)


@pytest.mark.parametrize(
    ("rest", "may"),
    [
        ("", True),
        ("12", True),
        ("1234 0000 0007 01 03", True),
        ("1234 0000 0003 01 83", True),
        ("1234 0001", False),
        ("1234 0000 0107", False),
        ("1234 0000 0007 02", False),
        ("1234 0000 0007 01 10", False),
    ],
)
def test_behind_an_answer_only_a_frame_of_its_unit_can_begin(rest: str, may: bool) -> None:
    assert may_follow(bytes.fromhex(rest), 1) is may
