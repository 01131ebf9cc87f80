"""Which settings go together on which way to a meter."""

from collections.abc import Mapping

import pytest

from emdc.config import MeterSettings, Settings, load
from emdc.config.transport import SPEEDS
from emdc.errors import ConfigError
from emdc.modbus.serial_line import speed
from emdc.place import is_device

BASE = {"panel_topic_prefix": "site/meter", "panel_metrics_workbook": "nexus-1272"}
DEVICE = "/dev/ttyUSB0"


def loaded(**flags: object) -> Settings:
    given = {**BASE, **{f"panel_{name}": value for name, value in flags.items()}}
    return load(flags=given, environment={})


def meter(**flags: object) -> MeterSettings:
    (found,) = loaded(**flags).meters
    return found


def test_a_device_stands_in_the_place_of_a_host() -> None:
    found = meter(host=DEVICE, baudrate=9600, parity="none", stop_bits=2, unit=7)
    assert (found.host, found.place) == (DEVICE, DEVICE)
    assert (found.baudrate, found.parity, found.stop_bits) == (9600, "none", 2)
    assert meter(host="10.0.0.1:503", transport="rtu-over-tcp").place == "10.0.0.1:503"


def test_every_speed_that_is_taken_has_a_name_in_the_system() -> None:
    assert all(isinstance(speed(baudrate), int) for baudrate in SPEEDS)
    assert is_device(DEVICE)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ({"host": DEVICE, "port": 502}, f"--panel_port: 502, but {DEVICE} is a serial device"),
        ({"host": DEVICE, "transport": "tcp"}, f"--panel_transport: 'tcp', but {DEVICE} is a"),
        ({"host": DEVICE, "baudrate": 9601}, "--panel_baudrate: 9601, expected a speed"),
        ({"host": DEVICE, "baudrate": 9601}, "such as 9600, 4800"),
        ({"host": DEVICE, "parity": "mark"}, "--panel_parity: 'mark', expected one of even, odd"),
        ({"host": DEVICE, "stop_bits": 3}, "--panel_stop_bits: 3, expected 1-2"),
        ({"host": DEVICE, "unit": 0}, "--panel_unit: 0 is everybody on a line"),
        ({"host": DEVICE, "pipeline": 4}, "--panel_pipeline: 4, but RTU frames do not say"),
        ({"host": "/dev/"}, "--panel_host: '/dev/', expected a serial device"),
        ({"host": "10.0.0.1", "baudrate": 9600}, "9600, but 10.0.0.1 is no serial device"),
        ({"host": "10.0.0.1", "parity": "even"}, "expected a host such as /dev/ttyUSB0 with it"),
        ({"host": "10.0.0.1", "transport": "rtu"}, "expected one of tcp, rtu-over-tcp"),
        ({"host": "10.0.0.1", "transport": "rtu-over-tcp", "pipeline": 2}, "expected 1"),
        ({"host": "10.0.0.1", "transport": "rtu-over-tcp", "unit": 0}, "expected 1-247"),
        (
            {"host": "10.0.0.1", "transport": "rtu-over-tcp", "ignore_transaction_id": True},
            "RTU frames have no transaction id",
        ),
        ({"host": "10.0.0.1", "pipeline": 17}, "--panel_pipeline: 17, expected 1-16"),
        ({"host": "10.0.0.1", "pipeline": 0}, "--panel_pipeline: 0, expected 1-16"),
    ],
)
def test_what_cannot_go_together_is_named_with_the_mend(
    flags: Mapping[str, object], problem: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(**flags)
    assert problem in str(caught.value)


def test_a_pause_between_requests_leaves_no_pipeline() -> None:
    (warning,) = loaded(host="10.0.0.1", pipeline=4, request_delay=0.5).warnings
    assert warning == "--panel_pipeline: 4 is 1 in effect, because of request_delay"


def test_the_units_of_a_line_have_one_setting_of_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    file = tmp_path_factory.mktemp("config") / "emdc.toml"
    one = f'[[meters]]\nname = "a"\nhost = "{DEVICE}"\nmap = "nexus-1272"\n'
    file.write_text(one + one.replace('"a"', '"b"') + "unit = 2\nbaudrate = 9600\n")
    (warning,) = load(flags={}, environment={}, config_file=file).warnings
    assert "meters[2].baudrate: differs from that of meters[1]" in warning
