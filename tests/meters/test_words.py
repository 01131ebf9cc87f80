"""Registers become values: every type against bytes that `struct` makes, value by value."""

import math
import struct
from collections.abc import Mapping

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from emdc.meters.plan import plan
from emdc.meters.register_map import Code, DataType, Metric, WordOrder
from emdc.meters.words import BitDecoder, Ratios, compile_batch, reversed_words
from emdc.reading import Value

FORMATS = {
    DataType.UINT16: ">H",
    DataType.UINT32: ">I",
    DataType.UINT64: ">Q",
    DataType.INT16: ">h",
    DataType.INT32: ">i",
    DataType.INT64: ">q",
    DataType.FLOAT32: ">f",
    DataType.FLOAT64: ">d",
    DataType.UINT8: ">Bx",
    DataType.INT8: ">bx",
}
SIZES = {kind: struct.calcsize(form) // 2 for kind, form in FORMATS.items()}


def swapped(data: bytes) -> bytes:
    """The registers of one value with the low one first."""
    return b"".join(data[at : at + 2] for at in range(len(data) - 2, -1, -2))


def numbers(kind: DataType) -> st.SearchStrategy[float | int]:
    if kind.is_float:
        return st.floats(
            width=32 if kind is DataType.FLOAT32 else 64, allow_nan=False, allow_infinity=False
        )
    bits = 8 if kind in {DataType.UINT8, DataType.INT8} else 16 * SIZES[kind]
    low = 0 if kind.startswith("U") else -(2 ** (bits - 1))
    return st.integers(low, low + 2**bits - 1)


@st.composite
def layouts(draw: st.DrawFn) -> tuple[list[Metric], bytes, Mapping[str, Value]]:
    """Metrics with holes between them, the registers that hold them, and their values."""
    metrics, registers, values = list[Metric](), b"", dict[str, Value]()
    for index in range(draw(st.integers(1, 15))):
        kind = draw(st.sampled_from(sorted(FORMATS)))
        order: WordOrder = draw(st.sampled_from(["big", "little"]))
        value = draw(numbers(kind))
        registers += draw(st.binary(min_size=6, max_size=6))[: 2 * draw(st.integers(0, 3))]
        data = struct.pack(FORMATS[kind], value)
        address = 100 + len(registers) // 2
        metrics.append(Metric(f"m{index}", address, SIZES[kind], kind, word_order=order))
        registers += swapped(data) if order == "little" else data
        values[f"m{index}"] = value
    return metrics, registers, values


def decoded(
    metrics: list[Metric], registers: bytes, first: int, ratios: Ratios
) -> dict[str, Value]:
    """What the decoder makes of registers that start at address `first`; gaps as their reason."""
    values: dict[str, Value] = {}
    for batch in plan(metrics, max_registers=125, max_gap=100):
        decoder = compile_batch(batch, ratios)
        start = 2 * (batch.address - first)
        found, gaps = decoder.decode(registers[start : start + 2 * batch.count])
        assert {n for n, v in zip(decoder.names, found, strict=True) if v is None} == set(gaps)
        values |= dict(zip(decoder.names, found, strict=True)) | gaps
    return values


def one(metric: Metric, data: bytes, ratios: Ratios | None = None) -> Value:
    return decoded([metric], data, metric.address, ratios or Ratios())[metric.name]


def word(kind: DataType, **fields: object) -> Metric:
    return Metric("m", 7, SIZES.get(kind, 1), kind, **fields)  # type: ignore[arg-type]


@given(layouts())
def test_every_type_in_both_word_orders_is_read(
    layout: tuple[list[Metric], bytes, Mapping[str, Value]],
) -> None:
    metrics, registers, values = layout
    found = decoded(metrics, registers, 100, Ratios())
    assert found == values
    assert {n: type(v) for n, v in found.items()} == {n: type(v) for n, v in values.items()}


@given(st.binary(min_size=40, max_size=40), st.data())
def test_values_that_overlap_are_read_as_if_each_were_alone(
    registers: bytes, data: st.DataObject
) -> None:
    kinds = [kind for kind in FORMATS if not kind.is_float]
    metrics = [
        Metric(
            f"m{index}",
            data.draw(st.integers(0, 20 - SIZES[kind])),
            SIZES[kind],
            kind,
            word_order=data.draw(st.sampled_from(["big", "little"])),
        )
        for index, kind in enumerate(data.draw(st.lists(st.sampled_from(kinds), max_size=12)))
    ]
    alone = {m.name: one(m, registers[2 * m.address : 2 * (m.address + m.size)]) for m in metrics}
    assert decoded(metrics, registers, 0, Ratios()) == alone


@pytest.mark.parametrize("order", ["big", "little"])
def test_the_first_bytes_of_the_manuals_example_are_the_high_ones(order: WordOrder) -> None:
    data = bytes.fromhex("0078 8000") if order == "big" else bytes.fromhex("8000 0078")
    metric = word(DataType.INT32, scale=2**-16, word_order=order)
    assert one(metric, data) == 120.5


@given(st.binary(min_size=0, max_size=250).filter(lambda data: len(data) % 2 == 0))
def test_reversing_the_registers_keeps_the_bytes_of_each(data: bytes) -> None:
    assert reversed_words(bytearray(data)) == swapped(data)


@given(st.integers(0, 2**64 - 1), st.integers(1, 1000))
def test_a_counter_stays_an_exact_integer(raw: int, scale: int) -> None:
    value = one(word(DataType.UINT64, scale=scale), raw.to_bytes(8), Ratios(ct=160, pt=2.0))
    assert value == raw * scale
    assert type(value) is int


@pytest.mark.parametrize(
    ("ratio", "expected"), [("", 10), ("ct", 1600), ("pt", 25.0), ("ct*pt", 4000)]
)
def test_ratios_multiply_what_they_are_named_for(ratio: str, expected: float) -> None:
    value = one(word(DataType.UINT16, ratio=ratio), b"\0\x0a", Ratios(ct=160, pt=2.5))
    assert value == expected


def test_the_offset_comes_after_the_scale_and_the_ratio() -> None:
    metric = word(DataType.INT16, scale=0.5, offset=-40, ratio="ct")
    assert one(metric, b"\0\x0a", Ratios(ct=4)) == 10 * 0.5 * 4 - 40


@pytest.mark.parametrize("kind", [DataType.FLOAT32, DataType.FLOAT64])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("scale", [1, 0.5])
@pytest.mark.parametrize("maximum", [None, 1e9])
def test_what_is_not_finite_is_not_available_and_its_neighbours_are(
    kind: DataType, bad: float, scale: float, maximum: float | None
) -> None:
    size = SIZES[kind]
    metrics = [
        Metric(f"m{place}", place * size, size, kind, scale, maximum=maximum) for place in range(3)
    ]
    for place in range(3):
        values = [1.5, 1.5, 1.5]
        values[place] = bad
        data = struct.pack(f">3{FORMATS[kind][1:]}", *values)
        expected = {f"m{at}": 1.5 * scale for at in range(3)} | {f"m{place}": "not_available"}
        assert decoded(metrics, data, 0, Ratios()) == expected


def test_large_values_whose_sum_overflows_are_values() -> None:
    metrics = [Metric(f"m{at}", 4 * at, 4, DataType.FLOAT64) for at in range(3)]
    data = struct.pack(">3d", 1.7e308, 1.7e308, -1.0)
    assert decoded(metrics, data, 0, Ratios()) == {"m0": 1.7e308, "m1": 1.7e308, "m2": -1.0}


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if SIZES[kind] > 1])
@pytest.mark.parametrize("pattern", ["8000", "7FFF", "FFFF"])
def test_the_pattern_that_means_no_value_is_not_available(
    kind: DataType, order: WordOrder, pattern: str
) -> None:
    filler = "0000" if pattern == "8000" else "FFFF"
    raw = bytes.fromhex(pattern + filler * (SIZES[kind] - 1))
    metric = word(kind, word_order=order, invalid=int.from_bytes(raw), minimum=-1e300)
    assert one(metric, swapped(raw) if order == "little" else raw) == "not_available"
    if not kind.is_float:
        near = (int.from_bytes(raw) ^ 1).to_bytes(len(raw))
        assert isinstance(one(metric, swapped(near) if order == "little" else near), int)


@given(st.integers(-32768, 32767))
@example(-100)
@example(100)
@example(101)
def test_limits_belong_to_the_values_that_they_name(raw: int) -> None:
    metric = word(DataType.INT16, scale=0.1, minimum=-10, maximum=10)
    value = one(metric, struct.pack(">h", raw))
    assert value == (raw * 0.1 if -10 <= raw * 0.1 <= 10 else "out_of_range")


def test_limits_are_meant_before_the_ratios() -> None:
    metric = word(DataType.UINT16, maximum=5, ratio="ct")
    assert one(metric, b"\0\5", Ratios(ct=160)) == 800
    assert one(metric, b"\0\6", Ratios(ct=160)) == "out_of_range"


@pytest.mark.parametrize(
    ("raw", "thousandths"),
    [
        *((0, 0), (1, 1), (999, 999)),
        *((1000, 1000), (1001, 999), (1999, 1)),
        *((2000, 0), (2001, 1), (2999, 999)),
        *((3000, 1000), (3001, 999), (3999, 1)),
        *((4000, None), (65535, None)),
    ],
)
def test_a_nexus_power_factor_is_a_magnitude_in_four_bands(
    raw: int, thousandths: int | None
) -> None:
    value = one(word(DataType.UINT16, scale=0.001, code="f8_pf"), raw.to_bytes(2))
    if thousandths is None:
        assert value == "decode_error"
    else:
        assert value == pytest.approx(thousandths / 1000)


@given(st.integers(-32768, -1))
def test_a_negative_power_factor_code_is_none(raw: int) -> None:
    metric = word(DataType.INT16, scale=0.001, code="f8_pf")
    assert one(metric, struct.pack(">h", raw)) == "decode_error"


@pytest.mark.parametrize(
    ("code", "registers", "value"),
    [
        ("bcd", "1234 5678", 12345678),
        ("bcd", "0000 0000", 0),
        ("bcd", "9999 9999", 99999999),
        ("bcd", "1234 567A", "decode_error"),
        ("bcd", "F234 5678", "decode_error"),
        ("mod10k", "0001 0000", 10000),
        ("mod10k", "270F 270F", 99999999),
        ("mod10k", "0000 2710", "decode_error"),
        ("mod10k", "FFFF 0000", "decode_error"),
    ],
)
@pytest.mark.parametrize("order", ["big", "little"])
def test_decimal_codes_are_read_digit_by_digit(
    code: Code, registers: str, value: Value, order: WordOrder
) -> None:
    data = bytes.fromhex(registers)
    metric = word(DataType.UINT32, code=code, word_order=order)
    assert one(metric, swapped(data) if order == "little" else data) == value


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"NEXUS   ", "NEXUS"),
        (b"AB\0DEFGH", "AB"),
        (b"\0\0\0\0\0\0\0\0", ""),
        (b"caf\xe9    ", "caf\ufffd"),
    ],
)
@pytest.mark.parametrize("order", ["big", "little"])
def test_a_text_ends_at_the_first_nul_and_has_no_word_order(
    data: bytes, text: str, order: WordOrder
) -> None:
    assert one(Metric("m", 0, 4, DataType.STRING, word_order=order), data) == text


@given(st.lists(st.booleans(), min_size=1, max_size=200), st.data())
def test_bits_are_taken_from_the_lowest_of_the_first_byte_on(
    bits: list[bool], data: st.DataObject
) -> None:
    wanted = data.draw(st.lists(st.integers(0, len(bits) - 1), min_size=1, unique=True))
    assume(max(wanted) - min(wanted) < 2000)
    metrics = [Metric(f"b{at}", at, 1, DataType.UINT16, function_code=1) for at in wanted]
    (batch,) = plan(metrics, max_registers=125, max_gap=200)
    taken = bits[batch.address : batch.address + batch.count]
    number = sum(bit << place for place, bit in enumerate(taken))
    decoder = compile_batch(batch, Ratios())
    assert isinstance(decoder, BitDecoder)
    values, gaps = decoder.decode(number.to_bytes((len(taken) + 7) // 8, "little"))
    assert gaps == {}
    assert dict(zip(decoder.names, values, strict=True)) == {f"b{at}": bits[at] for at in wanted}
