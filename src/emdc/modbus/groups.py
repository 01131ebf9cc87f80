"""Requests that are sent together, and what their right answers begin with, as single numbers.

All is made once for a plan; for each sending only the transaction ids are added. Used by
`pipeline`. Pure.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, NamedTuple

from emdc.modbus.pdu import Request
from emdc.modbus.tcp import STEP


class _Frames(NamedTuple):
    """Frames, or their headers, one behind the other: one number that lacks the transaction ids.

    Adding the first id once at the place of each gives all of them, in two steps for any count.
    """

    number: int
    ones: int
    size: int

    def under(self, tid: int) -> bytes:
        """Their bytes, the first one's id being `tid` and the others' STEP more each."""
        return (self.number + tid * self.ones).to_bytes(self.size, "big")


class Group(NamedTuple):
    """Requests that are sent together, made once for all links with the same plan."""

    requests: Sequence[Request]
    ids: int
    """From its first transaction id to the first that is not its own."""
    asked: _Frames
    heads: _Frames
    """What its right answers begin with."""
    split: Callable[[bytearray], tuple[Any, ...]]
    """Head and data of each answer, where all of them lie in a buffer."""
    size: int
    """Bytes of all right answers."""


@lru_cache(maxsize=4096)
def group_of(requests: tuple[Request, ...]) -> Group:
    """All that is known of these requests before they have transaction ids."""
    sizes = [request.size for request in requests]
    return Group(
        requests,
        STEP * len(requests),
        _frames([request.tail for request in requests]),
        _frames([request.head for request in requests]),
        Struct("".join(f"9s{size - 9}s" for size in sizes)).unpack_from,
        sum(sizes),
    )


def _frames(parts: Sequence[bytes]) -> _Frames:
    """Those that go on with `parts` behind their ids."""
    whole = b"".join((STEP * k).to_bytes(2, "big") + part for k, part in enumerate(parts))
    ones = b"".join(b"\0\1" + bytes(len(part)) for part in parts)
    return _Frames(int.from_bytes(whole, "big"), int.from_bytes(ones, "big"), len(whole))
