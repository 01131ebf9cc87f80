import math
import struct
import zlib
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdc.errors import StorageError
from emdc.reading import Gap, MeterProfile, MeterReading, Topic
from emdc.storage.spool.parcel import Entries, Event, Started, Stopped, kind_of, pack, unpack
from tests.storage.plant import METER, METRICS, NOON, profile, reading, tick

KINDS = ("started", "entries", "dropped", "stopped")

texts = st.text(st.characters(exclude_categories=()), max_size=8)
instants = st.datetimes(timezones=st.just(UTC))
doubles = st.integers(0, 2**64 - 1).map(
    lambda bits: float(struct.unpack("<d", struct.pack("<Q", bits))[0])
)
values = (
    st.none() | doubles | st.floats() | st.integers(-(2**70), 2**70) | texts | st.integers(0, 9)
)
readings = st.builds(
    MeterReading,
    texts,
    instants,
    instants,
    st.lists(texts, max_size=4).map(tuple),
    st.lists(values, max_size=4).map(tuple),
    st.dictionaries(texts, texts, max_size=3),
    st.booleans(),
)
gaps = st.builds(Gap, texts, instants, instants, texts)
topics = st.builds(
    Topic,
    texts,
    texts,
    st.sampled_from(["gauge", "counter", "text"]),
    st.none() | st.integers(0, 9) | st.just("float32"),
    texts,
    st.none() | st.floats(0.1, 1e6),
    st.none() | st.floats(0.1, 2.0**64) | st.integers(1, 2**53),
)
profiles = st.builds(
    MeterProfile,
    texts,
    st.lists(topics, max_size=3).map(tuple),
    st.none() | st.floats(0.1, 1e6),
    st.dictionaries(texts, texts | st.floats(allow_nan=False), max_size=3),
)
events = (
    st.builds(Entries, st.lists(readings | gaps, max_size=5).map(tuple))
    | st.builds(Started, st.lists(profiles, max_size=3).map(tuple), instants, st.booleans())
    | st.builds(Stopped, instants)
)


def exactly(item: object) -> object:
    """What is equal only if types, bits of floats and order of mappings are."""
    if isinstance(item, float):
        return "float", struct.pack("<d", item)
    if isinstance(item, tuple | list):
        return type(item), [exactly(part) for part in item]
    if isinstance(item, dict):
        return [(exactly(key), exactly(value)) for key, value in item.items()]
    fields = getattr(item, "__dataclass_fields__", None)
    if fields is not None:
        return type(item), [exactly(getattr(item, name)) for name in fields]
    return type(item), item


def there_and_back(event: Event) -> Event:
    return unpack(kind_of(event), pack(event))


def parcel(form: int, content: bytes) -> bytes:
    """A parcel with a right checksum around any content."""
    deflated = zlib.compress(content, 1, wbits=-15)
    return bytes([form]) + zlib.crc32(deflated, form).to_bytes(4, "little") + deflated


def group(count: int = 5) -> Entries:
    stored = (reading(at, (120.5 + at / 7, at, f"A{at}")) for at in range(count))
    return Entries((*stored, Gap(METER, tick(count), tick(count + 2), "overrun")))


@settings(deadline=None, max_examples=300)
@given(events)
def test_any_event_comes_back_exactly(event: Event) -> None:
    assert exactly(there_and_back(event)) == exactly(event)


def test_every_kind_of_value_comes_back_exactly() -> None:
    kinds = (-0.0, math.inf, -math.inf, math.nan, 5e-324, 7.0, 7, True, None, "Ω\x00", "")
    limits = (2**63, 2**64 - 1, -(2**63), 2**64, -(2**200))
    event = Entries((reading(0, (*kinds, *limits)), reading(1, kinds)))
    assert exactly(there_and_back(event)) == exactly(event)


def test_half_a_surrogate_pair_comes_back_and_so_does_its_group() -> None:
    strange = reading(1, (1.0, 7, "\ud800x"), gaps={"W\udfff": "decode_error"})
    event = Entries((reading(0), strange, reading(2), Gap("m\ud800", NOON, NOON, "overrun")))
    assert there_and_back(event) == event


def test_readings_of_one_plan_share_its_names_afterwards() -> None:
    copied = tuple(f"{name}" for name in METRICS)
    assert copied is not METRICS
    event = Entries((reading(0), reading(1, metrics=copied), reading(2, (1.0,), metrics=("W",))))
    back = there_and_back(event)
    assert isinstance(back, Entries)
    first, second, third = back.entries
    assert isinstance(first, MeterReading)
    assert isinstance(second, MeterReading)
    assert first.metrics is second.metrics
    assert third == event.entries[2]


def test_meters_of_one_map_cost_little_more_than_one() -> None:
    metrics = [f"metric_{number}" for number in range(100)]
    shared = profile(metrics=metrics).topics
    one, many = (
        Started(tuple(MeterProfile(f"m{n}", shared, 1.0) for n in range(count)), NOON, True)
        for count in (1, 100)
    )
    assert len(pack(many)) < len(pack(one)) + 1000
    assert there_and_back(many) == many


def test_gaps_keep_their_places_among_readings() -> None:
    gap, later = Gap(METER, tick(1), tick(2), "overrun"), Gap("b", tick(3), tick(4), "clock_step")
    event = Entries((gap, reading(2), later, gap, reading(3)))
    assert there_and_back(event) == event


def test_instants_of_any_zone_come_back_in_utc() -> None:
    zone = timezone(timedelta(hours=-8))
    back = there_and_back(Stopped(datetime(2026, 3, 1, 4, tzinfo=zone)))
    assert back == Stopped(NOON)
    assert isinstance(back, Stopped)
    assert back.at.tzinfo is UTC


def test_any_mapping_may_hold_the_gaps() -> None:
    missing = MappingProxyType({"Serial": "read_timeout"})
    event = Entries((reading(0)._replace(gaps=missing),))
    assert there_and_back(event) == event


def test_dropped_entries_are_entries() -> None:
    assert unpack("dropped", pack(group())) == group()


@pytest.mark.parametrize("event", [group(), Started((profile(),), NOON, True), Stopped(NOON)])
def test_every_changed_byte_is_noticed(event: Event) -> None:
    body = pack(event)
    for place in range(len(body)):
        for change in (0x01, 0x80, 0xFF):
            damaged = bytearray(body)
            damaged[place] ^= change
            with pytest.raises(StorageError):
                unpack(kind_of(event), bytes(damaged))


def test_every_missing_end_is_noticed() -> None:
    body = pack(group())
    for length in range(len(body)):
        with pytest.raises(StorageError, match="damaged"):
            unpack("entries", body[:length])
    with pytest.raises(StorageError, match="damaged"):
        unpack("entries", body + b"\0")


def test_a_parcel_of_a_later_version_is_named_as_one() -> None:
    body = parcel(3, msgspec.msgpack.encode([0]))
    with pytest.raises(StorageError, match=r"of form 3, expected 1 or 2: .*later version"):
        unpack("stopped", body)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StorageError, match="kind 'paused', expected one of started, entries"):
        unpack("paused", pack(Stopped(NOON)))


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(content=st.binary(max_size=60), form=st.sampled_from([1, 2]))
def test_bytes_that_are_no_event_are_refused(kind: str, content: bytes, form: int) -> None:
    with pytest.raises(StorageError):
        unpack(kind, content)
    try:
        event = unpack(kind, parcel(form, content))
    except StorageError:
        return
    assert isinstance(event, Started | Entries | Stopped)


documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=12,
)


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(document=documents, form=st.sampled_from([1, 2]))
def test_whole_documents_that_are_no_event_are_refused(kind: str, document: Any, form: int) -> None:
    try:
        event = unpack(kind, parcel(form, msgspec.msgpack.encode(document)))
    except StorageError:
        return
    assert isinstance(event, Started | Entries | Stopped)


@pytest.mark.parametrize(
    "document",
    [
        [[], [["m", 0, 0, 0, [1.0], None, True]], []],  # names no plan
        [[], [], [[0, "m", 2**63, 0, "overrun"]]],  # after the last day that there is
    ],
)
def test_a_document_that_points_nowhere_is_refused(document: object) -> None:
    with pytest.raises(StorageError, match="damaged"):
        unpack("entries", parcel(1, msgspec.msgpack.encode(document)))


def test_what_no_event_can_hold_is_refused() -> None:
    naive = Stopped(NOON.replace(tzinfo=None))
    strange: Any = object()
    for event in (naive, Entries((reading(0, (strange,)),))):
        with pytest.raises(StorageError, match="an event that cannot be kept"):
            pack(event)
