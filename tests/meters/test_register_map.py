import pytest

from emdc.meters.register_map import DataType, Metric, ScaleTerm, named_ratio


def metric(**changed: object) -> Metric:
    values: dict[str, object] = {
        **{"name": "W", "address": 0, "size": 2, "data_type": DataType.INT32},
        **changed,
    }
    return Metric(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data_type", "registers"),
    [
        *(("UINT8", 1), ("INT8", 1), ("UINT16", 1), ("INT16", 1), ("UINT32", 2), ("INT32", 2)),
        *(("FLOAT32", 2), ("UINT64", 4), ("INT64", 4), ("FLOAT64", 4), ("STRING", None)),
    ],
)
def test_a_type_fills_its_registers(data_type: str, registers: int | None) -> None:
    assert DataType(data_type).registers == registers


def test_only_the_ieee_types_are_floats() -> None:
    assert {kind for kind in DataType if kind.is_float} == {DataType.FLOAT32, DataType.FLOAT64}


def test_a_step_of_two_to_the_minus_sixteen_means_six_decimals() -> None:
    assert metric(scale=2.0**-16).digits() == 6


def test_a_ratio_takes_decimals_away() -> None:
    assert metric(scale=2.0**-16).digits(1000) == 3


def test_a_whole_scale_keeps_integers_exact() -> None:
    assert metric(scale=1000).digits() is None
    assert metric(scale=1000).digits(20) is None
    assert metric(scale=1000, offset=0.5).digits() is not None


def test_a_float32_is_its_shortest_decimal_unless_it_is_scaled() -> None:
    assert metric(data_type=DataType.FLOAT32).digits() == "float32"
    assert metric(data_type=DataType.FLOAT32, scale=0.1).digits() is None
    assert metric(data_type=DataType.FLOAT32).digits(40) is None


def test_decimals_end_at_twelve() -> None:
    assert metric(scale=1e-30).digits() == 12


def test_digits_that_only_the_meter_knows_are_left_alone() -> None:
    assert metric(scale_register="SF").digits() is None
    assert metric(scale=1000).digits(None) is None
    assert metric(scale=2.0**-16).digits(None) == 6
    assert metric(data_type=DataType.FLOAT32).digits(None) is None


def test_a_four_quadrant_power_factor_has_the_decimals_of_its_float() -> None:
    assert metric(data_type=DataType.FLOAT32, code="pf4q").digits() == 6
    assert metric(data_type=DataType.INT16, code="pf4q", scale=0.001).digits() == 4


def test_scale_terms_are_powers_inverse_powers_and_divisors() -> None:
    assert metric(scale_register=" A b; -C ;1/ D;").scale_terms == (
        ScaleTerm("A b", "power"),
        ScaleTerm("C", "inverse_power"),
        ScaleTerm("D", "divisor"),
    )
    assert metric().scale_terms == ()


@pytest.mark.parametrize(
    ("said", "found"),
    [
        *(("CT", ("CT",)), ("CT/PT", ("CT", "PT")), ("a/b", ("a/b",)), ("a/b/CT", ("a/b", "CT"))),
        *((" CT / a/b", ("CT", "a/b")), ("CT/x", ()), ("", ()), ("CT/", ())),
    ],
)
def test_a_ratio_is_one_metric_or_the_quotient_of_two(said: str, found: tuple[str, ...]) -> None:
    assert named_ratio(said, {"CT", "PT", "a/b"}) == found


@pytest.mark.parametrize(
    ("changed", "modulus"),
    [
        ({"data_type": DataType.UINT8, "size": 1}, 2**8),
        ({"data_type": DataType.INT8, "size": 1}, 2**7),
        ({"data_type": DataType.UINT16, "size": 1}, 2**16),
        ({"data_type": DataType.INT16, "size": 1}, 2**15),
        ({"data_type": DataType.UINT32}, 2**32),
        ({"data_type": DataType.INT32}, 2**31),
        ({"data_type": DataType.UINT64, "size": 4}, 2.0**64),
        ({"data_type": DataType.INT64, "size": 4}, 2.0**63),
        ({"data_type": DataType.UINT32, "bits": (0, 23)}, 2**24),
        ({"data_type": DataType.UINT32, "code": "bcd"}, 10**8),
        ({"data_type": DataType.UINT8, "size": 1, "code": "bcd"}, 10**4),
        ({"data_type": DataType.UINT32, "code": "mod10k"}, 10**8),
        ({"data_type": DataType.UINT64, "size": 4, "code": "mod10k_low"}, 10.0**16),
        ({"data_type": DataType.UINT32, "scale": 100}, 2**32 * 100),
        ({"data_type": DataType.UINT32, "scale": 0.1}, 429_496_729.6),
        ({"data_type": DataType.UINT32, "code": "mod10k", "scale": 0.1}, 10**7),
        # A register that counts downwards from 0.
        ({"data_type": DataType.INT32, "scale": -1}, 2**31),
        ({"data_type": DataType.FLOAT32}, None),
        ({"data_type": DataType.FLOAT64, "size": 4}, None),
        ({"data_type": DataType.UINT32, "scale_register": "SF"}, None),
        ({"data_type": DataType.UINT32, "code": "f64", "scale_register": "F"}, None),
        ({"data_type": DataType.UINT16, "size": 1, "code": "f8_pf"}, None),
        ({"data_type": DataType.UINT8, "size": 1, "function_code": 2}, None),
        ({"data_type": DataType.UINT64, "size": 4, "scale": 1e300}, None),
        ({"data_type": DataType.UINT32, "kind": "gauge"}, None),
    ],
)
def test_a_counter_begins_again_where_its_registers_are_full(
    changed: dict[str, object], modulus: float | None
) -> None:
    found = metric(**{"kind": "counter", **changed}).modulus()
    assert (found, type(found)) == (modulus, type(modulus))


def test_a_counter_begins_again_where_the_map_says() -> None:
    for data_type in (DataType.UINT32, DataType.FLOAT32):
        assert (
            metric(data_type=data_type, kind="counter", rollover=1e6, scale=10).modulus() == 10**6
        )
    scaled = metric(kind="counter", rollover=999.5, scale_register="SF")
    assert scaled.modulus(40) == 39_980


def test_a_counter_begins_again_at_so_much_more_as_its_ratios_say() -> None:
    assert metric(data_type=DataType.UINT16, size=1, kind="counter").modulus(12.5) == 819_200
    assert metric(kind="counter").modulus(None) is None
    assert metric(kind="counter", rollover=1000).modulus(None) is None
