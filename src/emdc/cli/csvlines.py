"""The lines of a CSV file of values, each checked, with the place of every fault.

Columns are found by the names in the first line: ts, topic and value, in any order, among others
that are not read. A file is read twice, so that nothing is stored of one that has a fault.
"""

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import IO, Final, NamedTuple, TypeAlias

from emdc.cli.csvfile import HEADER, instant_of, topic_of, value_of
from emdc.errors import ConfigError
from emdc.storage.intake import Known, NewValue
from emdc.storage.places import split

_SHOWN: Final = 20
_LONGEST_NAME: Final = 512
_LONGEST_LINE: Final = 1_000_000
"""Characters; what has no line end by then is no file of lines, and might have none at all."""


class Fault(NamedTuple):
    """Why a line cannot be used."""

    line: int
    problem: str


Line: TypeAlias = tuple[int, NewValue] | Fault


@dataclass(slots=True)
class Survey:
    """What a first look at a whole file has found."""

    count: int = 0
    faults: list[Fault] = field(default_factory=list)
    """The first of them."""
    faulty: int = 0
    mixed: list[str] = field(default_factory=list)
    """Topics with texts among numbers, with the line of the first text."""
    names: list[str] = field(default_factory=list)
    """All topics, those of a meter in the order in which the file has them."""

    def check(self, source: str) -> None:
        """Raise ConfigError when there is a fault."""
        if not self.faulty:
            return
        lines = [f"{source}: line {line}{problem}" for line, problem in self.faults]
        if self.faulty > len(lines):
            lines.append(f"{source}: {self.faulty - len(lines):,} more lines with faults")
        lines[-1] += "; nothing was stored"
        raise ConfigError("\n  ".join(lines))


def survey(file: IO[bytes], known: Known) -> Survey:
    """Look at every line."""
    found, order = Survey(), _Order()
    numbers: set[str] = set()
    texts: dict[str, int] = {}
    for line in read(file, known):
        if isinstance(line, Fault):
            found.faulty += 1
            if len(found.faults) < _SHOWN:
                found.faults.append(line)
            continue
        number, (ts, topic, value) = line
        found.count += 1
        order.see(ts, topic)
        if not isinstance(value, str):
            numbers.add(topic)
        elif topic not in texts:
            texts[topic] = number
    found.names = order.names()
    mixed = {topic: line for topic, line in texts.items() if topic in numbers}
    found.mixed = [f"{topic}, line {line}" for topic, line in mixed.items()]
    return found


def read(file: IO[bytes], known: Known) -> Iterator[Line]:
    """Every line of values from the beginning of the file, with its number."""
    file.seek(0)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    reader = csv.reader(_lines(text), strict=True)
    try:
        yield from _rows(reader, known)
    except _TooLongError as error:
        yield Fault(reader.line_num + 1, f": {error}")
    except csv.Error as error:
        yield Fault(reader.line_num, f": {error}, expected CSV as RFC 4180 describes it")
    except UnicodeDecodeError as error:
        yield Fault(reader.line_num + 1, f" or after it: {error.reason}, expected UTF-8")
    finally:
        text.detach()


class _TooLongError(Exception):
    """A line without an end."""


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    while line := text.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE and line[-1] not in "\r\n":
            raise _TooLongError(f"no line end in {_LONGEST_LINE:,} characters, expected CSV")
        yield line


def _rows(reader: Iterator[list[str]], known: Known) -> Iterator[Line]:
    header = next(reader, [])
    places = _columns(header)
    if isinstance(places, Fault):
        yield places
        return
    parse = _Parser(places, known)
    for row in reader:
        if row:
            number: int = reader.line_num  # type: ignore[attr-defined]
            try:
                yield number, parse.row(row)
            except ValueError as error:
                yield Fault(number, str(error))


def _columns(header: list[str]) -> tuple[int, int, int] | Fault:
    names = [cell.strip().lower() for cell in header]
    for name in HEADER:
        if names.count(name) != 1:
            many = "no column" if name not in names else "more than one column"
            said = ", ".join(header)[:80]
            return Fault(1, f": {many} {name} in {said!r}, expected ts,topic,value")
    return names.index("ts"), names.index("topic"), names.index("value")


class _Parser:
    """Cells to values; what a cell before meant is not worked out again."""

    def __init__(self, places: tuple[int, int, int], known: Known) -> None:
        self._places = places
        self._width = max(places) + 1
        self._known = known
        self._topics: dict[str, str] = {}
        self._ts = ("", "")

    def row(self, row: list[str]) -> NewValue:
        """Raises ValueError, which begins with the column."""
        if len(row) < self._width:
            raise ValueError(f": {len(row)} cells, expected {self._width}")
        ts_cell, topic_cell, value_cell = (row[place] for place in self._places)
        if ts_cell != self._ts[0]:
            self._ts = (ts_cell, _told("ts", instant_of, ts_cell))
        topic = self._topics.get(topic_cell)
        if topic is None:
            topic = self._topics[topic_cell] = _told("topic", self._topic, topic_cell)
        try:
            value = value_of(value_cell, is_text=topic in self._known.texts)
        except ValueError as error:
            raise ValueError(f", value: {error}") from error
        return NewValue(self._ts[1], topic, value)

    def _topic(self, cell: str) -> str:
        name = topic_of(cell)
        if name in self._known.names:
            return name
        if len(name) > _LONGEST_NAME:
            raise ValueError(f"{len(name)} characters, expected at most {_LONGEST_NAME}")
        try:
            split(name)
        except ConfigError as error:
            raise ValueError(f"{error}, expected meter/metric") from error
        return name


def _told(column: str, meaning: Callable[[str], str], cell: str) -> str:
    try:
        return meaning(cell)
    except ValueError as error:
        raise ValueError(f", {column}: {error}") from error


class _Order:
    """The order in which the topics of a meter follow each other at one instant.

    Slots in that order let an export of what was imported be the same file again.
    """

    def __init__(self) -> None:
        self._after: dict[str, set[str]] = {}
        self._last = ("", "")

    def see(self, ts: str, topic: str) -> None:
        """The next line."""
        before = self._after.get(topic)
        if before is None:
            before = self._after[topic] = set()
        if self._last[0] == ts and self._last[1] != topic:
            before.add(self._last[1])
        self._last = (ts, topic)

    def names(self) -> list[str]:
        """All topics, sorted by that; as they first came where that contradicts itself."""
        graphs: dict[str, dict[str, set[str]]] = {}
        for topic, before in self._after.items():
            graphs.setdefault(split(topic)[0], {})[topic] = before
        return [topic for graph in graphs.values() for topic in _sorted(graph)]


def _sorted(graph: Mapping[str, set[str]]) -> list[str]:
    # Lines of other meters may stand between.
    inner = {topic: before & graph.keys() for topic, before in graph.items()}
    try:
        return list(TopologicalSorter(inner).static_order())
    except CycleError:
        return list(graph)
