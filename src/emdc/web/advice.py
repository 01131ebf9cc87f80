"""What to do about a meter that gives no value, by the gap reason. Pure.

One place for the health report and the commands, so that both say the same.
"""

from collections.abc import Mapping
from typing import Final

REFUSED: Final = frozenset({"exception:1", "exception:2", "exception:3"})
"""The meter is there and does not know the request: function, address or count."""

_NO_VALUE: Final = frozenset({"not_available", "out_of_range", "decode_error"})


_SILENT: Final = (
    "see that it has power, and that host, port and unit are right; a converter of a serial line "
    "may need another transport"
)

_OF_ONE: Final[Mapping[str, str]] = {
    "meter_held": "another process reads it: end that one, or ask it",
    "identity_mismatch": "another meter answers at its address: see the log, mend host or identity",
    "protocol_error:pid": "what answers speaks no Modbus TCP: the wrong port, or RTU over TCP?",
    "protocol_error:tid": "it answers under other transaction ids: see ignore_transaction_id",
    "protocol_error:crc": (
        "its frames come damaged: see the baudrate, parity and stop_bits, the wires and their "
        "termination, and that transport is what it speaks"
    ),
    "not_discovered": (
        "it answers, but describes nothing that can be read: switch SunSpec over Modbus TCP on in "
        "it, and see that the unit is right; emdc map show sunspec --host HOST says what is there"
    ),
    "connect_refused": (
        "nothing listens there: is Modbus TCP switched on in the meter, and is the port right "
        "(502 as a rule)? a serial device must be plugged in, and this user may open it"
    ),
    "connection_reset": (
        "it closes the connection: does another program hold the one that it allows, and is "
        "transport what it speaks?"
    ),
    **dict.fromkeys(
        ("exception:10", "exception:11"),
        "a gateway answers that nothing is there: see that unit is right, and that the meter "
        "behind it has power and is wired",
    ),
    "dns_failure": "its name is not found: see host, and the resolver of this computer",
}


def advice(reason: str) -> str:
    """One sentence for whoever can mend it, without a full stop."""
    if reason in REFUSED:
        return (
            "it answers but refuses these registers: is this the right map and unit? "
            "emdc probe finds out"
        )
    if reason in _NO_VALUE:
        return "it answers, but what it says is no value: is this the right map?"
    return _OF_ONE.get(reason, _SILENT)
