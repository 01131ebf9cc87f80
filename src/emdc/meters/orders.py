"""The order of words and bytes: how the data of a whole batch are turned round. Pure."""

from array import array
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from emdc.meters.register_map import DataType, Metric

Data: TypeAlias = bytes | bytearray


def reversed_words(data: Data) -> bytes:
    """The registers in reverse order, the bytes of each as they were.

    A value with the low word first has its high word first in the result.
    """
    return memoryview(bytes(data)).cast("H")[::-1].tobytes()


def swapped_bytes(data: Data) -> bytes:
    """The registers in their order, with the two bytes of each exchanged."""
    words = array("H", bytes(data))
    words.byteswap()
    return words.tobytes()


def reversed_bytes(data: Data) -> bytes:
    """All bytes in reverse order: the registers turned round, and the bytes of each exchanged."""
    return bytes(data[::-1])


class Order(NamedTuple):
    """How the registers of a value lie."""

    low_word_first: bool
    low_byte_first: bool


ARRANGE: Final[Mapping[Order, Callable[[Data], bytes] | None]] = {
    Order(low_word_first=False, low_byte_first=False): None,
    Order(low_word_first=True, low_byte_first=False): reversed_words,
    Order(low_word_first=False, low_byte_first=True): swapped_bytes,
    Order(low_word_first=True, low_byte_first=True): reversed_bytes,
}


def order_of(metric: Metric) -> Order:
    """How the registers of a metric lie; a single one, and a text, has no order of words."""
    words = metric.size > 1 and metric.data_type is not DataType.STRING
    low = metric.word_order == "little" or metric.code == "mod10k_low"
    return Order(words and low, metric.byte_order == "little")
