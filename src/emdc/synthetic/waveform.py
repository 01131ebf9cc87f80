"""A believable three-phase installation as a function of time.

Active and reactive power are sums of cosines and of noise whose integrals are known in closed form;
everything else follows from them, so that one instant is consistent: W = V x I x pf in each phase,
phases add up to totals, W² + VAR² = VA², and an energy counter is the integral of its power. The
same instant and site always give the same values, in any process. Pure.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

COMMISSIONED: Final = 1577836800.0
"""Unix time at which the energy counters stood at zero: the start of 2020, UTC."""

PHASES: Final = ("A", "B", "C")

# Load of a phase as a share of its full load: a mean and (period in s, amplitude). Together with
# the noise it stays between 0.1 and 1, so that no phase ever gives power back.
_MEAN: Final = 0.55
_TERMS: Final = (
    (86400.0, 0.24),
    (43200.0, 0.06),
    (604800.0, 0.04),
    (1020.0, 0.02),
    (97.0, 0.015),
    (11.0, 0.008),
)
_BUSIEST: Final = 21 * 3600.0  # UTC: early afternoon on the west coast of America
_NOISE: Final = ((10.0, 0.012), (2.0, 0.005))  # block in s, amplitude

# Reactive power: what the transformers always take, and what follows the load.
_MAGNETISING: Final = 0.05
_REACTIVE: Final = 0.28

_LINES: Final = ("AB", "BC", "CA")
_VOLTAGE_ANGLES: Final = (0.0, -120.0, 120.0)
_LINE_ANGLES: Final = (30.0, -90.0, 150.0)
_SHARES: Final = (1.0, 0.93, 0.88)
_RECEIVED_WH: Final = 12500.0  # flowed back while the installation was tested, never since


@dataclass(frozen=True, slots=True)
class Site:
    """One installation."""

    nominal_v: float = 277.0
    """Phase to neutral, in V."""
    nominal_hz: float = 60.0
    full_load_w: float = 33000.0
    """Active power of the busiest phase at full load, in W."""
    seed: int = 0
    """Sites of different seeds differ in detail."""


class _Power(NamedTuple):
    """One phase: load now, and its integral since commissioning in seconds."""

    full_w: float
    load: float
    load_s: float
    elapsed_s: float

    @property
    def active(self) -> tuple[float, float]:
        """W and Wh."""
        return self.full_w * self.load, self.full_w * self.load_s / 3600.0

    @property
    def reactive(self) -> tuple[float, float]:
        """VAR and VARh, lagging."""
        now = _MAGNETISING + _REACTIVE * self.load
        total = _MAGNETISING * self.elapsed_s + _REACTIVE * self.load_s
        return self.full_w * now, self.full_w * total / 3600.0


def state(at: float, site: Site) -> dict[str, float]:
    """Every quantity at the unix time `at`, keyed by metric name, in V, A, W, VAR, VA, Hz, °, %.

    Energies in Wh, VARh and VAh. Apparent energy is the vector sum of active and reactive energy:
    it grows always, and by VA within one per cent.
    """
    found: dict[str, float] = {"one": 1.0}
    _frequency(found, at, site)
    active = reactive = active_h = reactive_h = 0.0
    for index, phase in enumerate(PHASES):
        power = _power(at, site, index)
        watts, watt_hours = power.active
        vars_, var_hours = power.reactive
        _add_power(found, f"_{phase}", watts, vars_)
        _add_energy(found, f"_{phase}", watt_hours, var_hours)
        _add_phase(found, at, site, index)
        active, reactive = active + watts, reactive + vars_
        active_h, reactive_h = active_h + watt_hours, reactive_h + var_hours
    _add_power(found, "", active, reactive)
    _add_energy(found, "", active_h, reactive_h)
    _add_lines(found)
    _add_summary(found, site)
    return found


def noise(at: float, block_s: float, seed: int) -> tuple[float, float]:
    """Noise within ±1 at `at`, continuous, and its integral in seconds since any block's start.

    Each block of `block_s` holds one sine of an amplitude that only the block and the seed decide,
    so a whole block adds nothing to the integral.
    """
    block, place = divmod(at / block_s, 1.0)
    amplitude = 2.0 * _share(int(block), seed) - 1.0
    angle = math.tau * place
    integral = amplitude * block_s / math.tau * (1.0 - math.cos(angle))
    return amplitude * math.sin(angle), integral


def _share(number: int, seed: int) -> float:
    """A number from 0 to 1 that looks random: the mixing steps of SplitMix64."""
    mixed = (number * 0x9E3779B97F4A7C15 + seed * 0xD1342543DE82EF95) & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
    mixed = (mixed ^ (mixed >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ (mixed >> 31)) / 0xFFFFFFFFFFFFFFFF


def _power(at: float, site: Site, index: int) -> _Power:
    load, load_s = _MEAN, _MEAN * (at - COMMISSIONED)
    for speed, amplitude, start, sine in _terms(site.seed, index):
        angle = speed * (at - COMMISSIONED) + start
        load += amplitude * math.cos(angle)
        load_s += amplitude / speed * (math.sin(angle) - sine)
    for number, (block_s, amplitude) in enumerate(_NOISE):
        now, integral = noise(at, block_s, site.seed * 31 + index * 7 + number)
        load += amplitude * now
        load_s += amplitude * integral
    if at < COMMISSIONED:
        load_s = 0.0
    full_w = site.full_load_w * _SHARES[index]
    return _Power(full_w, load, load_s, max(0.0, at - COMMISSIONED))


@lru_cache(maxsize=4096)
def _terms(seed: int, index: int) -> tuple[tuple[float, float, float, float], ...]:
    """Speed in 1/s, amplitude, angle at commissioning and its sine, of each cosine of a phase."""
    terms = []
    for number, (period, amplitude) in enumerate(_TERMS):
        # The day is everybody's; what is shorter than an hour differs from phase to phase.
        shift = _BUSIEST if period > 3600.0 else period * _share(number + 10 * index, seed)
        start = -math.tau * shift / period
        terms.append((math.tau / period, amplitude, start, math.sin(start)))
    return tuple(terms)


def _frequency(found: dict[str, float], at: float, site: Site) -> None:
    slow = math.cos(math.tau * at / 313.0)
    found["freq"] = site.nominal_hz + 0.012 * slow + 0.008 * noise(at, 4.0, site.seed + 101)[0]


def _add_power(found: dict[str, float], suffix: str, active: float, reactive: float) -> None:
    found[f"W{suffix}"] = active
    found[f"VAR{suffix}"] = reactive
    found[f"VA{suffix}"] = apparent = math.hypot(active, reactive)
    found[f"pf{suffix}"] = active / apparent if apparent else 1.0


def _add_energy(found: dict[str, float], suffix: str, active: float, reactive: float) -> None:
    received = _RECEIVED_WH * (1.0 if not suffix else 1.0 / 3.0)
    found[f"Wh_delivered{suffix}"] = active
    found[f"Wh_received{suffix}"] = received
    found[f"Wh_net{suffix}"] = active - received
    found[f"Wh_total{suffix}"] = active + received
    found[f"VARh_delivered{suffix}"] = found[f"VARh_total{suffix}"] = reactive
    found[f"VARh_net{suffix}"] = reactive
    found[f"VARh_received{suffix}"] = 0.0
    found[f"VAh{suffix}"] = found[f"VAh_delivered{suffix}"] = math.hypot(active, reactive)
    found[f"VAh_received{suffix}"] = 0.0


def _add_phase(found: dict[str, float], at: float, site: Site, index: int) -> None:
    """Voltage, current, angles and distortion of a phase whose power is known."""
    phase = PHASES[index]
    mood, _ = noise(at, 3.0, site.seed + 211 + index)
    day = math.cos(math.tau * (at / 86400.0 + 0.1 * index))
    drop = found[f"W_{phase}"] / site.full_load_w
    volts = site.nominal_v * (1.006 + 0.006 * day + 0.0015 * mood - 0.008 * drop)
    lag = math.degrees(math.atan2(found[f"VAR_{phase}"], found[f"W_{phase}"]))
    found[f"Voltage_{phase}N"] = volts
    found[f"Current_{phase}"] = found[f"VA_{phase}"] / volts
    # The meter takes phase A's voltage as zero.
    turn = _VOLTAGE_ANGLES[index] + (0.15 * mood if index else 0.0)
    found[f"Angle_V_{phase}N"] = turn
    found[f"Angle_I_{phase}"] = _half_turn(turn - lag)
    found[f"THD_V_{phase}N"] = 1.8 + 0.3 * day + 0.1 * mood
    found[f"THD_I_{phase}"] = 9.0 - 3.0 * drop + 0.3 * mood


def _add_lines(found: dict[str, float]) -> None:
    """Line voltages and their angles, and the current in the neutral, by adding phasors."""
    angle = math.radians
    for pair, turn in zip(_LINES, _LINE_ANGLES, strict=True):
        first, second = (_phasor(found, f"Voltage_{p}N", f"Angle_V_{p}N") for p in pair)
        across = first - second
        found[f"Voltage_{pair}"] = abs(across)
        away = math.atan2(across.imag, across.real) - angle(turn)
        found[f"Angle_V_{pair}"] = turn + math.degrees(math.remainder(away, math.tau))
    currents = (_phasor(found, f"Current_{p}", f"Angle_I_{p}") for p in PHASES)
    found["Current_N"] = abs(sum(currents))


def _phasor(found: Mapping[str, float], size: str, turn: str) -> complex:
    angle = math.radians(found[turn])
    return complex(found[size] * math.cos(angle), found[size] * math.sin(angle))


def _add_summary(found: dict[str, float], site: Site) -> None:
    volts = [found[f"Voltage_{phase}N"] for phase in PHASES]
    amperes = [found[f"Current_{phase}"] for phase in PHASES]
    found["Voltage_LN_avg"] = _mean(volts)
    found["Voltage_LL_avg"] = _mean([found[f"Voltage_{pair}"] for pair in _LINES])
    found["Voltage_AuxN"] = volts[0]
    found["Current_avg"] = _mean(amperes)
    found["Current_total"] = sum(amperes)
    found["Current_G"] = 0.02 * found["Current_N"]
    found["Voltage_imbalance"] = _imbalance(volts)
    found["Current_imbalance"] = _imbalance(amperes)
    found["Angle_total"] = math.degrees(math.atan2(found["VAR"], found["W"]))
    full = site.full_load_w * sum(_SHARES)
    found["W_import"] = found["W"]
    found["W_export"] = 0.0
    found["W_demand_max"] = full
    found["VAR_demand_max"] = full * (_MAGNETISING + _REACTIVE)
    found["VA_demand_max"] = math.hypot(full, found["VAR_demand_max"])


def _half_turn(degrees: float) -> float:
    return math.remainder(degrees, 360.0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _imbalance(values: list[float]) -> float:
    """Largest distance from the mean, in per cent of it. Source: NEMA MG 1, section 14.36."""
    mean = _mean(values)
    return 100.0 * max(abs(value - mean) for value in values) / mean
