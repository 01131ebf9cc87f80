"""Stored quarter hours of one topic: closed days, and the rows of days that are not.

Columns are decoded whole, a few calls for a year of them. Asked by `chronicle` and its parts.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, compress
from typing import Any, Final, NamedTuple

import msgspec

from emdc.energy.answers import CELL_S, DAY_CELLS, DAY_S
from emdc.storage.instants import text_of
from emdc.storage.past.asking import Asker
from emdc.storage.past.samples import StoredTopic
from emdc.storage.past.series import NONE, Summaries

SUMMARY: Final = ("counts", "minima", "maxima", "means", "firsts", "lasts")
"""Columns of what a topic was."""

_ROWS_BACK: Final = 2 * DAY_CELLS
_DAYS_BACK: Final = 400
# A row holds all topics of its meter, as arrays of numbers without strings: so they can be cut at
# commas, which is five times as fast as to read them as JSON.
_OF_SLOT: Final[Mapping[str, str]] = {
    "sqlite": "{} -> (? - 1)",
    "postgresql": "NULLIF(split_part({}, ',', ?), '')",
    # As bytes, in which a comma is found in half the time.
    "mysql": "CONVERT(LEFT(SUBSTRING_INDEX(SUBSTRING_INDEX("
    "CONCAT(CAST({} AS BINARY), ',null'), ',', ?), ',', -1), 64) USING utf8mb4)",
}
_COUNTS: Final = frozenset({"counts", "dues", "qualities"})
_whole: Final = msgspec.json.Decoder(list[list[int | None]])
_numbers: Final = msgspec.json.Decoder(list[list[float | None]])


class Cells(NamedTuple):
    """Quarter hours of one topic in order of time, none twice; some may be missing."""

    ts: Sequence[float]
    columns: Mapping[str, Sequence[Any]]
    """By name, each as long as `ts`; None where there is nothing."""

    def within(self, start: float, end: float) -> "Cells":
        """Those with start ≤ ts < end."""
        low = _place(self.ts, start)
        high = _place(self.ts, end)
        if low == 0 and high == len(self.ts):
            return self
        columns = {name: column[low:high] for name, column in self.columns.items()}
        return Cells(self.ts[low:high], columns)

    def then(self, later: "Cells") -> "Cells":
        """These and others; of a quarter hour in both the other one is meant."""
        if not later.ts or not self.ts:
            return later if later.ts else self
        if self.ts[-1] < later.ts[0]:
            ts, columns = [*self.ts, *later.ts], self.columns
            return Cells(ts, {n: [*columns[n], *later.columns[n]] for n in columns})
        whole = later.ts[-1] - later.ts[0] == (len(later.ts) - 1) * CELL_S
        if whole and self.ts[-1] <= later.ts[-1]:
            return self.within(self.ts[0], later.ts[0]).then(later)
        return _woven(self, later)


def cells_of(
    asker: Asker, topic: StoredTopic, span: tuple[float, float], names: Sequence[str]
) -> Cells:
    """The stored quarter hours of start ≤ ts < end."""
    start, end = span
    days = _days(asker, topic, span, names)
    if topic.meter_id is None or topic.slot is None:
        return days.within(start, end)
    return days.within(start, end).then(_rows(asker, topic, span, names))


def summaries(cells: Cells) -> Summaries:
    """Those in which anything was read."""
    counts = cells.columns["counts"]
    if not counts:
        return NONE
    columns = (cells.ts, *(cells.columns[name] for name in SUMMARY))
    if all(counts):
        return Summaries.of(columns)
    return Summaries.of(list(compress(column, counts)) for column in columns)


def has_days(asker: Asker, topic: StoredTopic, start: float, end: float) -> bool:
    """Whether closed days are stored that touch the span."""
    sql = "SELECT 1 FROM interval_days WHERE topic_id = ? AND day > ? AND day < ? LIMIT 1"
    return bool(asker.ask(sql, topic.topic_id, text_of(start - DAY_S), text_of(end)))


def last_read(asker: Asker, topic: StoredTopic) -> float | None:
    """The last stored quarter hour in which the topic had a value, of its last 400 days."""
    sql = (
        "SELECT seconds(ts), counts FROM interval_rows WHERE meter_id = ? ORDER BY ts DESC LIMIT ?"
    )
    for ts, counts in asker.ask(sql, topic.meter_id, _ROWS_BACK):
        if _count(counts, topic.slot or 0):
            return asker.speech.times([ts])[0]
    sql = (
        "SELECT seconds(day), counts FROM interval_days WHERE topic_id = ?"
        " ORDER BY day DESC LIMIT ?"
    )
    for day, counts in asker.ask(sql, topic.topic_id, _DAYS_BACK):
        for cell in reversed(range(DAY_CELLS)):
            if _count(counts, cell):
                return asker.speech.times([day])[0] + cell * CELL_S
    return None


def _count(counts: str, place: int) -> int:
    (array,) = _decoded("counts", counts)
    return array[place] or 0 if place < len(array) else 0


def _days(
    asker: Asker, topic: StoredTopic, span: tuple[float, float], names: Sequence[str]
) -> Cells:
    sql = (
        f"SELECT seconds(day), {', '.join(names)} FROM interval_days"  # noqa: S608 (constants only)
        " WHERE topic_id = ? AND day > ? AND day < ? ORDER BY day"
    )
    rows = asker.ask(sql, topic.topic_id, text_of(span[0] - DAY_S), text_of(span[1]))
    if not rows:
        return Cells((), dict.fromkeys(names, ()))
    days, *columns = zip(*rows, strict=True)
    begins = [int(day) for day in asker.speech.times(days)]
    ts: Sequence[float] = range(begins[0], begins[-1] + DAY_S, CELL_S)
    if len(ts) != len(begins) * DAY_CELLS:
        ts = [at for day in begins for at in range(day, day + DAY_S, CELL_S)]
    return Cells(ts, {n: _flat(n, arrays) for n, arrays in zip(names, columns, strict=True)})


def _flat(name: str, arrays: Sequence[str]) -> list[Any]:
    """Those of all days, one after the other."""
    # Days are alike in what was due, read and sound, so few texts are to be read.
    known = {array: _decoded(name, array)[0] for array in set(arrays)}
    return list(chain.from_iterable(map(known.__getitem__, arrays)))


def _rows(
    asker: Asker, topic: StoredTopic, span: tuple[float, float], names: Sequence[str]
) -> Cells:
    between = (text_of(span[0]), text_of(span[1]))
    source = "FROM interval_rows WHERE meter_id = ? AND ts >= ? AND ts < ?"
    nth = (topic.slot or 0) + 1
    tokens = [_OF_SLOT[asker.speech.kind].format(name) for name in names]
    parameters = (*[nth] * len(names), topic.meter_id, *between)
    ts, columns = asker.joined("ts", tokens, source, *parameters)
    return Cells(
        ts, {n: _decoded(n, _bare(text))[0] for n, text in zip(names, columns, strict=True)}
    )


def _bare(tokens: str) -> str:
    """Tokens as an array: those at the ends of theirs have its brackets."""
    return f"[{tokens.replace('[]', 'null').replace('[', '').replace(']', '')}]"


def _decoded(name: str, column: str) -> list[list[Any]]:
    found: list[list[Any]] = (_whole if name in _COUNTS else _numbers).decode(f"[{column}]")
    return found


def _place(ts: Sequence[float], at: float) -> int:
    """How many begin before an instant."""
    if not ts:
        return 0
    guess = int(max(0.0, min(float(len(ts)), -((ts[0] - at) // CELL_S))))
    if (guess == 0 or ts[guess - 1] < at) and (guess == len(ts) or ts[guess] >= at):
        return guess
    return sum(one < at for one in ts)


def _woven(one: Cells, other: Cells) -> Cells:
    """Both by time, where they are not one after the other."""
    rows = {at: index for index, at in enumerate(one.ts)}
    places = {at: (one, index) for at, index in rows.items()}
    places |= {at: (other, index) for index, at in enumerate(other.ts)}
    ts = sorted(places)
    columns = {
        name: [cells.columns[name][index] for cells, index in (places[at] for at in ts)]
        for name in one.columns
    }
    return Cells(ts, columns)
