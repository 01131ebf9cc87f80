"""The shipped maps: what they hold, and that they are what the facts give."""

import asyncio
import csv
import itertools
import subprocess
import sys
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import openpyxl
import pytest

from emdc.meters import library
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.plan import plan
from emdc.meters.reads import want
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.words import Ratios
from emdc.modbus import LinkSettings
from emdc.modbus.server import serve
from emdc.reading import MeterReading
from emdc.synthetic.simulator import Simulator
from tests.modbus.asking import links

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "make_maps.py"
DATA = ROOT / "tools" / "meters"
NAMES = tuple(name for name, _ in library.names())
OLD = ("nexus-1272", "eaton-pxm-4000")
OLD_METRICS = (
    *("Voltage_AN", "Voltage_BN", "Voltage_CN", "Current_N", "VA", "VAR", "W_A", "W_B", "W_C"),
    *("W", "freq", "pf_A", "pf_B", "pf_C", "pf", "Angle_V_AN", "Angle_V_BN", "Angle_V_CN"),
    *("Angle_I_A", "Angle_I_B", "Angle_I_C"),
)
LEVELS = ("verified", "vendor text", "single source", "inferred", "unverified")
NOW = datetime(2026, 9, 21, 12, tzinfo=UTC)


@lru_cache(maxsize=64)
def shipped(name: str, *, unverified: bool = False) -> RegisterMap:
    return library.find(name, unverified=unverified)


def facts(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def sheets(name: str) -> list[str]:
    path = ROOT / "src" / "emdc" / "meters" / "maps" / f"{name}.xlsx"
    return openpyxl.load_workbook(path, read_only=True).sheetnames


def level(metric: Metric) -> str:
    return metric.certainty.split(":")[0].split(";")[0]


def by_name(found: RegisterMap) -> dict[str, Metric]:
    return {metric.name: metric for metric in found.metrics}


@pytest.fixture(name="nexus")
def _nexus() -> dict[str, Metric]:
    return by_name(shipped("nexus-1272"))


@pytest.fixture(name="eaton")
def _eaton() -> dict[str, Metric]:
    return by_name(shipped("eaton-pxm-4000"))


def test_the_committed_files_are_what_the_facts_give() -> None:
    done = subprocess.run(
        [sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_meter_with_facts_has_a_map_and_sunspec_needs_none() -> None:
    known = {path.stem for path in (DATA / "facts").glob("*.csv")}
    assert {name for name in known if not name.startswith("sunspec-")} == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_map_loads_without_a_warning(name: str) -> None:
    found = shipped(name)
    assert found.warnings == ()
    assert found.model
    assert found.vendor
    assert not found.unverified
    more = shipped(name, unverified=True)
    if "Unverified" in sheets(name):
        assert more.warnings == ()
        assert more.unverified
    assert more.metrics[: len(found.metrics)] == found.metrics
    assert len(more.metrics) == len(found.metrics) + len(more.unverified)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_says_how_certain_it_is_and_stands_in_the_sheet_for_it(name: str) -> None:
    kept = {"eaton-pxm-4000": {"pf_B", "pf_C", "Angle_V_CN"}}.get(name, set())
    found = shipped(name, unverified=True)
    for metric in found.metrics:
        assert level(metric) in LEVELS
        if level(metric) in ("inferred", "unverified"):
            assert (metric.name in found.unverified) == (metric.name not in kept)
    if name not in (
        *OLD,
        "eig-shark-200",
    ):  # those have sure rows beside unsure ones, or many reads
        unsure = {metric.name for metric in found.metrics if level(metric) in LEVELS[3:]}
        assert found.unverified == unsure


@pytest.mark.parametrize("name", NAMES)
def test_a_name_means_the_same_in_every_map(name: str) -> None:
    meanings = {row["metric"]: row for row in facts("names")}
    order = list(meanings)
    for sheet in (shipped(name).metrics, shipped(name, unverified=True).metrics):
        assert {metric.name for metric in sheet} <= set(meanings)
    for metric in shipped(name, unverified=True).metrics:
        meaning = meanings[metric.name]
        assert metric.unit == meaning["unit"]
        text = metric.data_type is DataType.STRING
        assert metric.kind == ("text" if text else meaning["kind"].replace("text", "gauge"))
    listed = [order.index(metric.name) for metric in shipped(name).metrics]
    assert listed == sorted(listed)


def test_no_two_maps_share_a_name_or_a_model() -> None:
    assert len({name.casefold() for name in NAMES}) == len(NAMES)
    assert len({(shipped(name).vendor, shipped(name).model) for name in NAMES}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_row_agrees_with_its_fact(name: str) -> None:
    known = {
        (int(fact["address"]), int(fact["registers"]), fact["unit"]): fact
        for fact in facts(f"facts/{name}")
    }
    for metric in shipped(name, unverified=True).metrics:
        fact = known[metric.address, metric.size, metric.unit]
        assert str(metric.function_code) in fact["function_code"].split(";")
        decimal = metric.code in ("mod10k", "mod10k_low")
        assert metric.data_type.value == fact["type"] or decimal
        little = fact["word_order"] == "little" and metric.size > 1
        assert little == (metric.word_order == "little" or metric.code == "mod10k_low")
        if not metric.scale_register:
            assert abs(metric.scale) == float(fact["scale"])


@pytest.mark.parametrize("name", NAMES)
def test_every_fact_has_a_row_or_a_reason_why_not(name: str) -> None:
    used = {metric.address for metric in shipped(name, unverified=True).metrics}
    page = (ROOT / "docs" / "meters.md").read_text(encoding="utf-8")
    section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
    left = [line for line in section.splitlines() if line.startswith("- Left out: ")]
    for fact in facts(f"facts/{name}"):
        assert int(fact["address"]) in used or any(fact["metric"] in line for line in left)


@pytest.mark.parametrize("name", NAMES)
def test_reads_keep_to_what_the_meter_allows(name: str) -> None:
    found = shipped(name, unverified=True)
    batches = plan(found.metrics, max_registers=found.max_registers, max_gap=found.max_gap)
    assert max(batch.count for batch in batches) <= found.max_registers
    if name.startswith("eastron-"):
        assert found.max_registers == 80
        assert all(batch.address % 2 == 0 and batch.count % 2 == 0 for batch in batches)
    if name == "dzg-dvh4013":
        read = {at for batch in batches for at in range(batch.address, batch.address + batch.count)}
        assert not read & {20, 21, 22, 23}
        assert {m.group for m in found.metrics if m.name in ("W_import", "W_export")} == {"power"}


@pytest.mark.parametrize("name", NAMES)
def test_sentinels_are_as_wide_as_their_registers_and_no_reading(name: str) -> None:
    for metric in shipped(name, unverified=True).metrics:
        for pattern in metric.invalid:
            assert pattern.bit_length() in (16 * metric.size, 16 * metric.size - 1)


@pytest.mark.parametrize(
    ("name", "metric", "patterns"),
    [
        ("abb-b23-b24", "W", (0x7FFFFFFF,)),
        ("abb-b23-b24", "freq", (0xFFFF,)),
        ("abb-b23-b24", "Wh_delivered", (0xFFFFFFFFFFFFFFFF,)),
        ("socomec-diris-a10", "pf", (0x7FFFFFFF,)),
        ("sma-inverter", "W", (0x80000000,)),
        ("eig-shark-200", "THD_V_AN", (0xFFFF,)),
        ("ion-6200", "Voltage_AN", (0xFFFF,)),
        ("eastron-sdm630", "W", ()),
    ],
)
def test_known_patterns_mean_no_value(name: str, metric: str, patterns: tuple[int, ...]) -> None:
    assert by_name(shipped(name))[metric].invalid == patterns


def same(metric: Metric, read: object, shown: object) -> bool:
    """Whether a value that was read is the one shown, as exactly as its registers allow."""
    if isinstance(shown, str) or metric.data_type is DataType.STRING:
        return read == str(shown)[: 2 * metric.size]
    assert isinstance(read, int | float)
    assert isinstance(shown, int | float)
    if metric.code == "f8_pf":
        shown = abs(shown)
    step = 0 if metric.data_type.is_float else abs(metric.scale)
    return abs(read - shown) <= 0.51 * step + 1e-6 * abs(shown)


@pytest.mark.parametrize("name", NAMES)
def test_a_simulated_meter_reads_back_over_tcp(name: str) -> None:
    found = shipped(name, unverified=True)

    async def read(simulator: Simulator) -> MeterReading:
        server = await serve(simulator.answer, "127.0.0.1", 0)
        try:
            with links() as opened:
                link = opened.link("127.0.0.1", server.port, LinkSettings())
                subject = Meter(name, found, link, MeterSettings(timeout_s=30), clock=lambda: NOW)
                return await subject.read(want(metric.name for metric in found.metrics))
        finally:
            server.close()

    counters = (metric.name for metric in found.metrics if metric.kind == "counter")
    # Values that the narrowest counter can hold: whole kWh in four digits and four more.
    fixed = {metric: 12_345_000 + 1000 * number for number, metric in enumerate(counters)}
    simulator = Simulator(found, clock=NOW.timestamp, fixed=fixed)
    reading = asyncio.run(read(simulator))
    assert reading.gaps == {}
    values = dict(zip(reading.metrics, reading.values, strict=True))
    assert set(values) == {metric.name for metric in found.metrics}
    wrong = [
        (metric.name, values[metric.name], simulator.value(metric.name))
        for metric in found.metrics
        if not same(metric, values[metric.name], simulator.value(metric.name))
    ]
    assert wrong == []


def test_the_shark_and_the_ion_take_scales_from_the_meter() -> None:
    shark = by_name(shipped("eig-shark-100"))
    assert shark["Wh_delivered"].scale_register == "cfg_energy_scale; -cfg_energy_decimals"
    assert (shark["cfg_energy_scale"].bits, shark["cfg_energy_decimals"].bits) == ((4, 6), (0, 2))
    assert (shark["Wh_received"].scale, shark["Wh_received"].minimum) == (-1, 0)
    ion = by_name(shipped("ion-6200"))
    assert ion["W_B"].scale_register == "-cfg_power_scale"
    assert (ion["W_B"].scale, ion["cfg_power_scale"].offset) == (1000, -3)


def test_the_nexus_can_be_asked_for_its_ratios() -> None:
    found = shipped("nexus-1272")
    assert found.ct_ratio == "CT_numerator/CT_denominator"
    assert found.pt_ratio == "PT_numerator/PT_denominator"

    async def read() -> MeterReading:
        fixed = {"CT_numerator": 400, "CT_denominator": 5, "PT_numerator": 120, "PT_denominator": 1}
        simulator = Simulator(found, clock=NOW.timestamp, fixed={**fixed, "Current_A": 2.5})
        server = await serve(simulator.answer, "127.0.0.1", 0)
        try:
            with links() as opened:
                link = opened.link("127.0.0.1", server.port, LinkSettings())
                settings = MeterSettings(timeout_s=30, ratios=Ratios("meter", "meter"))
                subject = Meter("m", found, link, settings, clock=lambda: NOW)
                return await subject.read(want(["Current_A"]))
        finally:
            server.close()

    reading = asyncio.run(read())
    assert (reading.metrics, reading.values) == (("Current_A",), (200,))


@pytest.mark.parametrize("name", OLD)
def test_the_old_metrics_come_first_under_their_old_names(name: str) -> None:
    found = shipped(name).metrics
    assert tuple(metric.name for metric in found[: len(OLD_METRICS)]) == OLD_METRICS


@pytest.mark.parametrize("name", OLD)
def test_currents_line_voltages_and_energy_are_in_the_old_maps(name: str) -> None:
    found = by_name(shipped(name))
    assert {"Current_A", "Current_B", "Current_C"} <= set(found)
    assert {"Voltage_AB", "Voltage_BC", "Voltage_CA"} <= set(found)
    assert found["Wh_delivered"].kind == "counter"
    assert found["Wh_delivered"].unit == "Wh"


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


@pytest.mark.parametrize("name", NAMES)
def test_what_can_fall_is_no_counter_and_no_counter_is_negative(name: str) -> None:
    for metric in shipped(name, unverified=True).metrics:
        assert metric.kind != "counter" or "_net" not in metric.name
        assert metric.kind != "counter" or metric.minimum == 0


def test_the_ion_8600_begins_again_after_99999999_kwh() -> None:
    ion = by_name(shipped("ion-8600"))
    assert ion["Wh_delivered"].modulus() == 100_000_000 * 1000


@pytest.mark.parametrize(
    ("name", "gap", "reads"), [("nexus-1272", 16, 5), ("eaton-pxm-4000", 32, 3)]
)
def test_no_hole_between_blocks_is_small_enough_to_be_read(name: str, gap: int, reads: int) -> None:
    found = shipped(name)
    assert found.max_gap == gap
    ends = sorted((metric.address, metric.address + metric.size) for metric in found.metrics)
    holes = [later[0] - earlier[1] for earlier, later in itertools.pairwise(ends)]
    assert sum(hole > gap for hole in holes) == reads - 1
    assert not [hole for hole in holes if gap / 2 < hole <= gap * 4]
