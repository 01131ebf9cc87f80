"""Ticks without a value as ranges: from readings that say why, and from ranges without readings.

Ticks that follow one another with one reason are one range, of the whole meter where nothing that
was due came, else of each metric. A tick at which a meter was not asked, because it had failed, has
the reason of that failure. What was asked for by hand owes no tick and is no gap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from emdc.energy.answers import GapRange
from emdc.reading import is_answer
from emdc.storage.instants import text_of
from emdc.storage.past.asking import Asker
from emdc.storage.past.tick_grid import Grid

_ROWS_AT_ONCE: Final = 10_000
_ROWS: Final = (
    "SELECT seconds(ts), gaps FROM readings WHERE meter_id = ? AND ts {low} ? AND ts < ?"
    " AND gaps IS NOT NULL AND scheduled ORDER BY ts {order} LIMIT ?"
)
_OLDEST_FIRST: Final = (_ROWS.format(low=">=", order=""), _ROWS.format(low=">", order=""))
"""From the start of the span; from the last row of a page."""
_NEWEST_FIRST: Final = _ROWS.format(low=">=", order="DESC")
_RANGES: Final = (
    "SELECT seconds(from_ts), seconds(to_ts), reason FROM gaps"
    " WHERE meter_id = ? AND from_ts < ? AND to_ts > ? AND from_ts < to_ts ORDER BY from_ts"
)
_MICROSECOND: Final = 1
_NEVER: Final = 2**62
_SKIPPED: Final = "backoff_skipped"

_reasons: Final = msgspec.json.Decoder(dict[str, frozenset[int]])


class Asked(NamedTuple):
    """Which gaps are wanted."""

    meter_id: int
    slot: int | None
    """None: of all metrics."""
    start: float
    end: float
    limit: int
    newest_first: bool


class _Key(NamedTuple):
    slot: int | None
    """None: the whole meter."""
    reason: str


class _Run(NamedTuple):
    """Rows one after the other that say the same."""

    first: int
    last: int
    rows: int
    key: tuple[int, ...]
    """Of the groups that were due, see `Grid`."""
    text: str


@dataclass(slots=True)
class _Range:
    start: int
    end: int
    ticks: int | None

    def add_ticks(self, more: int | None) -> None:
        """Those of a neighbour."""
        self.ticks = None if self.ticks is None or more is None else self.ticks + more


@dataclass(slots=True)
class _Ranges:
    """Ranges that are joined as rows come, all in one direction."""

    newest_first: bool
    open: dict[_Key, _Range] = field(default_factory=dict)
    closed: list[tuple[_Key, _Range]] = field(default_factory=list)
    last: dict[int | None, _Key] = field(default_factory=dict)
    """By slot; oldest first only."""

    def add(self, key: _Key, found: _Range) -> None:
        """Join it to the one that it follows, or precedes; skipped ticks to the failure before."""
        if self.newest_first:
            self._take_skipped(key, found)
        else:
            key = self.last[key.slot] = self._failure(key, found)
        before = self.open.get(key)
        if before is not None and self.newest_first and found.end == before.start:
            before.start = found.start
        elif before is not None and not self.newest_first and before.end == found.start:
            before.end = found.end
        else:
            if before is not None:
                self.closed.append((key, before))
            self.open[key] = found
            return
        before.add_ticks(found.ticks)

    def _failure(self, key: _Key, found: _Range) -> _Key:
        """The key of the failure that skipped ticks follow directly; any other's is its own."""
        before = self.last.get(key.slot)
        if key.reason != _SKIPPED or before is None or is_answer(before.reason):
            return key
        return before if self.open[before].end == found.start else key

    def _take_skipped(self, key: _Key, found: _Range) -> None:
        """Let a failure reach over the skipped ticks that follow it."""
        skipped = _Key(key.slot, _SKIPPED)
        after = self.open.get(skipped)
        if after is None or key == skipped or is_answer(key.reason) or found.end != after.start:
            return
        del self.open[skipped]
        found.end = after.end
        found.add_ticks(after.ticks)

    def enough(self, limit: int) -> bool:
        """Whether no further row can be among the first `limit` ranges, or change one of them."""
        if self.newest_first:
            # What is open begins before all that is closed.
            return len(self.closed) >= limit
        earliest = min((found.start for found in self.open.values()), default=_NEVER)
        return sum(found.start < earliest for _, found in self.closed) >= limit

    def all(self) -> list[tuple[_Key, _Range]]:
        """Those that are closed and those that are not."""
        return [*self.closed, *self.open.items()]


def gap_ranges(
    asker: Asker, asked: Asked, grid: Grid, names: tuple[str, Mapping[int, str]]
) -> list[GapRange]:
    """The first `limit` ranges that touch the span; `names`: the meter's, and its metrics' by slot.

    A range of `gaps` is cut to the span, and one of readings begins at its first tick in it.
    """
    ranges = _Ranges(asked.newest_first)
    slots = None if asked.slot is None else frozenset({asked.slot})
    said = _Said(grid, asked.slot)
    for rows in _pages(asker, asked):
        runs = list(_runs(rows, said))
        for run in reversed(runs) if asked.newest_first else runs:
            for key in said.keys(run.text, run.key):
                of = None if key.slot is None else frozenset({key.slot})
                ranges.add(key, _Range(run.first, grid.next_after(run.last, of), run.rows))
        if ranges.enough(asked.limit):
            break
    found = ranges.all() + _without_rows(asker, asked, grid, slots)
    found.sort(key=_place, reverse=asked.newest_first)
    meter, metrics = names
    return [
        GapRange(
            meter,
            None if key.slot is None else metrics.get(key.slot, str(key.slot)),
            one.start / 1e6,
            one.end / 1e6,
            one.ticks,
            key.reason,
        )
        for key, one in found[: asked.limit]
    ]


def _place(found: tuple[_Key, _Range]) -> tuple[int, int, str]:
    key, one = found
    return one.start, -1 if key.slot is None else key.slot, key.reason


class _Said:
    """What the texts of `readings.gaps` mean; there are few different ones."""

    def __init__(self, grid: Grid, slot: int | None) -> None:
        self._grid = grid
        self._slot = slot
        self._reasons: dict[str, dict[str, frozenset[int]]] = {}
        self._keys: dict[tuple[str, tuple[int, ...]], list[_Key]] = {}

    def key_of(self, tick: int) -> tuple[int, ...]:
        """The groups that were due."""
        return self._grid.key_of(tick)

    def pace(self, text: str, tick: int) -> int:
        """Microseconds to the next tick of all that a text names; 0 when there is no such."""
        return self._grid.pace_of(tick, frozenset().union(*self._of(text).values()))

    def keys(self, text: str, key: tuple[int, ...]) -> list[_Key]:
        """Which ranges a row belongs to, when these groups were due."""
        found = self._keys.get((text, key))
        if found is None:
            found = self._keys[text, key] = list(self._made(self._of(text), self._grid.due(key)))
        return found

    def _made(self, reasons: Mapping[str, frozenset[int]], due: frozenset[int]) -> Iterator[_Key]:
        for reason, slots in reasons.items():
            if self._slot is not None:
                if self._slot in slots:
                    yield _Key(self._slot, reason)
            elif due and due <= slots:
                yield _Key(None, reason)
            else:
                yield from (_Key(slot, reason) for slot in sorted(slots))

    def _of(self, text: str) -> dict[str, frozenset[int]]:
        found = self._reasons.get(text)
        if found is None:
            found = self._reasons[text] = _reasons.decode(text)
        return found


def _runs(rows: Sequence[tuple[int, str]], said: _Said) -> Iterator[_Run]:
    """Rows in order of time, those joined that surely are neighbours and say the same.

    A metric that never answers is named in each row: only its runs are looked at further.
    """
    run, pace = None, 0
    for tick, text in rows:
        key = said.key_of(tick)
        if run is not None and text == run.text and key == run.key and tick - run.last == pace:
            run = run._replace(last=tick, rows=run.rows + 1)
            continue
        if run is not None:
            yield run
        run, pace = _Run(tick, tick, 1, key, text), said.pace(text, tick)
    if run is not None:
        yield run


def _pages(asker: Asker, asked: Asked) -> Iterator[list[tuple[int, str]]]:
    """Rows with gaps, each page in order of time; the pages in the order that is asked for."""
    low, high = text_of(asked.start), text_of(asked.end)
    first, following = _OLDEST_FIRST
    sql = _NEWEST_FIRST if asked.newest_first else first
    while True:
        rows = asker.ask(sql, asked.meter_id, low, high, _ROWS_AT_ONCE)
        times = asker.speech.times([row[0] for row in rows])
        page = [(round(at * 1e6), row[1]) for at, row in zip(times, rows, strict=True)]
        yield page[::-1] if asked.newest_first else page
        if len(rows) < _ROWS_AT_ONCE:
            return
        if asked.newest_first:
            high = text_of(times[-1])
        else:
            low, sql = text_of(times[-1]), following


def _without_rows(
    asker: Asker, asked: Asked, grid: Grid, slots: frozenset[int] | None
) -> list[tuple[_Key, _Range]]:
    """Ranges in which no reading could exist, those joined that follow one another."""
    start, end = round(asked.start * 1e6), round(asked.end * 1e6)
    rows = asker.ask(_RANGES, asked.meter_id, text_of(asked.end), text_of(asked.start))
    firsts = asker.speech.times([row[0] for row in rows])
    lasts = asker.speech.times([row[1] for row in rows])
    joined: dict[str, list[_Range]] = {}
    for first, last, (_, _, reason) in zip(firsts, lasts, rows, strict=True):
        low, high = round(first * 1e6), round(last * 1e6)
        if high - low == _MICROSECOND:
            # A single tick, whose reading the database refused.
            high = grid.next_after(low, slots)
        low, high = max(low, start), min(high, end)
        mine = joined.setdefault(reason, [])
        if mine and low <= mine[-1].end:
            mine[-1].end = max(mine[-1].end, high)
        elif low < high:
            mine.append(_Range(low, high, None))
    for mine in joined.values():
        for one in mine:
            one.ticks = grid.count(one.start, one.end, slots)
    return [(_Key(None, reason), one) for reason, mine in joined.items() for one in mine]
