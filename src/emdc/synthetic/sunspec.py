"""A simulated SunSpec device as a register map: the marker, models 1 and 203, and their end.

Registers that always hold the same are metrics with equal limits. What stands for no value of ours
is not implemented, as in most devices. Pure, given the models.
"""

from typing import Final

from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.sunspec import HEADER, NAME, Block, Layout, Points, register_map

BASE: Final = 40000
_MARKER: Final = 0x53756E53
_END: Final = 0xFFFF0000
_NOT_IMPLEMENTED: Final = 0xFFFF
_COMMON: Final = Block(1, BASE + HEADER, 66)
_METER: Final = Block(203, _COMMON.address + HEADER + _COMMON.length, 105)


def device(points: Points) -> RegisterMap:
    """All registers of the device; a map for the simulator, not for reading."""
    found = register_map(Layout(BASE, (_COMMON, _METER)), points)
    end = _METER.address + HEADER + _METER.length
    metrics = [
        _constant("marker", BASE, DataType.UINT32, _MARKER),
        *found.metrics,
        _constant("end", end, DataType.UINT32, _END),
    ]
    there = {at for one in metrics for at in range(one.address, one.address + one.size)}
    rest = sorted(set(range(BASE, end)) - there)
    metrics += (_constant(f"unused_{at}", at, DataType.UINT16, _NOT_IMPLEMENTED) for at in rest)
    return RegisterMap(NAME, tuple(metrics), max_gap=found.max_gap)


def _constant(name: str, address: int, data_type: DataType, number: int) -> Metric:
    return Metric(
        name,
        address,
        data_type.registers or 1,
        data_type,
        minimum=number,
        maximum=number,
        hidden=True,
    )
