from emdc.meters.meter import MeterSettings
from emdc.meters.profile import profile_of
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.words import Ratios

MAP = RegisterMap(
    "test",
    (
        Metric("Wh", 0, 2, DataType.UINT32, kind="counter", ratio="ct*pt", scale=10),
        Metric("Pulses", 2, 1, DataType.UINT16, kind="counter"),
        Metric("kWh", 4, 2, DataType.FLOAT32, kind="counter", ratio="ct", rollover=100_000),
        Metric("W", 6, 2, DataType.INT32, ratio="ct*pt"),
        Metric("SF", 8, 1, DataType.INT16, hidden=True),
    ),
)


def test_counters_begin_again_where_the_ratios_put_it() -> None:
    profile = profile_of("m", MAP, MeterSettings(ratios=Ratios(ct=80, pt=2.5)))
    assert {topic.name: topic.modulus for topic in profile.topics} == {
        **{"Wh": 2**32 * 2000, "Pulses": 65_536, "kWh": 8_000_000, "W": None}
    }


def test_where_a_ratio_is_read_from_the_meter_nobody_knows() -> None:
    profile = profile_of("m", MAP, MeterSettings(ratios=Ratios(ct="meter")))
    assert [topic.modulus for topic in profile.topics] == [None, 65_536, None, None]


def test_the_most_power_is_recorded_when_it_is_known() -> None:
    assert "max_power" not in profile_of("m", MAP, MeterSettings()).settings
    recorded = profile_of("m", MAP, MeterSettings(max_power_kw=166.3)).settings
    assert (recorded["max_power"], recorded["timezone"]) == (166.3, "UTC")
