import math
from typing import Any

import pytest

from emdc.meters.register_map import DataType, Metric
from emdc.synthetic.encoder import encoder, value_range


def metric(data_type: str, size: int, **rest: Any) -> Metric:
    return Metric("m", 0, size, DataType(data_type), **rest)


@pytest.mark.parametrize(
    ("subject", "value", "registers"),
    [
        (metric("UINT8", 1), 165, "A500"),
        (metric("INT8", 1), -2, "FE00"),
        (metric("UINT16", 1), 51966, "CAFE"),
        (metric("INT16", 1, scale=0.01), -120.0, "D120"),
        (metric("UINT32", 2), 0x12345678, "1234 5678"),
        (metric("UINT32", 2, word_order="little"), 0x12345678, "5678 1234"),
        (metric("INT32", 2, scale=2.0**-16), 120.5, "0078 8000"),
        (metric("UINT64", 4, word_order="little"), 0x0123456789ABCDEF, "CDEF 89AB 4567 0123"),
        (metric("INT64", 4), -1, "FFFF FFFF FFFF FFFF"),
        (metric("FLOAT32", 2), 1.0, "3F80 0000"),
        (metric("FLOAT32", 2, word_order="little"), 1.0, "0000 3F80"),
        (metric("FLOAT64", 4), -2.0, "C000 0000 0000 0000"),
        (metric("FLOAT32", 2, scale=1000, offset=5), 2005.0, "4000 0000"),
        (metric("INT16", 1, scale=0.1, offset=-40), 25.0, "028A"),
        (metric("STRING", 4), "Nexus", "4E65 7875 7300 0000"),
        (metric("STRING", 2), "Nexus", "4E65 7875"),
        (metric("UINT16", 1, scale=0.001, code="f8_pf"), 0.953, "03B9"),
        (metric("UINT16", 1, scale=0.001, code="f8_pf"), 1.0, "03E8"),
        (metric("UINT64", 4, code="bcd"), 1234567890123456, "1234 5678 9012 3456"),
        (metric("UINT32", 2, code="mod10k", scale=1000), 12345678000, "04D2 162E"),
        (metric("UINT32", 2, code="mod10k_low", scale=1000), 12345678000, "162E 04D2"),
        (metric("UINT32", 2, byte_order="little"), 0x12345678, "3412 7856"),
        (metric("UINT32", 2, byte_order="little", word_order="little"), 0x12345678, "7856 3412"),
        (metric("UINT8", 1, byte_order="little"), 165, "00A5"),
        (metric("STRING", 3, byte_order="little"), "Nexus", "654E 7578 0073"),
        (metric("UINT16", 1, bits=(4, 7)), 10, "00A0"),
        (metric("UINT16", 1, bits=(15, 15)), 1, "8000"),
        (metric("UINT32", 2, bits=(8, 23), scale=10, word_order="little"), 12340, "D200 0004"),
        (metric("INT16", 1, scale=0.001, code="pf4q"), -0.5, "FE0C"),
    ],
)
def test_a_value_becomes_the_registers_of_the_manual(
    subject: Metric, value: float | str, registers: str
) -> None:
    assert encoder(subject)(value) == bytes.fromhex(registers)


@pytest.mark.parametrize(
    ("subject", "value", "registers"),
    [
        (metric("UINT16", 1), 70000, "FFFF"),
        (metric("UINT16", 1), -5, "0000"),
        (metric("INT32", 2, scale=2.0**-16), 40000.0, "7FFF FFFF"),
        (metric("FLOAT32", 2), 1e300, "7F7F FFFF"),
        (metric("UINT16", 1, bits=(4, 7)), 99, "00F0"),
        (metric("UINT16", 1, scale=0.001, code="f8_pf"), 1.4, "03E8"),
    ],
)
def test_a_gauge_beyond_its_registers_stops_at_their_end(
    subject: Metric, value: float, registers: str
) -> None:
    assert encoder(subject)(value) == bytes.fromhex(registers)


@pytest.mark.parametrize(
    ("subject", "value", "registers"),
    [
        (metric("UINT32", 2, kind="counter"), 2**32 + 7, "0000 0007"),
        (metric("INT32", 2, kind="counter"), 2**31 + 7, "0000 0007"),
        (metric("UINT32", 2, code="mod10k", kind="counter"), 100000009, "0000 0009"),
        (metric("INT32", 2, kind="counter"), -7, "FFFF FFF9"),
    ],
)
def test_a_counter_beyond_its_registers_starts_again(
    subject: Metric, value: int, registers: str
) -> None:
    assert encoder(subject)(value) == bytes.fromhex(registers)


def test_a_counter_of_64_bits_keeps_its_last_digit() -> None:
    subject = metric("UINT64", 4, scale=10)
    assert encoder(subject)(10 * (2**60 + 1)) == (2**60 + 1).to_bytes(8)


def test_no_value_is_the_pattern_of_the_map_and_nan_for_a_float_without_one() -> None:
    assert encoder(metric("UINT32", 2, invalid=(0xFFFF0000,)))(None) == bytes.fromhex("FFFF 0000")
    assert encoder(metric("FLOAT32", 2, invalid=(0x7FC00001,)))(None) == bytes.fromhex("7FC0 0001")
    assert encoder(metric("FLOAT32", 2))(None) == bytes.fromhex("7FC0 0000")
    several = metric("INT16", 1, invalid=(0x8000, 0x7FFF), byte_order="little")
    assert encoder(several)(None) == bytes.fromhex("0080")
    assert encoder(metric("UINT32", 2, invalid=(0xFFFF0000,), word_order="little"))(
        None
    ) == bytes.fromhex("0000 FFFF")


def test_a_text_for_a_number_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"m: text 'on' for UINT16, expected a number"):
        encoder(metric("UINT16", 1))("on")


def test_the_range_of_a_metric_is_that_of_its_registers_and_limits() -> None:
    assert value_range(metric("INT16", 1, scale=0.5, offset=1)) == (-16383.0, 16384.5)
    assert value_range(metric("UINT16", 1, maximum=400.0)) == (0.0, 400.0)
    assert value_range(metric("FLOAT32", 2, minimum=0.0)) == (0.0, math.inf)
