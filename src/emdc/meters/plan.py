"""From metrics to few batch reads. Pure.

A batch is one request: a span of registers that starts and ends on a mapped one, crosses no hole
wider than the meter allows, and never splits a value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from emdc.meters.register_map import Metric

MAX_BITS = 2000
"""Bits in one answer. Modbus Application Protocol V1.1b3, section 6.1."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One read: `count` registers (or bits) from `address`, and the metrics that lie in them."""

    function_code: int
    address: int
    count: int
    metrics: tuple[Metric, ...]
    """By address; several may share registers."""


def plan(metrics: Iterable[Metric], *, max_registers: int, max_gap: int) -> tuple[Batch, ...]:
    """The fewest batches that read all metrics, by function code and address.

    Raises ValueError when one value is longer than `max_registers`.
    """
    batches: list[Batch] = []
    run: list[Metric] = []
    end = 0
    for metric in sorted(metrics, key=lambda m: (m.function_code, m.address, m.size)):
        if metric.size > _limit(metric, max_registers):
            raise ValueError(
                f"{metric.name} fills {metric.size} registers, the meter gives {max_registers}"
            )
        joins = (
            bool(run)
            and metric.function_code == run[0].function_code
            and metric.address - end <= max_gap
            and max(end, metric.address + metric.size) - run[0].address
            <= _limit(metric, max_registers)
        )
        if run and not joins:
            batches.append(_batch(run))
            run = []
        end = max(end, metric.address + metric.size) if run else metric.address + metric.size
        run.append(metric)
    if run:
        batches.append(_batch(run))
    return tuple(batches)


def split(batch: Batch) -> tuple[Batch, ...]:
    """The batch in two, between two values, at the widest hole or near the middle.

    A batch whose values all overlap cannot be split and comes back alone.
    """
    cuts: list[tuple[int, int, int]] = []
    end = batch.address
    for index, metric in enumerate(batch.metrics):
        if index and metric.address >= end:
            from_middle = abs(2 * index - len(batch.metrics))
            cuts.append((metric.address - end, -from_middle, index))
        end = max(end, metric.address + metric.size)
    if not cuts:
        return (batch,)
    index = max(cuts)[2]
    return (_batch(batch.metrics[:index]), _batch(batch.metrics[index:]))


def _limit(metric: Metric, max_registers: int) -> int:
    return MAX_BITS if metric.function_code in (1, 2) else max_registers


def _batch(metrics: Sequence[Metric]) -> Batch:
    first = metrics[0]
    end = max(metric.address + metric.size for metric in metrics)
    return Batch(first.function_code, first.address, end - first.address, tuple(metrics))
