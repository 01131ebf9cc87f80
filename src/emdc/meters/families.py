"""What a metric measures, by its name and unit: its family, its place in the circuit, its limits.

Names are those of the shipped maps first (`Voltage_AN`, `W_B`, `Wh_delivered`); a user's own are
understood where they begin with a known word, else by their unit alone. Used by `lint`, which looks
at maps, and by `plausible`, which looks at values. Pure.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from emdc.reading import Kind


class Family(NamedTuple):
    """What is common to all metrics of one physical quantity."""

    name: str
    unit: str
    """The base unit: values in kV are compared in V."""
    low: float = float("-inf")
    high: float = float("inf")
    """What a meter at a building can say, in the base unit."""
    kind: Kind = "gauge"
    ratio: str = ""
    """What a secondary value of it is multiplied by, as the column Ratio has it."""


# Line to neutral from a secondary of 20 V to medium voltage; a grid is near 50 or 60 Hz.
FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        Family("Voltage", "V", 20, 20_000, ratio="pt"),
        Family("Current", "A", 0, 100_000, ratio="ct"),
        Family("W", "W", -1e9, 1e9, ratio="ct*pt"),
        Family("VAR", "VAR", -1e9, 1e9, ratio="ct*pt"),
        Family("VA", "VA", 0, 1e9, ratio="ct*pt"),
        Family("pf", "", -1, 1),
        Family("freq", "Hz", 45, 65),
        Family("Angle", "deg", -360, 360),
        Family("THD", "%"),
        Family("Wh", "Wh", kind="counter", ratio="ct*pt"),
        Family("VARh", "VARh", kind="counter", ratio="ct*pt"),
        Family("VAh", "VAh", kind="counter", ratio="ct*pt"),
    )
}

_WORDS: Final[Mapping[str, str]] = {
    **{name.casefold(): name for name in FAMILIES},
    **dict.fromkeys(("volt", "volts"), "Voltage"),
    **dict.fromkeys(("amps", "amperes"), "Current"),
    **dict.fromkeys(("kw", "watt", "watts"), "W"),
    **dict.fromkeys(("frequency", "hz"), "freq"),
    **{f"k{name.casefold()}": name for name in ("VAR", "VA", "Wh", "VARh", "VAh")},
}
"""First word of a name → its family."""
_LETTERS: Final[Mapping[str, str]] = {"V": "Voltage", "U": "Voltage", "I": "Current"}
"""The same for a letter, which counts only when a place follows it."""

_PHASES: Final = {"L1": "A", "L2": "B", "L3": "C"}
PLACES: Final = ("AN", "BN", "CN", "AB", "BC", "CA", "A", "B", "C")
_WHOLE: Final = frozenset({"total", "sum", "avg", "LN", "LL", "delivered", "received"})
"""Words behind a family that leave it an ordinary value of the whole circuit."""
# What map writers add to a name without meaning another quantity.
_ORNAMENT: Final = re.compile(r"scaled|fine|displacement|T\d+|\d+bitRTU|u?int\d+|float\d*|1s")

_UNITS: Final[Mapping[str, str]] = {
    **{family.unit.casefold(): family.unit for family in FAMILIES.values() if family.unit},
    "°": "deg",
    "degree": "deg",
    "degrees": "deg",
}
_PREFIXES: Final[Mapping[str, float]] = {"k": 1e3, "M": 1e6, "G": 1e9, "m": 1e-3}


class Measured(NamedTuple):
    """What one metric measures."""

    family: Family | None
    """None: neither the name nor the unit says it."""
    place: str = ""
    """One of PLACES, `LN` or `LL` for an average of voltages; empty for a whole circuit."""
    is_plain: bool = False
    """An ordinary value now: no maximum, no demand, no share of something else."""
    by_name: bool = False
    """The name says it; else only the unit does."""


@lru_cache(maxsize=4096)
def measured(name: str, unit: str = "") -> Measured:
    """What a metric of this name and unit measures."""
    first, *rest = (word for word in re.split(r"[_\s.-]+", name) if word) if name else ("",)
    words = [_PHASES.get(word, word) for word in rest if not _ORNAMENT.fullmatch(word)]
    place = next((word for word in words if word in PLACES), "")
    family = _WORDS.get(first.casefold()) or (_LETTERS.get(first, "") if place else "")
    if not family:
        base, _ = base_unit(unit)
        known = next((one for one in FAMILIES.values() if one.unit == base and base), None)
        return Measured(known, place)
    others = [word for word in words if word != place]
    if not place and set(others) & {"LN", "LL"}:
        place = "LN" if "LN" in others else "LL"
    return Measured(FAMILIES[family], place, set(others) <= _WHOLE, by_name=True)


def base_unit(unit: str) -> tuple[str, float]:
    """The unit without its prefix as FAMILIES spells it, and how many of it one `unit` is.

    An unknown unit comes back as it is, with 1.
    """
    text = unit.strip()
    if text.casefold() in _UNITS:
        return _UNITS[text.casefold()], 1.0
    if text[:1] in _PREFIXES and text[1:].casefold() in _UNITS:
        return _UNITS[text[1:].casefold()], _PREFIXES[text[0]]
    return text, 1.0
