"""Half minutes of one topic, of quarter hours with many readings.

A row of `interval_details` holds all topics of its meter. Where the server finds one of them
faster than the whole row can be sent, it is asked to.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeAlias

import msgspec

from emdc.energy.answers import CELL_S
from emdc.storage.instants import text_of
from emdc.storage.past.asking import Asker
from emdc.storage.past.raw_values import Slot
from emdc.storage.past.series import Summaries, chained

HALF_S: Final = 30
HALVES: Final = CELL_S // HALF_S
"""Half minutes of a quarter hour."""

_TOPIC: Final[Mapping[str, tuple[str, str]]] = {
    "sqlite": ("vals -> cast(? AS integer)", "{}"),
    "postgresql": ("vals::json ->> ?::int", "{}"),
    "mysql": ("JSON_EXTRACT(vals, ?)", "$[{}]"),
}
_Numbers: TypeAlias = list[float | None]
_Halves: TypeAlias = tuple[list[int], _Numbers, _Numbers, _Numbers, _Numbers]

_details: Final = msgspec.json.Decoder(list[_Halves | None])


class Details(NamedTuple):
    """Half minutes of some quarter hours."""

    cells: list[float]
    """The quarter hours, in order of time, that have any."""
    summaries: Summaries
    """First values are not stored: each half minute's is its mean."""


def details_of(asker: Asker, place: Slot, span: tuple[float, float]) -> Details:
    """Those of the quarter hours in start ≤ t < end."""
    column, path = _TOPIC[asker.speech.kind]
    parameters = (path.format(place.slot), place.meter_id, *map(text_of, span))
    source = "FROM interval_details WHERE meter_id = ? AND ts >= ? AND ts < ?"
    cells, (tokens,) = asker.columns("ts", [column], source, *parameters)
    found = _details.decode(f"[{tokens}]")
    parts = [_summaries(cell, halves) for cell, halves in zip(cells, found, strict=True) if halves]
    summaries = chained(parts)
    if not all(summaries.counts):
        summaries = summaries.where(at for at, count in enumerate(summaries.counts) if count)
    return Details(cells, summaries)


def _summaries(cell: float, halves: _Halves) -> Summaries:
    counts, minima, maxima, means, lasts = halves
    starts = [cell + HALF_S * half for half in range(HALVES)]
    return Summaries.of((starts, counts, minima, maxima, means, means, lasts))
