"""Which quantity of a synthetic installation a metric shows, by its name and unit.

Names are those of the shipped maps first; a user's own names are understood by their unit, so that
any map can be simulated. Pure.
"""

import re
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from emdc.synthetic.waveform import COMMISSIONED, Site, state


class Quantity(NamedTuple):
    """Where a metric's value comes from: `state[key] * factor`."""

    key: str
    factor: float = 1.0


# What map writers add to a name without meaning another quantity.
_ORNAMENT: Final = re.compile(
    r"_(?:scaled|fine|partial|demand|second|T\d+|\d+bitRTU|u?int\d+|float\d*|1s)(?=_|$)"
)
_SYNONYMS: Final = (
    (re.compile(r"^k(?=(?:W|VAR|VA)h)"), ""),
    (re.compile(r"^pf_(?:displacement|avg_total)"), "pf"),
    (re.compile(r"^(?:frequency|hz)$", re.IGNORECASE), "freq"),
    (re.compile(r"^VARh_(?:lagging|Q1)"), "VARh_delivered"),
    (re.compile(r"^VARh_(?:leading|Q\d)"), "VARh_received"),
    (re.compile(r"^Wh(?=_[ABC]$|$)"), "Wh_delivered"),
    (re.compile(r"^VARh(?=_[ABC]$|$)"), "VARh_delivered"),
)
_BY_UNIT: Final = {
    "v": "Voltage_LN_avg",
    "a": "Current_avg",
    "w": "W",
    "var": "VAR",
    "va": "VA",
    "wh": "Wh_delivered",
    "varh": "VARh_delivered",
    "vah": "VAh",
    "hz": "freq",
    "deg": "Angle_total",
    "°": "Angle_total",
    "%": "THD_I_A",
}
_PREFIXES: Final = {"k": 1e-3, "M": 1e-6, "G": 1e-9, "m": 1e3}
_HEALTHY: Final = re.compile(r"sanity|health|status|alarm|error|fault|cfg_", re.IGNORECASE)
_RATIO: Final = re.compile(r"numerator|denominator|ratio", re.IGNORECASE)


def quantity(name: str, unit: str = "") -> Quantity:
    """The quantity that a metric of this name and unit shows.

    An unknown name is served by its unit; without a known unit it is a constant that only the name
    decides: 0 for a status, 1 for a ratio, else a whole number from 1 to 99.
    """
    base, factor = _base_unit(unit)
    plain = _ORNAMENT.sub("", name)
    for pattern, replacement in _SYNONYMS:
        plain = pattern.sub(replacement, plain)
    for candidate in (name, plain):
        if candidate in _names():
            return Quantity(candidate, factor)
    if base in _BY_UNIT:
        return Quantity(_BY_UNIT[base], factor)
    if _HEALTHY.search(name):
        return Quantity("one", 0.0)
    if _RATIO.search(name):
        return Quantity("one", 1.0)
    return Quantity("one", 1.0 + zlib.crc32(name.encode()) % 99)


def value_of(name: str, unit: str, now: Mapping[str, float]) -> float:
    """The value of a metric in its unit, out of what `state` gave."""
    key, factor = quantity(name, unit)
    return now[key] * factor


def _base_unit(unit: str) -> tuple[str, float]:
    """Lower case unit without its prefix, and the factor from the base unit to this one."""
    if unit.lower() not in _BY_UNIT and unit[1:].lower() in _BY_UNIT and unit[:1] in _PREFIXES:
        return unit[1:].lower(), _PREFIXES[unit[0]]
    return unit.lower(), 1.0


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(state(COMMISSIONED, Site()))
