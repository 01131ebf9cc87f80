"""The reads of one set of metrics: each batch as a prepared request and its decoder.

Made once for each set that is due together, used in every tick.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from emdc.meters.companions import Finish, Needs
from emdc.meters.plan import Avoid, Batch, Span, plan, span_of, split
from emdc.meters.register_map import RegisterMap
from emdc.meters.words import BatchDecoder, BitDecoder, Decode, Ratios, compile_batch, joined
from emdc.modbus.pdu import Request, read_request

Wanted: TypeAlias = frozenset[str]
"""Names of the metrics of one reading; made by `want`."""


def want(names: Iterable[str]) -> Wanted:
    """The set of these names, one object for all equal ones.

    A plan is looked up by it in every tick: the same object is found at once, an equal one only
    after a comparison of all names.
    """
    return _same(frozenset(names))


@lru_cache(maxsize=4096)
def _same(names: Wanted) -> Wanted:
    return names


class Limits(NamedTuple):
    """What one read of a meter may span."""

    max_registers: int
    max_gap: int
    """Unmapped registers that it may cross."""


def limits_of(
    register_map: RegisterMap, max_registers: int | None = None, max_gap: int | None = None
) -> Limits:
    """What one read may span: as given, else as the map says."""
    return Limits(
        max_registers or register_map.max_registers,
        register_map.max_gap if max_gap is None else max_gap,
    )


@dataclass(frozen=True, slots=True)
class Read:
    """One batch, ready to be asked and decoded."""

    batch: Batch
    request: Request
    decoder: BatchDecoder | BitDecoder
    decode: Decode


class Plan:
    """The reads of one set of metrics, and the names in the order in which they are decoded.

    Shared by all meters with the same map and settings: a thousand of them read with one.
    """

    __slots__ = (
        *("_needs", "_ratios", "_unit", "decode", "finish", "metrics", "names", "of", "reads"),
        "requests",
    )

    of: "Plan | None"
    """The plan that this one, with other batches, stands for; None: it stands for itself."""

    decode: Decode | None
    """Decodes the answers to all reads at once, one behind the other; None: each by itself."""

    finish: Finish | None
    """Makes the values of what was decoded when other registers take part; None: they are."""

    def __init__(self, batches: Iterable[Batch], unit: int, ratios: Ratios, needs: Needs) -> None:
        self._unit, self._ratios, self._needs = unit, ratios, needs
        self.reads = [_read(batch, unit, ratios) for batch in batches]
        self.requests = [read.request for read in self.reads]
        self.names = tuple(name for read in self.reads for name in read.decoder.names)
        """What is decoded: also metrics that others need and nobody asked for."""
        self.decode = None
        self.metrics, self.finish = needs.finish(self.names) if needs else (self.names, None)
        self.of = None

    def decode_at_once(self) -> "Plan":
        """This plan, and with it what a reading in which nothing failed is decoded with.

        Not for plans that stand for others: they come and go, and what is compiled takes its time.
        """
        if len(self.reads) == 1:
            self.decode = self.reads[0].decode
            return self
        decoder = joined([read.batch for read in self.reads], self._ratios)
        if decoder is not None and decoder.names == self.names:
            self.decode = decoder.decode
        return self

    def split_into(self, batches: Iterable[Batch]) -> "Plan":
        """The plan for the same metrics with other batches, which may leave some out."""
        other = Plan(batches, self._unit, self._ratios, self._needs)
        other.of = self.of or self
        return other


def _read(batch: Batch, unit: int, ratios: Ratios) -> Read:
    request = read_request(unit, batch.function_code, batch.address, batch.count)
    decoder = compile_batch(batch, ratios)
    return Read(batch, request, decoder, decoder.decode)


@lru_cache(maxsize=1024)
def reads_of(
    register_map: RegisterMap,
    names: Wanted,
    *,
    unit: int,
    ratios: Ratios,
    limits: Limits,
) -> Plan:
    """The plan for these metrics of a map, one object for all meters that are set alike.

    Raises ValueError when one value is longer than a read may be, or when the meter shall say a
    ratio and the map does not know where.
    """
    needs = Needs(register_map, names, ratios)
    batches = plan(
        (metric for metric in register_map.metrics if metric.name in needs.names),
        max_registers=limits.max_registers,
        max_gap=limits.max_gap,
    )
    return Plan(batches, unit, ratios, needs).decode_at_once()


@lru_cache(maxsize=1024)
def reads_without(whole: Plan, limits: Limits, avoid: Avoid, refused: frozenset[Span]) -> Plan:
    """The plan for a meter that refuses these values and what is to be avoided, one object for all
    that refuse the same. Of nothing but refused values one is asked, to see whether it still is.
    """
    metrics = [metric for read in whole.reads for metric in read.batch.metrics]
    kept = [metric for metric in metrics if span_of([metric]) not in refused]
    batches = plan(
        kept or metrics[:1], avoid, max_registers=limits.max_registers, max_gap=limits.max_gap
    )
    return whole.split_into(batches)


@lru_cache(maxsize=1024)
def reads_in_parts(whole: Plan, places: tuple[int, ...]) -> tuple[Plan, dict[int, int]]:
    """The plan with the reads at these places in two parts each where they have several values, and
    place of a read of it → place in `whole`.
    """
    batches: list[Batch] = []
    origin: dict[int, int] = {}
    for place, read in enumerate(whole.reads):
        for batch in split(read.batch) if place in places else (read.batch,):
            origin[len(batches)] = place
            batches.append(batch)
    return whole.split_into(batches), origin
