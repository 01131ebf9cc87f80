"""The shipped maps: what they hold, and that they are what the facts give."""

import csv
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from emdc.meters import library
from emdc.meters.register_map import DataType, Metric, RegisterMap

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "make_maps.py"
NAMES = ("nexus-1272", "eaton-pxm-4000")
OLD_METRICS = (
    *("Voltage_AN", "Voltage_BN", "Voltage_CN", "Current_N", "VA", "VAR", "W_A", "W_B", "W_C"),
    *("W", "freq", "pf_A", "pf_B", "pf_C", "pf", "Angle_V_AN", "Angle_V_BN", "Angle_V_CN"),
    *("Angle_I_A", "Angle_I_B", "Angle_I_C"),
)


def by_name(found: RegisterMap) -> dict[str, Metric]:
    return {metric.name: metric for metric in found.metrics}


@pytest.fixture(name="nexus")
def _nexus() -> dict[str, Metric]:
    return by_name(library.find("nexus-1272"))


@pytest.fixture(name="eaton")
def _eaton() -> dict[str, Metric]:
    return by_name(library.find("eaton-pxm-4000"))


def test_the_committed_workbooks_are_what_the_facts_give() -> None:
    done = subprocess.run(
        [sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_map_loads_without_a_warning(name: str) -> None:
    found = library.find(name)
    assert found.warnings == ()
    assert found.model
    assert found.vendor


@pytest.mark.parametrize("name", NAMES)
def test_the_old_metrics_come_first_under_their_old_names(name: str) -> None:
    found = library.find(name).metrics
    assert tuple(metric.name for metric in found[: len(OLD_METRICS)]) == OLD_METRICS


@pytest.mark.parametrize("name", NAMES)
def test_every_row_says_how_certain_it_is(name: str) -> None:
    assert all(metric.certainty for metric in library.find(name).metrics)


@pytest.mark.parametrize("name", NAMES)
def test_currents_line_voltages_and_energy_are_in_every_map(name: str) -> None:
    found = by_name(library.find(name))
    assert {"Current_A", "Current_B", "Current_C"} <= set(found)
    assert {"Voltage_AB", "Voltage_BC", "Voltage_CA"} <= set(found)
    assert found["Wh_delivered"].kind == "counter"
    assert found["Wh_delivered"].unit == "Wh"


@pytest.mark.parametrize(
    ("facts", "name"),
    [("nexus_1252_1262_1272", "nexus-1272"), ("eaton_pxm4000_6000_8000", "eaton-pxm-4000")],
)
def test_every_row_agrees_with_its_fact(facts: str, name: str) -> None:
    path = ROOT / "tools" / "meters" / f"{facts}.csv"
    with path.open(newline="", encoding="utf-8") as file:
        known = {
            (int(fact["address"]), int(fact["registers"]), fact["type"], fact["unit"])
            for fact in csv.DictReader(file)
        }
    for metric in library.find(name).metrics:
        assert (metric.address, metric.size, metric.data_type.value, metric.unit) in known


def test_the_nexus_reads_as_its_users_know_it(nexus: dict[str, Metric]) -> None:
    for name, address in (("Voltage_AN", 179), ("Current_N", 193)):
        metric = nexus[name]
        assert (metric.address, metric.size) == (address, 2)
        assert (metric.scale, metric.data_type) == (1.52587890625e-05, DataType.INT32)


def test_the_nexus_multiplies_secondary_values_by_the_right_ratio(
    nexus: dict[str, Metric],
) -> None:
    ratios = {name: metric.ratio for name, metric in nexus.items()}
    assert ratios["Voltage_AB"] == ratios["Voltage_CN"] == "pt"
    assert ratios["Current_A"] == ratios["Current_N"] == "ct"
    assert ratios["W"] == ratios["VAR_B"] == ratios["VA"] == "ct*pt"
    assert ratios["freq"] == ratios["pf"] == ratios["VAh"] == ratios["Wh_delivered"] == ""


def test_the_nexus_power_factor_and_energies_have_their_codes(nexus: dict[str, Metric]) -> None:
    assert {nexus[name].code for name in ("pf", "pf_A", "pf_B", "pf_C")} == {"f8_pf"}
    assert (nexus["VAh"].code, nexus["VAh"].address) == ("bcd", 2849)
    delivered = nexus["Wh_delivered"]
    assert (delivered.code, delivered.address, delivered.scale) == ("mod10k", 53266, 1000)


def test_the_eaton_map_has_the_corrected_addresses(eaton: dict[str, Metric]) -> None:
    assert (eaton["pf_B"].address, eaton["pf_C"].address) == (4692, 4694)
    assert eaton["Angle_V_CN"].address == 11463


def test_the_eaton_energies_are_whole_and_say_what_is_not_known(eaton: dict[str, Metric]) -> None:
    for name in ("Wh_delivered", "Wh_received", "VAh"):
        assert eaton[name].data_type is DataType.INT64
        assert eaton[name].scale == 1
        assert "word order unverified" in eaton[name].certainty


def test_what_can_fall_is_no_counter(eaton: dict[str, Metric]) -> None:
    assert {eaton["Wh_net"].kind, eaton["VARh_net"].kind} == {"gauge"}


@pytest.mark.parametrize(
    ("name", "gap", "reads"), [("nexus-1272", 16, 4), ("eaton-pxm-4000", 32, 3)]
)
def test_no_hole_between_blocks_is_small_enough_to_be_read(name: str, gap: int, reads: int) -> None:
    found = library.find(name)
    assert found.max_gap == gap
    ends = sorted((metric.address, metric.address + metric.size) for metric in found.metrics)
    holes = [later[0] - earlier[1] for earlier, later in itertools.pairwise(ends)]
    assert sum(hole > gap for hole in holes) == reads - 1
    assert not [hole for hole in holes if gap / 2 < hole <= gap * 4]
