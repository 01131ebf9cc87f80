"""The waves that sample data is made of, as a file lists them: JSON with comments, checked.

Called by `emdc gendata`; `generator` makes samples of them. Every fault of a file is reported with
its entry, field, value and what was expected. Pure: the text comes in.
"""

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NoReturn, TypeAlias

import msgspec

from emdc.errors import ConfigError

MOST_SAMPLES: Final = 100_000_000
MOST_ENTRIES: Final = 10_000
LARGEST_NUMBER: Final = 1_000_000_000
"""Of a topic: every engine's INTEGER holds it, with room for the topics that follow."""
LARGEST_RATE: Final = 1000.0

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_YEARS: Final = (1970, 2199)
_LARGEST: Final = 1e15
_COMMENT: Final = re.compile(r'("(?:\\.|[^"\\\n])*")|//[^\n]*')

_Amplitude: TypeAlias = Annotated[float, msgspec.Meta(ge=-_LARGEST, le=_LARGEST)]
_Number: TypeAlias = Annotated[int, msgspec.Meta(ge=1, le=LARGEST_NUMBER)]
_Name: TypeAlias = Annotated[
    str,
    msgspec.Meta(
        max_length=512,
        pattern=r"^(?![\s/])[^\x00-\x1f\x7f-\x9f\ud800-\udfff]+(?<![\s/])\Z",
    ),
]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One wave of one topic, sampled at start, start + 1 / sample_rate … before `end`."""

    start: datetime
    """UTC."""
    end: datetime
    """UTC; not part of the range, so that the next range may begin there."""
    topic_id: _Number | None = None
    topic_name: _Name | None = None
    sample_rate: Annotated[float, msgspec.Meta(gt=0, le=LARGEST_RATE)] = 0.01
    """Samples per second."""
    period: Annotated[float, msgspec.Meta(gt=0, le=_LARGEST)] = 86400.0
    """Seconds."""
    amplitude_cos: _Amplitude = 0.0
    amplitude_sin: _Amplitude = 0.0
    amplitude_offset: _Amplitude = 0.0
    spread: Annotated[float, msgspec.Meta(ge=0, le=_LARGEST)] = 0.05
    """Noise: uniform, from -spread to +spread; each entry adds its own."""

    @property
    def range_us(self) -> tuple[int, int]:
        """First instant, and the end of the range, in microseconds since 1970 UTC."""
        return (self.start - _EPOCH) // _MICROSECOND, (self.end - _EPOCH) // _MICROSECOND

    @property
    def count(self) -> int:
        """How many samples it has."""
        start, end = self.range_us
        return math.ceil((end - start) * self.sample_rate / 1e6)


_AMPLITUDE: Final = f"a number from -{_LARGEST:.0e} to {_LARGEST:.0e}"
_EXPECTED: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        ("start", "end"),
        "a time as ISO 8601, such as 2026-03-01T00:00:00Z (UTC when it names no zone), "
        f"from {_YEARS[0]} to {_YEARS[1]}",
    ),
    "topic_id": f"a whole number from 1 to {LARGEST_NUMBER}",
    "topic_name": "a text such as UW/Mercer/nexus_meter/W, without a slash or space at its ends",
    "sample_rate": f"samples per second, above 0 and at most {LARGEST_RATE:.0f}",
    "period": f"seconds, above 0 and at most {_LARGEST:.0e}",
    **dict.fromkeys(("amplitude_cos", "amplitude_sin", "amplitude_offset"), _AMPLITUDE),
    "spread": f"a number from 0 to {_LARGEST:.0e}",
}
_TYPES: Final = {field.name: field.type for field in msgspec.structs.fields(Entry)}


class _Faults(list[str]):
    """All that is wrong with one file."""

    def end(self, source: str) -> None:
        """Raise ConfigError when there is anything."""
        if len(self) == 1:
            raise ConfigError(f"{source}: {self[0]}")
        if self:
            lines = "\n  ".join(self)
            raise ConfigError(f"{source}: {len(self)} faults\n  {lines}")


def parse(text: str, source: str, *, replaced: Mapping[str, object]) -> tuple[Entry, ...]:
    """The entries of a file, JSON with comments from `//` to the end of a line.

    `replaced` are fields that stand instead of those of every entry; a topic_id or a topic_name
    among them replaces both. Raises ConfigError, with every fault of the file `source`.
    """
    raw = _loaded(text, source)
    faults = _Faults()
    if not isinstance(raw, list) or not 0 < len(raw) <= MOST_ENTRIES:
        what = f"{len(raw)} entries" if isinstance(raw, list) else _shown(raw)
        faults.append(f"{what}, expected a list of 1 to {MOST_ENTRIES} objects")
        faults.end(source)
    dropped = {"topic_id", "topic_name"} if replaced.keys() & {"topic_id", "topic_name"} else set()
    entries = []
    for number, item in enumerate(raw, 1):
        if not isinstance(item, dict):
            faults.append(f"entry {number}: {_shown(item)}, expected an object {{…}}")
            continue
        kept = {key: value for key, value in item.items() if key not in dropped}
        entries.append(_entry(kept | dict(replaced), f"entry {number}", faults))
    total = sum(entry.count for entry in entries if entry is not None)
    if total > MOST_SAMPLES:
        faults.append(f"{total} samples in all, expected at most {MOST_SAMPLES}")
    faults.end(source)
    return tuple(entry for entry in entries if entry is not None)


def topics(
    entries: Sequence[Entry], source: str, known: Mapping[int, str]
) -> dict[str, list[Entry]]:
    """The entries by the name of their topic.

    `known` names the topics that exist by number; any other number must come with a name, in its
    own entry or in another one. Raises ConfigError, with every fault, for contradictions.
    """
    names = dict(known)
    faults = _Faults()
    for number, entry in enumerate(entries, 1):
        if entry.topic_id is None or entry.topic_name is None:
            continue
        name = names.setdefault(entry.topic_id, entry.topic_name)
        if name != entry.topic_name:
            faults.append(
                f"entry {number}, topic_id: {entry.topic_id} is the topic {name}, expected the "
                f"number of {entry.topic_name}, or no topic_id"
            )
    found: dict[str, list[Entry]] = {}
    for number, entry in enumerate(entries, 1):
        name = entry.topic_name or names.get(entry.topic_id or 0, "")
        if not name:
            faults.append(
                f"entry {number}, topic_id: no topic has the number {entry.topic_id}, expected a "
                "topic_name beside it"
            )
        found.setdefault(name, []).append(entry)
    faults.end(source)
    return found


def _loaded(text: str, source: str) -> Any:
    """What the JSON says. A comment becomes spaces, so that line and column of a fault hold."""
    plain = _COMMENT.sub(lambda found: found[1] or " " * len(found[0]), text)
    try:
        return json.loads(plain, object_pairs_hook=_object, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{source}: {where}: {error.msg.lower()}, expected JSON") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{source}: {error}, expected a list of objects") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{', '.join(twice)} stands twice in one object")
    return found


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _entry(raw: Mapping[str, object], where: str, faults: list[str]) -> Entry | None:
    """The entry, or None when its faults were added."""
    before = len(faults)
    fields: dict[str, Any] = {}
    for name in (name for name in raw if name not in _TYPES):
        near = difflib.get_close_matches(name, _TYPES, n=1)
        meant = f"did you mean {near[0]}" if near else f"expected one of {', '.join(_TYPES)}"
        faults.append(f"{where}, {name[:40]}: unknown field, {meant}")
    for name in (name for name in _TYPES if name in raw):
        try:
            fields[name] = _field(name, raw[name])
        except (ValueError, OverflowError):
            faults.append(f"{where}, {name}: {_shown(raw[name])}, expected {_EXPECTED[name]}")
    missing = [name for name in ("start", "end") if name not in raw]
    faults += [f"{where}, {name}: missing, expected {_EXPECTED[name]}" for name in missing]
    if raw.get("topic_id") is raw.get("topic_name") is None:
        faults.append(f"{where}, topic_name: missing, expected {_EXPECTED['topic_name']}")
    if {"start", "end"} <= fields.keys() and fields["end"] <= fields["start"]:
        faults.append(f"{where}, end: {_shown(raw['end'])}, expected a time after the start")
    return Entry(**fields) if len(faults) == before else None


def _field(name: str, value: object) -> Any:
    """One value, checked. Raises ValueError or OverflowError."""
    if name not in {"start", "end"}:
        return msgspec.convert(value, _TYPES[name])
    if not isinstance(value, str):
        raise ValueError("no text")
    at = datetime.fromisoformat(value)
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if not _YEARS[0] <= at.year <= _YEARS[1]:
        raise ValueError("far away")
    return at


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:59]}…"
