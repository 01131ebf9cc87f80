"""A register map as it would be with other addresses, or with words and bytes turned. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from emdc.meters.look import chosen
from emdc.meters.register_map import Metric, RegisterMap
from emdc.modbus.pdu import ADDRESSES


class Turn(NamedTuple):
    """How values of several registers are turned around, compared with the map."""

    words: bool = False
    """The other register first."""
    bytes: bool = False
    """The other byte of each register first."""


TURNS: Final = (Turn(), Turn(words=True), Turn(bytes=True), Turn(words=True, bytes=True))


def turns_of(register_map: RegisterMap) -> Sequence[Turn]:
    """The orders that make a difference to the values that are looked at."""
    has_words = any(metric.size > 1 for metric in chosen(register_map.metrics))
    return [order for order in TURNS if has_words or not order.words]


def variant(register_map: RegisterMap, shift: int, order: Turn) -> RegisterMap | None:
    """The map with every address moved by `shift`, and words and bytes turned around.

    None when an address would leave the range that there is.
    """
    metrics = tuple(_moved(metric, shift, order) for metric in register_map.metrics)
    if any(one.address < 0 or one.address + one.size > ADDRESSES for one in metrics):
        return None
    return replace(register_map, metrics=metrics)


def _moved(metric: Metric, shift: int, order: Turn) -> Metric:
    return replace(
        metric,
        address=metric.address + shift,
        word_order=_other(metric.word_order) if order.words else metric.word_order,
        byte_order=_other(metric.byte_order) if order.bytes else metric.byte_order,
    )


def _other(order: str) -> Literal["big", "little"]:
    return "little" if order == "big" else "big"
