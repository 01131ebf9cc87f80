"""Hypothesis strategies for maps of any metrics: what their meter shows, what a reading must say.

What is expected is computed here from the raw numbers, not with the program's decoders.
"""

import math
import string
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, NamedTuple

from hypothesis import strategies as st

from emdc.meters.register_map import ByteOrder, Code, DataType, Metric, RegisterMap, WordOrder
from emdc.reading import Value

NUMBERS: Final = [kind for kind in DataType if kind is not DataType.STRING]
INTEGERS: Final = [kind for kind in NUMBERS if not kind.is_float]
UNSIGNED: Final = [kind for kind in INTEGERS if kind.startswith("U")]
ORDERS: Final[list[tuple[WordOrder, ByteOrder]]] = [
    *(("big", "big"), ("little", "big")),
    *(("big", "little"), ("little", "little")),
]


class Put(NamedTuple):
    """One metric, what the simulator shows, and what a reading must say."""

    metric: Metric
    shown: Value
    expected: Value
    beside: tuple["Put", ...] = ()
    """Registers that it needs, and that nobody asks for."""
    sharing: tuple["Put", ...] = ()
    """Other bits of the same number."""


class Plant(NamedTuple):
    """A map, what its meter shows, and what a reading must say of what is wanted."""

    register_map: RegisterMap
    shown: dict[str, Value]
    expected: dict[str, Value]


def bounds(kind: DataType) -> tuple[int, int]:
    bits = 8 if kind in {DataType.UINT8, DataType.INT8} else 16 * (kind.registers or 0)
    return (0, 2**bits - 1) if kind in UNSIGNED else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def metric(draw: st.DrawFn, data_type: DataType, /, **fields: Any) -> Metric:
    """A metric of this type in any of the four orders; its place and name come later."""
    words, octets = draw(st.sampled_from(ORDERS))
    given = {"word_order": words, "byte_order": octets, **fields}
    given.setdefault("function_code", draw(st.sampled_from([3, 4])))
    return Metric("", 0, given.pop("size", data_type.registers), data_type, **given)


@st.composite
def plain(draw: st.DrawFn) -> Put:
    kind = draw(st.sampled_from(INTEGERS))
    invalid = draw(st.sampled_from([(), kind.no_value]))
    low, high = bounds(kind)
    scale = draw(st.sampled_from([1, 1, 10, -1, 0.1, 2.0**-16] if kind.registers != 4 else [1, 10]))
    one = metric(draw, kind, invalid=invalid, scale=scale)
    absent = low if kind not in UNSIGNED else high
    raw = draw(st.integers(low, high))
    if invalid and raw == absent:
        return Put(one, None, "not_available")
    return Put(one, raw * scale, raw * scale)


@st.composite
def absent(draw: st.DrawFn) -> Put:
    kind = draw(st.sampled_from(NUMBERS))
    first = draw(st.integers(0, 255)) << 8 if kind in {DataType.UINT8, DataType.INT8} else 0
    invalid = kind.no_value or (first or 0x7FFFFFFF,)
    return Put(metric(draw, kind, invalid=invalid), None, "not_available")


@st.composite
def floats(draw: st.DrawFn) -> Put:
    kind = draw(st.sampled_from([DataType.FLOAT32, DataType.FLOAT64]))
    value = draw(st.floats(width=32) if kind is DataType.FLOAT32 else st.floats())
    one = metric(draw, kind)
    if not math.isfinite(value):
        return Put(one, None, "not_available")
    return Put(one, value, value)


@st.composite
def bit_fields(draw: st.DrawFn) -> Put:
    """Two or three fields of one number, which fill it."""
    kind = draw(st.sampled_from(UNSIGNED))
    width = 8 if kind is DataType.UINT8 else 16 * (kind.registers or 0)
    cuts = sorted(draw(st.sets(st.integers(1, width - 1), min_size=1, max_size=2)))
    whole = metric(draw, kind)
    fields = [slot for slot in whole.__slots__ if slot != "bits"]
    puts = []
    for first, end in pairwise([0, *cuts, width]):
        value = draw(st.integers(0, 2 ** (end - first) - 1))
        same = {slot: getattr(whole, slot) for slot in fields}
        puts.append(Put(Metric(**same, bits=(first, end - 1)), value, value))
    return puts[0]._replace(sharing=tuple(puts[1:]))


@st.composite
def decimals(draw: st.DrawFn) -> Put:
    code: Code = draw(st.sampled_from(["bcd", "mod10k", "mod10k_low"]))
    kind = draw(st.sampled_from([DataType.UINT32, DataType.UINT64]))
    order: WordOrder = "big" if code == "mod10k_low" else draw(st.sampled_from(["big", "little"]))
    value = draw(st.integers(0, 10 ** (4 * (kind.registers or 0)) - 1))
    scale = draw(st.sampled_from([1, 1000]))
    one = metric(draw, kind, code=code, word_order=order, scale=scale, kind="counter")
    return Put(one, value * scale, value * scale)


@st.composite
def power_factors(draw: st.DrawFn) -> Put:
    thousandths = draw(st.integers(-2000, 2000))
    if draw(st.booleans()):
        value = abs(thousandths) % 1001
        return Put(
            metric(draw, DataType.UINT16, code="f8_pf", scale=0.001), value * 0.001, value * 0.001
        )
    if draw(st.booleans()):
        one = metric(draw, DataType.INT16, code="pf4q", scale=0.001)
        folded = thousandths
        if abs(thousandths) > 1000:
            folded = 2000 - thousandths if thousandths > 0 else -2000 - thousandths
        return Put(one, thousandths * 0.001, folded * 0.001)
    (value32,) = struct.unpack(">f", struct.pack(">f", thousandths / 1000))
    expected = value32
    if abs(value32) > 1:
        expected = 2 - value32 if value32 > 0 else -2 - value32
    return Put(metric(draw, DataType.FLOAT32, code="pf4q"), value32, expected)


@st.composite
def texts(draw: st.DrawFn) -> Put:
    size = draw(st.integers(1, 20))
    letters = string.ascii_letters + string.digits + " .-_/"
    text = draw(st.text(letters, max_size=2 * size)).strip()
    return Put(metric(draw, DataType.STRING, size=size, kind="text"), text, text)


@st.composite
def scaled(draw: st.DrawFn) -> Put:
    kind = draw(st.sampled_from(INTEGERS))
    low, high = bounds(kind)
    power = draw(st.integers(-10, 10))
    # Beyond this the simulator, which works with floats, is not exact; a reading is.
    most = 2**50 if power < 0 else 2**64
    raw = draw(st.integers(max(low, -most), min(high, most)))
    one = metric(draw, kind, scale_register="?")
    register = metric(draw, DataType.INT16, invalid=(0x8000,))
    value = raw * 10**power if power >= 0 else raw / 10**-power
    if draw(st.integers(0, 9)) == 0:
        return Put(one, value, "not_available", (Put(register, None, "not_available"),))
    return Put(one, value, value, (Put(register, power, power),))


@st.composite
def formatted(draw: st.DrawFn) -> Put:
    byte = draw(st.integers(0, 255))
    places = draw(st.sampled_from([(0, 7), (8, 15)]))
    raw = draw(st.integers(-(2**31), 2**31 - 1))
    power = 3 * min(byte >> 3 & 3, 2) - (byte & 7)
    value = raw * 10**power if power >= 0 else raw / 10**-power
    one = metric(draw, DataType.INT32, code="f64", scale_register="?")
    register = metric(draw, DataType.UINT16, bits=places)
    return Put(one, value, value, (Put(register, byte, byte),))


@st.composite
def single_bits(draw: st.DrawFn) -> Put:
    code, value = draw(st.sampled_from([1, 2])), draw(st.integers(0, 1))
    return Put(metric(draw, DataType.UINT16, function_code=code), value, value)


KINDS: Final = {
    "plain": plain(),
    "absent": absent(),
    "floats": floats(),
    "bit fields": bit_fields(),
    "decimals": decimals(),
    "power factors": power_factors(),
    "texts": texts(),
    "scaled": scaled(),
    "formatted": formatted(),
    "single bits": single_bits(),
}


@st.composite
def plants(draw: st.DrawFn) -> Plant:
    """Up to a dozen metrics of any kind, with holes between them."""
    puts = draw(st.lists(st.one_of(*KINDS.values()), min_size=1, max_size=12))
    holes = draw(st.lists(st.integers(0, 5), min_size=40, max_size=40))
    return laid_out(puts, iter(holes), max_gap=draw(st.sampled_from([0, 3, 120])))


def laid_out(puts: list[Put], holes: Iterator[int], *, max_gap: int) -> Plant:
    address = 10
    metrics, shown, expected = list[Metric](), dict[str, Value](), dict[str, Value]()

    def place(one: Metric, name: str, hole: int | None = None, **more: Any) -> None:
        nonlocal address
        address += next(holes) if hole is None else hole
        fields = {slot: getattr(one, slot) for slot in one.__slots__}
        metrics.append(Metric(**{**fields, "name": name, "address": address, **more}))
        address += one.size

    for index, put in enumerate(puts):
        name = f"m{index}"
        more: dict[str, Any] = {"scale_register": f"{name}_SF"} if put.beside else {}
        place(put.metric, name, **more)
        shown[name], expected[name] = put.shown, put.expected
        for number, other in enumerate(put.sharing):
            address = metrics[-1].address
            place(other.metric, f"{name}_{number}", hole=0)
            shown[f"{name}_{number}"] = expected[f"{name}_{number}"] = other.shown
        for register in put.beside:
            place(register.metric, f"{name}_SF")
            shown[f"{name}_SF"] = register.shown
    return Plant(RegisterMap("any", tuple(metrics), max_gap=max_gap), shown, expected)
