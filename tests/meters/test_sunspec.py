"""SunSpec models as metrics: names, scales, guards, and the lengths that a device says."""

import asyncio
import math
from datetime import UTC, datetime

import pytest

from emdc.errors import ConfigError, MeterError
from emdc.meters import sunspec, sunspec_models
from emdc.meters.invert import inverted
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.profile import profile_of
from emdc.meters.reads import Limits, reads_of, want
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.sunspec import Block, Layout
from emdc.meters.words import NO_RATIOS
from emdc.modbus import LinkSettings
from emdc.reading import MeterReading, Value
from tests import sunspec_device
from tests.modbus.asking import links
from tests.sunspec_device import LENGTHS, blank, device, facts, floats, meter203

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def layout(*models: int, length: int | None = None) -> Layout:
    blocks, address = [], 40002
    for model in models:
        size = LENGTHS.get(model, 10) if length is None else length
        blocks.append(Block(model, address, size))
        address += 2 + size
    return Layout(40000, tuple(blocks))


def metrics(*models: int, length: int | None = None) -> dict[str, Metric]:
    found = sunspec_models.map_of(layout(*models, length=length))
    return {one.name: one for one in found.metrics}


def visible(found: RegisterMap) -> list[str]:
    return [one.name for one in found.metrics if not one.hidden]


def read(subject: sunspec_device.Device, found: RegisterMap, identity: str = "") -> MeterReading:
    """One reading of the device over a real connection."""

    async def reading() -> MeterReading:
        async with sunspec_device.serving(subject) as server:
            with links() as opened:
                link = opened.link("127.0.0.1", server.port, LinkSettings())
                settings = MeterSettings(retries=0, identity=identity)
                meter = Meter("m", found, link, settings, clock=lambda: NOW)
                return await meter.read(want(topic.name for topic in meter.profile.topics))

    return asyncio.run(reading())


def values(reading: MeterReading) -> dict[str, Value]:
    """Values by name, and the reasons of those that are none."""
    return dict(zip(reading.metrics, reading.values, strict=True)) | dict(reading.gaps)


@pytest.mark.parametrize("model", LENGTHS)
def test_every_fact_of_a_model_is_a_metric_of_that_name_place_type_and_unit(model: int) -> None:
    found = metrics(model)
    for fact in facts(model):
        one = found[fact.metric]
        points = (fact.point, fact.point.replace("PhVph", "PPVph"))  # model 201 has the other name
        assert one.description.split()[1] in points
        assert f"of model {model}" in one.description
        assert (one.address, one.size) == (40002 + fact.offset, fact.registers)
        expected = DataType.STRING if fact.type == "STRING" else DataType(fact.type)
        assert one.data_type is expected
        assert one.unit == fact.unit
        assert bool(one.scale_register) == ("_SF@" in fact.scale)
        if "_SF@" in fact.scale:
            factor = found[one.scale_register]
            assert factor.address == 40002 + int(fact.scale.split("@+")[1].rstrip("]"))
            assert one.scale == (0.01 if fact.scale.startswith("0.01*") else 1)


@pytest.mark.parametrize("model", [m for m in LENGTHS if m != 1])
def test_a_block_is_read_whole_with_its_header_in_one_read(model: int) -> None:
    found = sunspec_models.map_of(layout(model))
    plan = reads_of(
        found, want(visible(found)), unit=1, ratios=NO_RATIOS, limits=Limits(125, found.max_gap)
    )
    (only,) = plan.reads
    assert only.batch.address == 40002
    assert set(plan.metrics) == set(visible(found))


def test_one_value_is_read_with_its_scale_factor_and_its_header() -> None:
    found = sunspec_models.map_of(layout(1, 203))
    plan = reads_of(found, want(["W"]), unit=1, ratios=NO_RATIOS, limits=Limits(125, 0))
    (only,) = plan.reads
    names = [one.name for one in only.batch.metrics]
    assert names == ["model_203", "W", "model_203.W_SF"]
    assert plan.metrics == ("W",)


def test_energies_are_counters_and_texts_are_read_hourly() -> None:
    found = metrics(1, 203)
    assert {found[n].kind for n in ("Wh_delivered", "VAh_received_B", "VARh_Q4_C")} == {"counter"}
    assert {found[n].kind for n in ("W", "pf", "freq")} == {"gauge"}
    assert (found["Serial_Number"].kind, found["Serial_Number"].interval_s) == ("text", 3600)
    assert metrics(113)["Wh_received"].kind == "counter"


def test_scale_factors_and_headers_are_no_topics() -> None:
    found = sunspec_models.map_of(layout(1, 203))
    hidden = [one.name for one in found.metrics if one.hidden]
    assert "model_203" in hidden
    assert "model_203.A_SF" in hidden
    profile = profile_of("m", found, MeterSettings(interval_s=1))
    assert [topic.name for topic in profile.topics] == visible(found)


def test_a_second_block_of_the_same_names_has_a_number_behind_all_of_them() -> None:
    found = metrics(1, 103, 1, 203, 203)
    for name in ("W", "W_2", "W_3", "W_A_2", "Serial_Number_2", "DC_V"):
        assert name in found
    for name in ("W_A", "DC_V_2", "Serial_Number_3", "W_4"):
        assert name not in found
    assert found["W_3"].scale_register == "model_203.W_SF_3"
    assert found["W_3"].guard == "model_203_3"
    assert len({name.casefold() for name in found}) == len(found)


def test_models_that_are_not_known_are_passed_over() -> None:
    found = metrics(1, 64111, 203)
    assert found["W"].address == 40002 + 68 + 12 + 18
    assert not any("64111" in name for name in found)


@pytest.mark.parametrize("length", [65, 66])
def test_model_1_comes_with_and_without_its_pad(length: int) -> None:
    found = metrics(1, length=length)
    assert found["Serial_Number"].address == 40002 + 50
    assert found["model_1"].minimum == 1 << 16 | length


def test_points_beyond_the_length_that_a_device_says_are_left_out() -> None:
    whole, short = metrics(203), metrics(203, length=52)
    # TotWh_SF is the register at +54, one beyond: without it no energy has a scale.
    assert {"W", "pf_C"} <= set(short)
    assert not any("Wh" in name for name in short)
    assert "Wh_delivered" in metrics(203, length=53)
    assert set(short) < set(whole)


def test_a_longer_block_has_the_points_that_are_known() -> None:
    assert set(metrics(203, length=120)) == set(metrics(203))


def test_a_layout_with_nothing_in_it_is_a_map_without_metrics() -> None:
    nothing = sunspec_models.map_of(sunspec.NOTHING)
    assert nothing.metrics == ()
    assert read(device(), nothing).metrics == ()


@pytest.mark.parametrize("models", [(103,), (1, 203), (64111,)])
def test_models_without_a_value_are_no_device_that_can_be_read(models: tuple[int, ...]) -> None:
    with pytest.raises(MeterError) as problem:
        sunspec_models.map_of(layout(*models, length=0))
    assert problem.value.reason == "not_discovered"
    assert f"models {models[0]} with 0" in str(problem.value)


def test_the_hash_is_that_of_the_layout() -> None:
    assert sunspec_models.map_of(layout(1, 203)) is sunspec_models.map_of(layout(1, 203))
    moved = Layout(40001, layout(1, 203).blocks)
    assert sunspec_models.map_of(moved).hash != sunspec_models.map_of(layout(1, 203)).hash


def test_turning_powers_round_leaves_scale_factors_as_they_are() -> None:
    turned = inverted(sunspec_models.map_of(layout(203)), ("power",))
    scales = {one.name: one.scale for one in turned.metrics}
    assert (scales["W"], scales["pf"]) == (-1, -0.01)
    assert {scale for name, scale in scales.items() if name.startswith("model_")} == {1}


def test_integers_are_scaled_by_what_the_device_says() -> None:
    subject = device(sunspec_device.common(), meter203())
    found = values(read(subject, sunspec_models.map_of(layout(1, 203))))
    assert found["Current_total"] == 12.34
    assert found["Voltage_AN"] == 230.1
    assert found["freq"] == 49.98
    assert found["W"] == 432.1
    assert found["pf"] == 0.98
    assert found["Wh_delivered"] == 12345670
    assert found["Wh_received"] == "not_available"
    assert found["Voltage_BN"] == "not_available"
    assert (found["Manufacturer"], found["Serial_Number"]) == ("Acme", "SN-42")


def test_a_scale_factor_may_change_between_two_reads() -> None:
    found = sunspec_models.map_of(layout(203))
    readings = [
        values(read(device(meter203(power, factor)), found))["W"]
        for power, factor in ((4321, -1), (432, 0), (-43, 1))
    ]
    assert readings == [432.1, 432, -430]


@pytest.mark.parametrize(("factor", "reason"), [(-0x8000, "not_available"), (11, "decode_error")])
def test_without_a_usable_scale_factor_there_is_no_value(factor: int, reason: str) -> None:
    found = values(read(device(meter203(factor=factor)), sunspec_models.map_of(layout(203))))
    assert found["W"] == reason
    assert found["freq"] == 49.98


def test_patterns_for_not_implemented_are_no_values() -> None:
    inverter = blank(103).put(2, 0xFFFF, 100).put(6, 0)  # A: uint16, none; AphA: 100 A
    inverter.put(14, 0x8000).put(15, 0)  # W: int16, none
    inverter.put(24, 0, 0).put(26, 0)  # WH: acc32, none
    found = values(read(device(inverter), sunspec_models.map_of(layout(103))))
    assert found["Current_total"] == "not_available"
    assert found["Current_A"] == 100
    assert found["W"] == "not_available"
    assert found["Wh_received"] == "not_available"


def test_texts_end_at_their_first_nul_and_empty_ones_are_none() -> None:
    subject = device(sunspec_device.common().put(42, *[0] * 8), blank(203))
    found = values(read(subject, sunspec_models.map_of(layout(1, 203))))
    assert found["Model"] == "Meter 3000"
    assert found["FW_Version"] == "not_available"


def test_floats_have_no_scale_factor_and_nan_is_none() -> None:
    found = values(read(device(sunspec_device.meter213()), sunspec_models.map_of(layout(213))))
    assert (found["Current_total"], found["W"], found["Voltage_AN"]) == (12.25, 432.5, 230.5)
    assert (found["pf"], found["Wh_delivered"]) == (0.5, 1000)
    assert found["Current_A"] == found["Wh_received"] == "not_available"


def test_power_factors_of_inverters_are_percent() -> None:
    inverter = sunspec_device.Block(113, floats(*[math.nan] * 30)).put(30, *floats(-97.5))
    found = values(read(device(inverter), sunspec_models.map_of(layout(113))))
    assert found["pf"] == -0.975


def test_a_power_factor_that_cannot_be_one_is_no_value() -> None:
    subject = sunspec_device.meter213().put(52, *floats(98.5))
    found = values(read(device(subject), sunspec_models.map_of(layout(213))))
    assert found["pf"] == "out_of_range"


@pytest.mark.parametrize("header", [(204, 105), (203, 104), (0, 0), (0xFFFF, 0xFFFF)])
def test_behind_another_header_nothing_is_a_value(header: tuple[int, int]) -> None:
    subject = device(sunspec_device.common(), meter203())
    subject.registers[40070], subject.registers[40071] = header
    found = values(read(subject, sunspec_models.map_of(layout(1, 203))))
    texts = ("Manufacturer", "Model", "FW_Version", "Serial_Number")
    assert {found.pop(name) for name in texts} == {"Acme", "Meter 3000", "1.2.3", "SN-42"}
    assert set(found.values()) == {"not_discovered"}


def test_a_device_that_moved_by_one_register_gives_no_value() -> None:
    subject = device(meter203(), base=40001)
    subject.registers[40000] = subject.registers[40000 + 1]
    found = values(read(subject, sunspec_models.map_of(layout(203))))
    assert set(found.values()) == {"not_discovered"}


def test_a_missing_extra_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("importlib.resources.files", absent)
    sunspec_models.points.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"pip install 'emdc\[sunspec\]'"):
            sunspec_models.points()
    finally:
        sunspec_models.points.cache_clear()


@pytest.mark.parametrize(("expected", "power"), [("SN-42", 432.1), ("SN-43", "identity_mismatch")])
def test_the_serial_number_tells_devices_apart(expected: str, power: float | str) -> None:
    subject = device(sunspec_device.common(), meter203())
    found = read(subject, sunspec_models.map_of(layout(1, 203)), identity=expected)
    assert values(found)["W"] == power
