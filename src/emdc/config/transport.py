"""Which settings fit the way to a meter: Modbus TCP, RTU over TCP, a serial line."""

from collections.abc import Mapping
from typing import Any, Final

from emdc.config.sources import Given, Notes
from emdc.config.table import RTU_OVER_TCP
from emdc.place import is_device

SPEEDS: Final = (
    *(300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 500000),
    *(576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000, 4000000),
)
"""Those that Linux has names for: termios(3)."""

_OF_NETWORK: Final = ("port", "transport")
_OF_LINE: Final = ("baudrate", "parity", "stop_bits")


def check_transport(fields: Mapping[str, Any], given: Mapping[str, Given], notes: Notes) -> None:
    """Note what cannot go together. `fields` are those of one meter, `given` has their places."""
    host = str(fields.get("host", ""))
    if not host:
        return  # noted already
    if is_device(host):
        for name in _given(_OF_NETWORK, given):
            problem = f"{fields[name]!r}, but {host} is a serial device, expected no {name} with it"
            notes.fault(given[f"meters.{name}"].where, problem)
        _check_speed(fields, given, notes)
    else:
        for name in _given(_OF_LINE, given):
            problem = f"{fields[name]!r}, but {host} is no serial device, expected a host such as "
            notes.fault(given[f"meters.{name}"].where, f"{problem}/dev/ttyUSB0 with it")
    _check_answers(fields, given, notes)


def _given(names: tuple[str, ...], given: Mapping[str, Given]) -> list[str]:
    return [name for name in names if f"meters.{name}" in given]


def _check_speed(fields: Mapping[str, Any], given: Mapping[str, Given], notes: Notes) -> None:
    baudrate = fields.get("baudrate", SPEEDS[0])
    if baudrate not in SPEEDS:
        near = ", ".join(map(str, sorted(SPEEDS, key=lambda speed: abs(speed - baudrate))[:3]))
        where = given["meters.baudrate"].where
        notes.fault(where, f"{baudrate}, expected a speed that the system knows, such as {near}")


def _check_answers(fields: Mapping[str, Any], given: Mapping[str, Given], notes: Notes) -> None:
    rtu = is_device(fields["host"]) or fields.get("transport") == RTU_OVER_TCP
    if rtu and fields.get("unit") == 0:
        where = given["meters.unit"].where
        notes.fault(where, "0 is everybody on a line, and nobody answers, expected 1-247")
    if rtu and fields.get("ignore_transaction_id"):
        where = given["meters.ignore_transaction_id"].where
        notes.fault(where, "True, but RTU frames have no transaction id, expected false")
    pipeline = fields.get("pipeline", 1)
    if pipeline == 1:
        return
    where = given["meters.pipeline"].where
    if rtu:
        problem = "RTU frames do not say which request they answer"
        notes.fault(where, f"{pipeline}, but {problem}, expected 1")
    elif why := [name for name in ("request_delay", "ignore_transaction_id") if fields.get(name)]:
        notes.warn(where, f"{pipeline} is 1 in effect, because of {why[0]}")
