"""Registers become values: every type against bytes that `struct` makes, value by value."""

import math
import struct
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from emdc.meters.orders import reversed_bytes, reversed_words, swapped_bytes
from emdc.meters.plan import plan
from emdc.meters.register_map import ByteOrder, Code, DataType, Metric, WordOrder
from emdc.meters.words import BitDecoder, Ratios, compile_batch, joined
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


def laid(data: bytes, metric: Metric) -> bytes:
    """The registers of one value, high word and byte first, as they lie in the meter."""
    if metric.word_order == "little" and metric.data_type is not DataType.STRING:
        data = swapped(data)
    if metric.byte_order == "little":
        data = b"".join(data[at : at + 2][::-1] for at in range(0, len(data), 2))
    return data


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
        octets: ByteOrder = draw(st.sampled_from(["big", "little"]))
        value = draw(numbers(kind))
        registers += draw(st.binary(min_size=6, max_size=6))[: 2 * draw(st.integers(0, 3))]
        address = 100 + len(registers) // 2
        metric = Metric(
            f"m{index}", address, SIZES[kind], kind, word_order=order, byte_order=octets
        )
        metrics.append(metric)
        registers += laid(struct.pack(FORMATS[kind], value), metric)
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
def test_every_type_in_all_four_orders_is_read(
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
            byte_order=data.draw(st.sampled_from(["big", "little"])),
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


@pytest.mark.parametrize(
    ("words", "octets", "registers"),
    [
        *(("big", "big", "0078 8001"), ("little", "big", "8001 0078")),
        *(("big", "little", "7800 0180"), ("little", "little", "0180 7800")),
    ],
)
def test_the_four_orders_are_those_of_the_letters_abcd_cdab_badc_and_dcba(
    words: WordOrder, octets: ByteOrder, registers: str
) -> None:
    metric = word(DataType.UINT32, word_order=words, byte_order=octets)
    assert one(metric, bytes.fromhex(registers)) == 0x00788001


@pytest.mark.parametrize(("kind", "value"), [(DataType.UINT8, 0xA5), (DataType.INT8, -91)])
def test_an_8_bit_value_with_the_low_byte_first_is_in_the_low_byte(
    kind: DataType, value: int
) -> None:
    assert one(word(kind, byte_order="little"), bytes.fromhex("00A5")) == value


@given(st.binary(min_size=0, max_size=250).filter(lambda data: len(data) % 2 == 0))
def test_exchanging_the_bytes_keeps_the_order_of_the_registers(data: bytes) -> None:
    assert reversed_bytes(swapped_bytes(bytearray(data))) == reversed_words(data)
    assert swapped_bytes(data)[1::2] == data[0::2]
    assert swapped_bytes(data)[0::2] == data[1::2]


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


def test_any_number_of_floats_is_looked_at() -> None:
    metrics = [Metric(f"m{at}", 0, 2, DataType.FLOAT32, scale=at + 1.5) for at in range(5000)]
    for data, value in ((struct.pack(">f", 2), 3.0), (struct.pack(">f", math.nan), None)):
        (batch,) = plan(metrics, max_registers=2, max_gap=0)
        values, gaps = compile_batch(batch, Ratios()).decode(data)
        assert (values[0], len(values), len(gaps)) == (value, 5000, 0 if value else 5000)


@given(layouts(), st.integers(0, 12), st.booleans())
def test_answers_one_behind_the_other_hold_what_each_holds(
    layout: tuple[list[Metric], bytes, Mapping[str, Value]], most: int, unlike: bool
) -> None:
    metrics, registers, _ = layout
    if unlike:  # a pattern that some value has, a value that is not finite, limits, scales
        metrics = [replace(m, scale=0.5, invalid=(0,), maximum=1e6) for m in metrics[::2]]
        registers = registers.replace(b"\0\0", b"\x7f\xf8")
    batches = plan(metrics, max_registers=max(most, 4), max_gap=2)
    decoder = joined(batches, Ratios())
    assert decoder is not None
    parts = [registers[2 * (b.address - 100) :][: 2 * b.count] for b in batches]
    found, gaps = decoder.decode(b"".join(parts))
    assert dict(zip(decoder.names, found, strict=True)) | gaps == decoded(
        metrics, registers, 100, Ratios()
    )


def test_bits_are_not_decoded_with_registers() -> None:
    registers, bits = word(DataType.UINT16), word(DataType.UINT16, function_code=1)
    assert joined(plan([registers, bits], max_registers=9, max_gap=0), Ratios()) is None
    assert joined((), Ratios()) is None


@pytest.mark.parametrize("order", ["big", "little"])
@pytest.mark.parametrize("kind", [kind for kind in FORMATS if SIZES[kind] > 1])
@pytest.mark.parametrize("pattern", ["8000", "7FFF", "FFFF"])
def test_the_pattern_that_means_no_value_is_not_available(
    kind: DataType, order: WordOrder, pattern: str
) -> None:
    filler = "0000" if pattern == "8000" else "FFFF"
    raw = bytes.fromhex(pattern + filler * (SIZES[kind] - 1))
    metric = word(kind, word_order=order, invalid=(int.from_bytes(raw),), minimum=-1e300)
    assert one(metric, swapped(raw) if order == "little" else raw) == "not_available"
    if not kind.is_float:
        near = (int.from_bytes(raw) ^ 1).to_bytes(len(raw))
        assert isinstance(one(metric, swapped(near) if order == "little" else near), int)


def test_each_of_several_patterns_is_no_value_and_nothing_else_is() -> None:
    metric = word(DataType.INT16, invalid=(0x8000, 0x7FFF, 0xFFFF))
    for raw in (-32768, 32767, -1):
        assert one(metric, struct.pack(">h", raw)) == "not_available"
    for raw in (-32767, 32766, 0, 1):
        assert one(metric, struct.pack(">h", raw)) == raw


@pytest.mark.parametrize("kind", FORMATS)
def test_the_usual_pattern_of_a_type_fits_it(kind: DataType) -> None:
    for pattern in kind.no_value:
        metric = word(kind, invalid=kind.no_value)
        assert one(metric, pattern.to_bytes(2 * SIZES[kind])) == "not_available"
        assert one(metric, bytes(2 * SIZES[kind])) == 0


@pytest.mark.parametrize("kind", [DataType.FLOAT32, DataType.FLOAT64])
def test_a_float_pattern_is_compared_bit_by_bit(kind: DataType) -> None:
    """Minus zero equals zero as a number, and a NaN not even itself."""
    minus_zero = int.from_bytes(struct.pack(FORMATS[kind], -0.0))
    metric = word(kind, invalid=(minus_zero,))
    assert one(metric, struct.pack(FORMATS[kind], -0.0)) == "not_available"
    assert one(metric, struct.pack(FORMATS[kind], 0.0)) == 0.0
    assert one(metric, struct.pack(FORMATS[kind], math.nan)) == "not_available"
    assert one(metric, struct.pack(FORMATS[kind], 230.5)) == 230.5


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
        ("mod10k", "000A 0003", 100003),
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
    ("registers", "value"),
    [("0000 0001", 10000), ("0003 000A", 100003), ("2710 0000", "decode_error")],
)
def test_the_low_half_of_a_decimal_value_can_come_first(registers: str, value: Value) -> None:
    assert one(word(DataType.UINT32, code="mod10k_low"), bytes.fromhex(registers)) == value


@pytest.mark.parametrize(
    ("raw", "factor"),
    [
        *((0.95, 0.95), (-0.95, -0.95), (1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)),
        *((1.05, 0.95), (-1.05, -0.95), (2.0, 0.0), (-2.0, 0.0), (1.5, 0.5)),
        *((2.01, "decode_error"), (-3.0, "decode_error")),
    ],
)
@pytest.mark.parametrize("kind", [DataType.FLOAT32, DataType.FLOAT64, DataType.INT16])
def test_a_four_quadrant_power_factor_falls_again_beyond_one(
    kind: DataType, raw: float, factor: Value
) -> None:
    if kind.is_float:
        value = one(word(kind, code="pf4q"), struct.pack(FORMATS[kind], raw))
    else:
        value = one(word(kind, scale=0.001, code="pf4q"), struct.pack(">h", round(raw * 1000)))
    assert value == (factor if isinstance(factor, str) else pytest.approx(factor, abs=1e-6))


@pytest.mark.parametrize("raw", [math.nan, math.inf, -math.inf])
def test_a_four_quadrant_power_factor_that_is_not_finite_is_not_available(raw: float) -> None:
    assert one(word(DataType.FLOAT32, code="pf4q"), struct.pack(">f", raw)) == "not_available"


def test_a_pattern_and_a_turned_sign_go_with_a_four_quadrant_power_factor() -> None:
    metric = word(DataType.FLOAT32, code="pf4q", invalid=(0x7F7FFFFF,), scale=-1)
    assert one(metric, bytes.fromhex("7F7FFFFF")) == "not_available"
    assert one(metric, struct.pack(">f", 1.25)) == -0.75


@pytest.mark.parametrize(
    ("bits", "value"),
    [((0, 0), 1), ((1, 1), 0), ((0, 3), 0x5), ((4, 7), 0xA), ((8, 15), 0xC3), ((0, 15), 0xC3A5)],
)
def test_a_bit_field_is_counted_from_the_lowest_bit(bits: tuple[int, int], value: int) -> None:
    metric = word(DataType.UINT16, bits=bits)
    assert one(metric, bytes.fromhex("C3A5")) == value
    assert one(word(DataType.UINT16, bits=bits, byte_order="little"), b"\xa5\xc3") == value
    assert one(word(DataType.UINT16, bits=bits, scale=10, offset=1), b"\xc3\xa5") == 10 * value + 1


def test_the_pattern_that_means_no_value_is_that_of_all_bits() -> None:
    metric = word(DataType.UINT32, bits=(0, 3), invalid=(0xFFFFFFFF,))
    assert one(metric, b"\xff\xff\xff\xff") == "not_available"
    assert one(metric, b"\xff\xff\xff\x0f") == 15


def test_bit_fields_of_one_register_are_read_side_by_side() -> None:
    metrics = [Metric(f"b{n}", 7, 1, DataType.UINT16, bits=(n, n)) for n in range(16)]
    found = decoded(metrics, bytes.fromhex("8001"), 7, Ratios())
    assert found == {f"b{n}": int(n in (0, 15)) for n in range(16)}


def test_a_value_that_is_too_large_for_a_number_is_out_of_range() -> None:
    metric = word(DataType.UINT16, scale=1e308)
    assert one(metric, b"\xff\xff") == "out_of_range"
    assert one(metric, b"\0\1") == 1e308


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


def test_the_bytes_of_a_text_may_come_the_other_way_round() -> None:
    metric = Metric("m", 0, 3, DataType.STRING, byte_order="little", word_order="little")
    assert one(metric, b"eNux\0s") == "Nexus"
    assert one(metric, b"eNux s") == "Nexus"


def test_a_text_without_a_character_can_mean_no_value() -> None:
    metric = Metric("m", 0, 2, DataType.STRING, invalid=DataType.STRING.no_value)
    assert one(metric, bytes(4)) == "not_available"
    assert one(metric, b"A\0\0\0") == "A"


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
