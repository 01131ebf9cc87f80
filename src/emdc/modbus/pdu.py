"""Read requests and their answers as bytes. Only function codes 1 to 4 can be encoded at all.

A request is prepared once and sent for years, so everything about it and about its one right
answer that does not change is computed here. Pure.
Source: Modbus Application Protocol V1.1b3, sections 6.1 to 6.4 and 7.
"""

from dataclasses import dataclass
from struct import Struct
from typing import Final

READ_COILS: Final = 1
READ_DISCRETE_INPUTS: Final = 2
READ_HOLDING_REGISTERS: Final = 3
READ_INPUT_REGISTERS: Final = 4

MAX_REGISTERS: Final = 125
MAX_BITS: Final = 2000
ADDRESSES: Final = 65536

_TAIL: Final = Struct(">HHBBHH")
_HEAD: Final = Struct(">HHBBB")


@dataclass(frozen=True, slots=True)
class Request:
    """One read request, ready to send, and what its answer must look like."""

    unit: int
    function_code: int
    address: int
    """0-based, as sent on the wire."""
    count: int
    """Registers, or bits for function codes 1 and 2."""
    tail: bytes
    """The request's bytes after the transaction id."""
    head: bytes
    """The right answer's bytes after the transaction id, up to and with the byte count."""
    size: int
    """Bytes of the right answer, transaction id included."""


def read_request(unit: int, function_code: int, address: int, count: int) -> Request:
    """The request to read `count` registers or bits of `unit` from `address`.

    Raises ValueError when a field does not fit the protocol.
    """
    bits = function_code in (READ_COILS, READ_DISCRETE_INPUTS)
    if function_code not in (1, 2, 3, 4):
        raise ValueError(f"function code {function_code}, only 1 to 4 read")
    if not 0 <= unit <= 255:
        raise ValueError(f"unit {unit}, expected 0 to 255")
    limit = MAX_BITS if bits else MAX_REGISTERS
    if not 1 <= count <= limit:
        raise ValueError(f"{count} to read at once, expected 1 to {limit}")
    if not 0 <= address <= ADDRESSES - count:
        raise ValueError(f"address {address} with {count} to read, expected to end by 65535")
    data = (count + 7) // 8 if bits else 2 * count
    tail = _TAIL.pack(0, 6, unit, function_code, address, count)
    head = _HEAD.pack(0, 3 + data, unit, function_code, data)
    return Request(unit, function_code, address, count, tail, head, 9 + data)
