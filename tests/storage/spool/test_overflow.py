from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdc.reading import GAP_REASONS, Gap, MeterReading
from emdc.storage.spool.overflow import REASON
from emdc.storage.spool.parcel import Entries, Event, Started, Stopped, pack
from emdc.storage.spool.spool import Spool
from tests.storage.plant import METER, NOON, drained, profile, reading, tick

METERS = ("a", "b", "c")
MICROSECOND = timedelta(microseconds=1)

Answer: TypeAlias = Literal["reading", "by hand", "gap", "not due"]
Mark: TypeAlias = Literal["start", "stop", "look", "deliver", "reopen"]
Step: TypeAlias = tuple[Answer, ...] | Mark


def spool_of(path: Path, limit_bytes: int) -> Spool:
    spool = Spool(path, limit_bytes=limit_bytes, clock=lambda: NOON)
    spool.open()
    return spool


def long_reading(at: float, meter: str = METER, *, scheduled: bool = True) -> MeterReading:
    """A reading whose parcel is larger than that of a gap."""
    text = "".join(chr(32 + (int(at) * 7919 + place * place * 31) % 90) for place in range(100))
    return reading(at, (at / 7, int(at), text), meter=meter, scheduled=scheduled)


def one(at: float, meter: str = METER) -> Entries:
    return Entries((long_reading(at, meter),))


SIZE = len(pack(one(1)))


def lost(first: float, last: float, meter: str = METER) -> Gap:
    return Gap(meter, tick(first), tick(last) + MICROSECOND, "spool_overflow")


@pytest.fixture
def spool(path: Path) -> Iterator[Spool]:
    with closing(spool_of(path, 10 * SIZE)) as opened:
        yield opened


def test_the_reason_is_on_the_list() -> None:
    assert REASON in GAP_REASONS


def test_the_oldest_readings_become_one_gap_at_their_place(spool: Spool) -> None:
    for at in range(30):
        spool.put(one(at))
    status = spool.status()
    assert status.bytes <= 10 * SIZE
    (first, *others) = drained(spool)
    kept = len(others)
    assert 7 <= kept <= 10
    assert first == Entries((lost(0, 29 - kept),))
    assert others == [one(at) for at in range(30 - kept, 30)]
    assert (status.dropped, status.events, status.readings) == (30 - kept, kept + 1, kept)


def test_starts_and_stops_stay_and_gaps_do_not_reach_over_them(spool: Spool) -> None:
    started, stopped = Started((profile(),), NOON, True), Stopped(tick(5))
    for event in (started, one(1), one(2), stopped, started, one(11), one(12)):
        spool.put(event)
    for at in range(20, 40):
        spool.put(one(at))
    found = drained(spool)
    assert found[:4] == [started, Entries((lost(1, 2),)), stopped, started]
    assert isinstance(found[4], Entries)
    assert len(found[4].entries) == 1
    assert found[4].entries[0].meter == METER
    assert found[4] == Entries((lost(11, 39 - len(found[5:])),))
    assert found[5:] == [one(at) for at in range(40 - len(found[5:]), 40)]


def test_each_meter_has_its_own_range(spool: Spool) -> None:
    for at in range(0, 30, 3):
        spool.put(one(at, "a"))
        spool.put(one(at + 1, "b"))
    found = drained(spool)
    assert isinstance(found[0], Entries)
    kept = {entry.tick for event in found for entry in readings_of(event)}
    last = {
        meter: max(at for at in range(first, 30, 3) if tick(at) not in kept)
        for meter, first in (("a", 0), ("b", 1))
    }
    assert found[0].entries == (lost(0, last["a"], "a"), lost(1, last["b"], "b"))


def test_what_a_gap_covered_stays_covered(path: Path) -> None:
    with closing(spool_of(path, 4 * SIZE)) as spool:
        spool.put(Entries((Gap(METER, tick(0), tick(2), "clock_step"), long_reading(2))))
        for at in range(3, 10):
            spool.put(one(at))
        (first, *_) = drained(spool)
    assert isinstance(first, Entries)
    (gap,) = first.entries
    assert isinstance(gap, Gap)
    assert (gap.from_ts, gap.reason) == (tick(0), "spool_overflow")


def test_readings_by_hand_owe_nothing_and_leave_nothing(path: Path) -> None:
    with closing(spool_of(path, 4 * SIZE)) as spool:
        for at in range(10):
            spool.put(Entries((long_reading(at, scheduled=False),)))
        status = spool.status()
        found = drained(spool)
    assert len(found) == status.events == status.readings == 10 - status.dropped
    assert all(not entry.scheduled for event in found for entry in readings_of(event))


def test_an_event_larger_than_the_limit_is_kept_alone(path: Path) -> None:
    large = Entries(tuple(long_reading(at) for at in range(10, 100)))
    with closing(spool_of(path, 3 * SIZE)) as spool:
        for at in range(3):
            spool.put(one(at))
        spool.put(large)
        assert spool.status().dropped == 3
        spool.put(one(200))
        found = drained(spool)
    assert found == [Entries((lost(0, 99),)), one(200)]


def test_what_a_reader_has_in_hand_is_not_dropped(spool: Spool) -> None:
    for at in range(5):
        spool.put(one(at))
    head = spool.head(2)
    for at in range(5, 30):
        spool.put(one(at))
    again = spool.head(2)
    assert head is not None
    assert again is not None
    assert head.events == again.events[:2] == (one(0), one(1))
    spool.remove(head)
    (first, *others) = drained(spool)
    assert first == Entries((lost(2, 29 - len(others)),))


def test_gaps_on_both_sides_of_what_was_in_hand_become_one(spool: Spool) -> None:
    for at in range(30):
        spool.put(one(at))
    assert spool.head(3) is not None
    for at in range(30, 60):
        spool.put(one(at))
    assert spool.head(0) is not None
    for at in range(60, 90):
        spool.put(one(at))
    (held, first, *others) = drained(spool)
    assert isinstance(held, Entries)
    assert isinstance(first, Entries)
    assert len(held.entries) == len(first.entries) == 1
    assert all(isinstance(event, Entries) and readings_of(event) for event in others)


def test_an_endless_outage_costs_no_more_room(path: Path) -> None:
    with closing(spool_of(path, 10 * SIZE)) as spool:
        for at in range(300):
            spool.put(one(at))
            assert spool.status().bytes <= 10 * SIZE
        assert spool.status().events <= 10


def test_gaps_that_find_no_room_are_merged_as_well(path: Path) -> None:
    with closing(spool_of(path, 1000)) as spool:
        for at in range(0, 200, 2):
            spool.put(Entries((Gap(METER, tick(at), tick(at + 1), "overrun"),)))
            assert spool.status().bytes <= 1000
        (first, *_) = drained(spool)
    assert isinstance(first, Entries)
    assert first.entries[0] == Gap(METER, tick(0), first.entries[0].to_ts, REASON)  # type: ignore[union-attr]


def readings_of(event: Event) -> list[MeterReading]:
    entries = event.entries if isinstance(event, Entries) else ()
    return [entry for entry in entries if isinstance(entry, MeterReading)]


@dataclass
class Story:
    """What was put and what came out."""

    spool: Spool
    second: int = 0
    owed: Counter[tuple[str, datetime]] = field(default_factory=Counter)
    marks: list[Event] = field(default_factory=list)
    found: list[Event] = field(default_factory=list)

    def do(self, step: Step) -> None:
        if isinstance(step, tuple):
            self.put_group(step)
        elif step == "reopen":
            self.spool.close()
            self.spool.open()
        elif step == "look":
            self.spool.head(2)
        elif step == "deliver":
            self.deliver(2)
        else:
            at = tick(self.second)
            mark = Started((profile(),), at, True) if step == "start" else Stopped(at)
            self.marks.append(mark)
            self.spool.put(mark)

    def deliver(self, most: int) -> bool:
        head = self.spool.head(most)
        if head is None:
            return False
        self.found += head.events
        self.spool.remove(head)
        return True

    def put_group(self, answers: tuple[str, ...]) -> None:
        self.second += 3
        entries: list[MeterReading | Gap] = []
        for meter, answer in zip(METERS, answers, strict=True):
            if answer in {"reading", "by hand"}:
                due = answer == "reading"
                entries.append(long_reading(self.second, meter, scheduled=due))
                self.owed.update([(meter, tick(self.second))] if due else [])
            elif answer == "gap":  # two ticks
                entries.append(Gap(meter, tick(self.second), tick(self.second + 2), "overrun"))
                self.owed.update((meter, tick(self.second + more)) for more in (0, 1))
        self.spool.put(Entries(tuple(entries)))

    def covered(self) -> Counter[tuple[str, datetime]]:
        """How often each tick that is owed came out, as a reading or in a gap."""
        entries = [e for event in self.found if isinstance(event, Entries) for e in event.entries]
        count = Counter(
            (entry.meter, entry.tick)
            for entry in entries
            if isinstance(entry, MeterReading) and entry.scheduled
        )
        for gap in (entry for entry in entries if isinstance(entry, Gap)):
            count.update(
                (meter, at)
                for meter, at in self.owed
                if meter == gap.meter and gap.from_ts <= at < gap.to_ts
            )
        return count


answers = st.tuples(
    *[st.sampled_from(["reading", "reading", "reading", "by hand", "gap", "not due"])] * 3
)
steps = answers | answers | st.sampled_from(["start", "stop", "look", "deliver", "reopen"])


@settings(deadline=None, max_examples=150)
@given(st.lists(steps, max_size=40), st.integers(1, 8))
def test_every_owed_tick_comes_out_once_whatever_was_dropped(
    story_steps: list[Step], limit: int
) -> None:
    with TemporaryDirectory() as folder:
        spool = spool_of(Path(folder) / "spool.db", limit * SIZE)
        story = Story(spool)
        for step in story_steps:
            story.do(step)
        before = spool.status()
        spool.close()
        spool.open()
        after = spool.status()
        assert (after.events, after.readings, after.bytes, after.oldest) == (
            before.events,
            before.readings,
            before.bytes,
            before.oldest,
        )
        while story.deliver(1):
            pass
        spool.close()
    assert story.covered() == story.owed
    assert [event for event in story.found if not isinstance(event, Entries)] == story.marks
    ticks = [one.tick for event in story.found for one in readings_of(event)]
    assert ticks == sorted(ticks)
