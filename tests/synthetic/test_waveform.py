import math

import pytest

from emdc.synthetic.quantity import Quantity, quantity, value_of
from emdc.synthetic.waveform import COMMISSIONED, Site, noise, state

NOON = 1790000000.0
INSTANTS = [NOON + 7919.0 * step for step in range(60)]
PHASES = "ABC"


@pytest.fixture(params=[Site(), Site(nominal_v=230.0, nominal_hz=50.0, seed=7)])
def site(request: pytest.FixtureRequest) -> Site:
    found = request.param
    assert isinstance(found, Site)
    return found


@pytest.mark.parametrize("at", INSTANTS[:20])
def test_power_is_voltage_times_current_times_power_factor(at: float, site: Site) -> None:
    now = state(at, site)
    for p in PHASES:
        product = now[f"Voltage_{p}N"] * now[f"Current_{p}"] * now[f"pf_{p}"]
        assert now[f"W_{p}"] == pytest.approx(product)


@pytest.mark.parametrize("at", INSTANTS[:20])
def test_phases_add_up_and_the_power_triangle_closes(at: float, site: Site) -> None:
    now = state(at, site)
    for name in ("W", "VAR", "Wh_delivered", "VARh_delivered", "Wh_received", "Wh_net"):
        assert now[name] == pytest.approx(sum(now[f"{name}_{p}"] for p in PHASES))
    for suffix in ("", "_A", "_B", "_C"):
        squares = now[f"W{suffix}"] ** 2 + now[f"VAR{suffix}"] ** 2
        assert now[f"VA{suffix}"] ** 2 == pytest.approx(squares)
        assert now[f"pf{suffix}"] == pytest.approx(now[f"W{suffix}"] / now[f"VA{suffix}"])


def test_values_are_those_of_an_installation(site: Site) -> None:
    for at in INSTANTS:
        now = state(at, site)
        for p in PHASES:
            assert now[f"Voltage_{p}N"] == pytest.approx(site.nominal_v, rel=0.02)
            assert 0.85 < now[f"pf_{p}"] < 0.97
            assert 0.1 < now[f"W_{p}"] / site.full_load_w < 1.0
        for pair in ("AB", "BC", "CA"):
            assert now[f"Voltage_{pair}"] == pytest.approx(site.nominal_v * math.sqrt(3), rel=0.02)
        assert now["freq"] == pytest.approx(site.nominal_hz, abs=0.03)
        assert all(abs(now[name]) <= 180.0 for name in now if name.startswith("Angle"))
        assert 0.0 < now["Current_N"] < now["Current_A"]


@pytest.mark.parametrize("counter", ["Wh_delivered", "VARh_delivered", "Wh_delivered_B"])
def test_a_counter_is_the_integral_of_its_power(counter: str, site: Site) -> None:
    power = counter.replace("h_delivered", "")
    span, steps = 37.0, 3700
    # middle rectangles of 10 ms: the fastest part has a period of 2 s
    inside = (state(NOON + (step + 0.5) * span / steps, site)[power] for step in range(steps))
    energy = sum(inside) * span / steps / 3600.0
    grown = state(NOON + span, site)[counter] - state(NOON, site)[counter]
    assert grown == pytest.approx(energy, rel=1e-4)


def test_apparent_energy_grows_by_apparent_power_within_one_per_cent(site: Site) -> None:
    for at in INSTANTS[::6]:
        # 120 rectangles of 0.5 s, four for each of the fastest blocks
        energy = sum(state(at + 0.25 + 0.5 * step, site)["VA"] for step in range(120)) / 7200.0
        grown = state(at + 60.0, site)["VAh"] - state(at, site)["VAh"]
        assert grown == pytest.approx(energy, rel=0.01)
    day = state(NOON + 86400.0, site)["VAh"] - state(NOON, site)["VAh"]
    hours = sum(state(NOON + 300.0 * step, site)["VA"] for step in range(288)) / 12.0
    assert day == pytest.approx(hours, rel=0.01)


def test_counters_start_at_zero_and_never_fall(site: Site) -> None:
    assert state(COMMISSIONED, site)["Wh_delivered"] == pytest.approx(0.0, abs=1e-6)
    assert state(0.0, site)["Wh_delivered"] == 0.0
    for name in ("Wh_delivered", "VARh_delivered", "VAh", "Wh_total", "Wh_received"):
        values = [state(at, site)[name] for at in INSTANTS]
        assert values == sorted(values)
        assert values[0] >= 0.0


def test_the_same_instant_gives_the_same_values_and_another_seed_gives_others() -> None:
    assert state(NOON, Site(seed=3)) == state(NOON, Site(seed=3))
    assert state(NOON, Site(seed=3))["W_A"] != state(NOON, Site(seed=4))["W_A"]


def test_a_day_has_a_quiet_and_a_busy_half() -> None:
    hours = [state(NOON + 3600.0 * hour, Site())["W"] for hour in range(24)]
    assert max(hours) > 2.0 * min(hours)


def test_noise_is_continuous_within_one_and_a_whole_block_integrates_to_nothing() -> None:
    for place in range(1000):
        value, _ = noise(place * 0.37, 10.0, 5)
        assert -1.0 <= value <= 1.0
    for block in range(20):
        assert noise(10.0 * block, 10.0, 5) == pytest.approx((0.0, 0.0), abs=1e-9)
        end, integral = noise(10.0 * block + 9.999999, 10.0, 5)
        assert (end, integral) == pytest.approx((0.0, 0.0), abs=1e-5)


@pytest.mark.parametrize(
    ("name", "unit", "expected"),
    [
        ("Voltage_AN", "V", Quantity("Voltage_AN")),
        ("Voltage_AN", "", Quantity("Voltage_AN")),
        ("W", "kW", Quantity("W", 1e-3)),
        ("VAR_B", "kvar", Quantity("VAR_B", 1e-3)),
        ("Current_A", "mA", Quantity("Current_A", 1e3)),
        ("kWh_delivered_int32", "Wh", Quantity("Wh_delivered")),
        ("Wh_delivered_12bitRTU", "Wh", Quantity("Wh_delivered")),
        ("VARh_leading", "VARh", Quantity("VARh_received")),
        ("pf_displacement_C", "", Quantity("pf_C")),
        ("W_demand", "W", Quantity("W")),
        ("W_demand_max", "W", Quantity("W_demand_max")),
        ("Wh", "MWh", Quantity("Wh_delivered", 1e-6)),
        ("Netzspannung", "V", Quantity("Voltage_LN_avg")),
        ("Sanity", "", Quantity("one", 0.0)),
        ("CT_numerator", "", Quantity("one", 1.0)),
    ],
)
def test_a_metric_is_understood_by_its_name_or_else_by_its_unit(
    name: str, unit: str, expected: Quantity
) -> None:
    assert quantity(name, unit) == expected


def test_an_unknown_name_without_a_unit_is_a_whole_number_that_stays() -> None:
    values = {value_of("Tank_Level", "", state(at, Site())) for at in INSTANTS[:3]}
    assert len(values) == 1
    assert 1 <= values.pop() <= 99
