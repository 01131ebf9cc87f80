"""What a topic's consumption was in each period, from its quarter hours.

A counter's is what it counted. A topic of power has no count: its means by time are an estimate, of
the hours in which it was read; import and export in one quarter hour are netted there. All
questions of one answer see one moment of the database. Periods that begin and end on quarter hours
ask nothing of the readings of those that are stored.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from emdc.energy.answers import CELL_S, POWERS, EnergyAnswer, Per, Quality, TopicFacts, cell_of
from emdc.energy.cells import MeterFacts, SlotFacts
from emdc.energy.periods import Period
from emdc.energy.precision import twelve
from emdc.energy.sums import NO_PARTS, Columns, Part, Stretch, consumption, pieces
from emdc.errors import ConfigError
from emdc.storage.past.asking import Asker
from emdc.storage.past.cells_read import Cells, cells_of
from emdc.storage.past.parts_read import PartReader, Whole, shared
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.tick_grid import Grid
from emdc.storage.past.topics import MeterNow
from emdc.storage.past.unfolded import Unfolded, Wait, begin_of, unfolded

_COUNTER: Final = ("energies", "counts", "dues", "qualities")
_POWER: Final = ("means", "counts", "dues")
_HOURS: Final = CELL_S / 3600
_PATIENCE_S: Final = 10.0
"""A reading that is due may take so long and two intervals until it is stored."""


class Asked(NamedTuple):
    """What is wanted of a topic."""

    topic: StoredTopic
    facts: TopicFacts
    per: Per
    periods: Sequence[Period]
    now: float


def check(facts: TopicFacts) -> None:
    """Raise ConfigError unless a topic has a consumption."""
    if facts.kind != "counter" and not _is_power(facts):
        powers = ", ".join(POWERS)
        unit = f" in {facts.unit}" if facts.unit else ""
        raise ConfigError(
            f"topic {facts.name}: a {facts.kind}{unit}, expected a counter or a power in {powers}"
        )


def energy_of(
    asker: Asker, asked: Asked, folding: tuple[SlotFacts, MeterFacts] | None, meter: MeterNow | None
) -> EnergyAnswer:
    """The answer. `folding` and `meter` are None for a topic without readings."""
    facts, periods = asked.facts, asked.periods
    names = _COUNTER if facts.kind == "counter" else _POWER
    start, end = cell_of(periods[0][0]), -(-periods[-1][1] // CELL_S) * CELL_S
    cells = cells_of(asker, asked.topic, (start, end), names)
    made: Unfolded | None = None
    running: Stretch | None = None
    if folding is not None and meter is not None:
        begin = begin_of(asker, asked.topic)
        if begin is not None and begin.at < end:
            wait = Wait(asked.now, _patience_s(facts))
            made = unfolded(asker, asked.topic, folding, begin, wait=wait)
            live, running = _parted(made, asked, meter)
            live = Cells(live.ts, {name: live.columns[name] for name in names if live.ts})
            cells = cells.then(live.within(start, end))
    if not cells.ts:
        cells = Cells((), dict.fromkeys(names, ()))
    columns = _counted(cells) if facts.kind == "counter" else _estimated(cells)
    parts: Mapping[float, Part] = NO_PARTS
    if facts.kind == "counter" and (cut := _cut(periods)):
        reader = folding and PartReader(asker, asked.topic, folding, made, asked.now)
        parts = _parts(cells, cut, reader)
        running = _narrowed(running, cut, reader)
    found = consumption(columns, periods, now=asked.now, since=running, parts=parts)
    unit = facts.unit if facts.kind == "counter" else POWERS[facts.unit]
    return EnergyAnswer(facts._replace(unit=unit), asked.per, found)


def _is_power(facts: TopicFacts) -> bool:
    return facts.kind == "gauge" and facts.unit in POWERS


def _patience_s(facts: TopicFacts) -> float:
    return 2 * (facts.interval_s or 0.0) + _PATIENCE_S


def _parted(made: Unfolded, asked: Asked, meter: MeterNow) -> tuple[Cells, Stretch | None]:
    """The quarter hour that runs: due so far, and its energy by the time that it has lasted.

    It is not over, so a period that ends now has all of it and not its share of a quarter hour.
    """
    live, last = made.cells, made.last
    if not live.ts or live.ts[-1] + CELL_S <= asked.now:
        return live, None
    final = {name: column[-1] for name, column in live.columns.items()}
    running = _running(asked.facts, live.ts[-1], last, final)
    if final["dues"] is not None and asked.topic.slot is not None:
        until = last if asked.now - last <= _patience_s(asked.facts) else asked.now
        start, end = round(live.ts[-1] * 1e6), round(until * 1e6) + 1
        # As of a quarter hour that is over: what is in force counts from its start.
        whole = [row._replace(start=min(row.start, live.ts[-1])) for row in meter.schedule]
        final["dues"] = Grid(whole).count(start, end, frozenset({asked.topic.slot}))
    final |= {"energies": None, "means": None, "qualities": None}
    columns = {name: [*column[:-1], final[name]] for name, column in live.columns.items()}
    return Cells(live.ts, columns), running


def _running(
    facts: TopicFacts, begin: float, last: float, cell: Mapping[str, Any]
) -> Stretch | None:
    """What a quarter hour that is not over has so far."""
    if facts.kind == "counter":
        energy, quality = cell["energies"], Quality(cell["qualities"] or 0)
    elif not cell["counts"]:
        energy, quality = None, Quality.ESTIMATED
    else:
        hours = _HOURS * cell["counts"] / cell["dues"] if cell["dues"] else (last - begin) / 3600
        energy, quality = twelve(cell["means"] * min(hours, _HOURS)), Quality.ESTIMATED
    return None if energy is None else Stretch(begin, last, energy, quality)


def _cut(periods: Sequence[Period]) -> list[Period]:
    """What is asked for of quarter hours that no period has whole: only at the ends of them all."""
    return [piece for period in {periods[0], periods[-1]} for piece in pieces(period)]


def _parts(cells: Cells, cut: Sequence[Period], reader: PartReader | None) -> Mapping[float, Part]:
    """What was counted in these pieces, by the start of the quarter hour."""
    found = {}
    for piece in cut:
        cell = cell_of(piece[0])
        row = cells.within(cell, cell + CELL_S).columns
        if row["energies"] and row["energies"][0] is not None:
            whole = Whole(cell, row["energies"][0], Quality(row["qualities"][0] or 0))
            found[cell] = shared(whole, piece) if reader is None else reader.part(whole, piece)
    return found


def _narrowed(
    running: Stretch | None, cut: Sequence[Period], reader: PartReader | None
) -> Stretch | None:
    """The quarter hour that is not over, as far as it is asked for."""
    if running is None or reader is None:
        return running
    cell, last = running.start, running.end
    for start, end in cut:
        if cell_of(start) != cell or start >= last or (start == cell and end > last):
            continue
        whole = Whole(cell, running.energy, running.quality)
        # What ends later has all that there is, and its end is as well known.
        part = reader.part(whole, (start, cell + CELL_S if end > last else end))
        if part.energy is None or part.quality is None:
            return None
        return Stretch(start, min(end, cell + CELL_S), part.energy, part.quality)
    return running


def _counted(cells: Cells) -> Columns:
    by_name: Mapping[str, Sequence[Any]] = cells.columns
    return Columns(
        cells.ts, by_name["energies"], by_name["counts"], by_name["dues"], by_name["qualities"]
    )


def _estimated(cells: Cells) -> Columns:
    """Mean power by the time in which it was read."""
    means, counts, dues = (cells.columns[name] for name in _POWER)
    energies = [
        twelve(mean * _HOURS * min(1.0, count / (due or count)))
        if count and mean is not None
        else None
        for mean, count, due in zip(means, counts, dues, strict=True)
    ]
    qualities = [None if energy is None else Quality.ESTIMATED for energy in energies]
    return Columns(cells.ts, energies, counts, dues, qualities)
