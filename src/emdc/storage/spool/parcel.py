"""What happens to a recorder, as events, and each event as bytes that a later start can read.

`spool` keeps the bytes. A parcel is one byte of form, the CRC-32 of all else, and a deflated
MessagePack document. A form that was ever written must stay readable: what it holds may wait on a
disk through an upgrade. Nothing is executed to read one, and bytes that are not a whole parcel are
a StorageError, never anything else.
Pure: no clock, no disk.
"""

import struct
import zlib
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec

from emdc.errors import StorageError
from emdc.reading import Gap, MeterProfile, MeterReading, Topic
from emdc.storage.instants import from_microseconds, to_microseconds
from emdc.storage.spool.backlog import Entry

_PLAIN: Final = 1
_MARKED: Final = 2
"""Form of what MessagePack has no place for: texts and long integers are marked byte strings."""
_HEAD: Final = struct.Struct("<BI")
_DEFLATE: Final = -15
"""zlib's window, without its own header and its weaker checksum."""
_LEVEL: Final = 1

Kind: TypeAlias = Literal["started", "entries", "dropped", "stopped"]
"""`dropped`: entries that the spool had no room for, of which only gaps are left."""


@dataclass(frozen=True, slots=True)
class Started:
    """A run of the recorder began: what the database registers then."""

    profiles: tuple[MeterProfile, ...]
    begin: datetime
    """UTC; ticks from here on are owed."""
    scheduled: bool


@dataclass(frozen=True, slots=True)
class Entries:
    """One group of readings and gaps, in order."""

    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Stopped:
    """A clean stop, UTC."""

    at: datetime


Event: TypeAlias = Started | Entries | Stopped

_T = TypeVar("_T", bound=Hashable)
_Value: TypeAlias = bool | float | int | str | None


class _Row(msgspec.Struct, array_like=True, gc=False):
    meter: str
    tick: int
    read_at: int
    plan: int
    values: tuple[_Value, ...]
    gaps: dict[str, str] | None
    scheduled: bool


class _Gap(msgspec.Struct, array_like=True, gc=False):
    place: int
    """Among the entries."""
    meter: str
    from_ts: int
    to_ts: int
    reason: str


class _Entries(msgspec.Struct, array_like=True):
    plans: list[tuple[str, ...]]
    rows: list[_Row]
    gaps: list[_Gap]


class _Profile(msgspec.Struct, array_like=True):
    name: str
    topics: int
    interval_s: float | int | None
    settings: dict[str, str | float | int]


class _Started(msgspec.Struct, array_like=True):
    topics: list[tuple[Topic, ...]]
    profiles: list[_Profile]
    begin: int
    scheduled: bool


class _Stopped(msgspec.Struct, array_like=True):
    at: int


_FORMS: Final[dict[str, msgspec.msgpack.Decoder[Any]]] = {
    "started": msgspec.msgpack.Decoder(_Started),
    "entries": msgspec.msgpack.Decoder(_Entries),
    "dropped": msgspec.msgpack.Decoder(_Entries),
    "stopped": msgspec.msgpack.Decoder(_Stopped),
}
_encode: Final = msgspec.msgpack.Encoder().encode

_NOT_PLAIN: Final = (UnicodeEncodeError, OverflowError)
_NO_EVENT: Final = (TypeError, ValueError, AttributeError, RecursionError)
_NO_PARCEL: Final = (
    msgspec.MsgspecError,
    zlib.error,
    struct.error,
    ArithmeticError,
    LookupError,
    *_NO_EVENT,
)


def kind_of(event: Event) -> Kind:
    """The word by which `unpack` knows what a parcel holds."""
    if isinstance(event, Entries):
        return "entries"
    return "started" if isinstance(event, Started) else "stopped"


def pack(event: Event) -> bytes:
    """The event as bytes.

    Raises StorageError when it holds what no event can: a naive time, a value of another type.
    """
    try:
        document = _document(event)
        try:
            form, content = _PLAIN, _encode(document)
        except _NOT_PLAIN:
            form, content = _MARKED, _encode(_marked(msgspec.to_builtins(document)))
    except _NO_EVENT as error:
        raise StorageError(f"an event that cannot be kept: {error}") from error
    deflated = zlib.compress(content, _LEVEL, wbits=_DEFLATE)
    return _HEAD.pack(form, _checksum(form, deflated)) + deflated


def unpack(kind: str, body: bytes) -> Event:
    """The event that `pack` made these bytes of; readings of one plan share its tuple of names.

    Raises StorageError when they are damaged, or of a form that only a later version knows.
    """
    decoder = _FORMS.get(kind)
    if decoder is None:
        raise StorageError(f"an event of kind {kind!r}, expected one of {', '.join(_FORMS)}")
    try:
        form, checksum = _HEAD.unpack_from(body)
        deflated = memoryview(body)[_HEAD.size :]
        if form not in {_PLAIN, _MARKED}:
            raise StorageError(
                f"an event of form {form}, expected {_PLAIN} or {_MARKED}: "
                "it is damaged, or was written by a later version of this program"
            )
        if checksum != _checksum(form, deflated):
            raise StorageError("a damaged event: its checksum is wrong")
        content = zlib.decompress(deflated, _DEFLATE)
        return _event(_parsed(decoder, content, marked=form == _MARKED))
    except _NO_PARCEL as error:
        raise StorageError(f"a damaged event: {error}") from error


def reading_count(event: Event) -> int:
    """How many readings an event holds."""
    if not isinstance(event, Entries):
        return 0
    return sum(isinstance(entry, MeterReading) for entry in event.entries)


def _checksum(form: int, deflated: bytes | memoryview) -> int:
    return zlib.crc32(deflated, form)


class _Shared(Generic[_T]):
    """Items that are written once however many name them."""

    def __init__(self) -> None:
        self.items: list[_T] = []
        self._by_id: dict[int, int] = {}
        self._by_value: dict[_T, int] = {}

    def place(self, item: _T) -> int:
        found = self._by_id.get(id(item))
        if found is None:
            found = self._by_value.setdefault(item, len(self.items))
            # Hashing a hundred names costs more than an id, which is good while the event lives.
            self._by_id[id(item)] = found
            if found == len(self.items):
                self.items.append(item)
        return found


def _document(event: Event) -> object:
    if isinstance(event, Entries):
        return _entries_document(event.entries)
    if isinstance(event, Stopped):
        return (to_microseconds(event.at),)
    topics: _Shared[tuple[Topic, ...]] = _Shared()
    profiles = [
        (profile.name, topics.place(profile.topics), profile.interval_s, dict(profile.settings))
        for profile in event.profiles
    ]
    return topics.items, profiles, to_microseconds(event.begin), event.scheduled


def _entries_document(entries: Sequence[Entry]) -> object:
    plans: _Shared[tuple[str, ...]] = _Shared()
    rows, gaps = [], []
    for place, entry in enumerate(entries):
        if isinstance(entry, Gap):
            ends = to_microseconds(entry.from_ts), to_microseconds(entry.to_ts)
            gaps.append((place, entry.meter, *ends, entry.reason))
        else:
            instants = to_microseconds(entry.tick), to_microseconds(entry.read_at)
            plan = plans.place(entry.metrics)
            missing = dict(entry.gaps) if entry.gaps else None
            rows.append((entry.meter, *instants, plan, entry.values, missing, entry.scheduled))
    return plans.items, rows, gaps


def _parsed(decoder: msgspec.msgpack.Decoder[Any], content: bytes, *, marked: bool) -> object:
    if not marked:
        return decoder.decode(content)
    return msgspec.convert(_unmarked(msgspec.msgpack.decode(content)), decoder.type)


def _event(document: object) -> Event:
    if isinstance(document, _Entries):
        return Entries(_entries(document))
    if isinstance(document, _Stopped):
        return Stopped(from_microseconds(document.at))
    assert isinstance(document, _Started)
    profiles = tuple(
        MeterProfile(
            profile.name, document.topics[profile.topics], profile.interval_s, profile.settings
        )
        for profile in document.profiles
    )
    return Started(profiles, from_microseconds(document.begin), document.scheduled)


def _entries(document: _Entries) -> tuple[Entry, ...]:
    plans = document.plans
    entries: list[Entry] = [
        MeterReading(
            row.meter,
            from_microseconds(row.tick),
            from_microseconds(row.read_at),
            plans[row.plan],
            row.values,
            row.gaps or {},
            row.scheduled,
        )
        for row in document.rows
    ]
    for gap in document.gaps:
        ends = from_microseconds(gap.from_ts), from_microseconds(gap.to_ts)
        entries.insert(gap.place, Gap(gap.meter, *ends, gap.reason))
    return tuple(entries)


def _marked(item: Any) -> Any:
    """The same with each text and each long integer as a byte string that says which it is.

    UTF-8 has no place for half a surrogate pair, MessagePack none for more than 64 bits.
    """
    if isinstance(item, str):
        return b"t" + item.encode("utf-8", "surrogatepass")
    if isinstance(item, int) and not -(2**63) <= item < 2**64:
        return b"i%d" % item
    if isinstance(item, dict):
        return {_marked(key): _marked(value) for key, value in item.items()}
    return [_marked(part) for part in item] if isinstance(item, list | tuple) else item


def _unmarked(item: Any) -> Any:
    if isinstance(item, bytes):
        if item[:1] == b"i":
            return int(item[1:])
        return item[1:].decode("utf-8", "surrogatepass")
    if isinstance(item, dict):
        return {_unmarked(key): _unmarked(value) for key, value in item.items()}
    return [_unmarked(part) for part in item] if isinstance(item, list) else item
