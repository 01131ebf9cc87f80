"""One meter over a real connection: what becomes of refusals, silence and retries."""

import asyncio
import dataclasses
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from emdc.errors import ConfigError
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.poll import Poll
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.meters.words import Ratios
from emdc.modbus import LinkSettings
from emdc.reading import MeterReading, Value
from tests import misbehaving
from tests.misbehaving import Connection, framed, good, meter
from tests.modbus.asking import links
from tests.virtual_time import WallClock, run

ADDRESSES = (0, 1, 2, 3, 50, 51, 52, 100)
MAP = RegisterMap("test", tuple(Metric(f"m{a}", a, 1, DataType.UINT16) for a in ADDRESSES))
ALL = frozenset(metric.name for metric in MAP.metrics)
TICK = datetime(2026, 3, 1, 12, tzinfo=UTC)
NO_RETRY = MeterSettings(timeout_s=1, retries=0)


def value_of(name: str) -> int:
    return int.from_bytes(misbehaving.data(1, int(name[1:]), 1))


def refusing(bad: Collection[int], code: int = 2) -> misbehaving.Script:
    """A meter that refuses every read that touches one of these addresses."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            first, count = int.from_bytes(request[8:10]), int.from_bytes(request[10:12])
            if any(first <= address < first + count for address in bad):
                await connection.send(framed(request[:2], bytes([request[6], 0x83, code])))
            else:
                await connection.send(misbehaving.right(request))

    return script


@contextmanager
def reader(subject: misbehaving.Meter, settings: MeterSettings = NO_RETRY) -> Iterator[Meter]:
    with links() as opened:
        link = opened.link(subject.host, subject.port, LinkSettings(backoff_max_s=1))
        yield Meter("site/meter", MAP, link, settings, clock=WallClock())


def values(reading: MeterReading) -> dict[str, Value]:
    """Values by name; what is missing is its reason."""
    found = dict(zip(reading.metrics, reading.values, strict=True))
    assert {name for name, value in found.items() if value is None} == set(reading.gaps)
    return {**found, **reading.gaps}


def with_gaps(**gaps: str) -> dict[str, Value]:
    """Every value right but for these."""
    return {**{name: value_of(name) for name in ALL}, **gaps}


async def polled(subject: Meter, until: float = float("inf")) -> MeterReading:
    """The reading of a scheduled poll."""
    future: asyncio.Future[MeterReading] = asyncio.get_running_loop().create_future()
    subject.start(Poll(ALL, future.set_result, TICK, scheduled=True, until=until))
    return await future


def test_a_reading_holds_all_that_was_wanted_and_when() -> None:
    async def check() -> None:
        async with meter(good) as peer:
            with reader(peer) as subject:
                reading = await polled(subject)
                assert values(reading) == with_gaps()
                assert (reading.meter, reading.tick, reading.scheduled) == (
                    "site/meter",
                    TICK,
                    True,
                )
                assert len(peer.requests) == 3
                manual = await subject.read(frozenset({"m50", "m2"}))
                assert values(manual) == {"m2": value_of("m2"), "m50": value_of("m50")}
                assert not manual.scheduled
                assert manual.tick <= manual.read_at
                assert (await polled(subject)).metrics is reading.metrics

    run(check())


@pytest.mark.parametrize("code", [4, 5, 6])
def test_a_refused_batch_leaves_the_others_intact(code: int) -> None:
    async def check() -> None:
        async with meter(refusing({51}, code)) as peer:
            with reader(peer, MeterSettings(retries=3)) as subject:
                for _ in range(2):
                    gaps = dict.fromkeys(("m50", "m51", "m52"), f"exception:{code}")
                    assert values(await polled(subject)) == with_gaps(**gaps)
                # 5 and 6 mean that the meter is busy: only those are worth asking again.
                assert len(peer.requests) == (12 if code in (5, 6) else 6)
                assert len(subject.batches(ALL)) == 3

    run(check())


def test_a_function_code_that_a_meter_does_not_know_is_asked_for_rarely() -> None:
    async def check() -> None:
        async with meter(refusing({51}, 1)) as peer:
            with reader(peer) as subject:
                for _ in range(3):
                    gaps = dict.fromkeys(("m50", "m51", "m52"), "exception:1")
                    assert values(await polled(subject)) == with_gaps(**gaps)
                assert len(peer.requests) == 3 + 2 + 2

    run(check())


@pytest.mark.parametrize("code", [2, 3])
@pytest.mark.parametrize("bad", [(1,), (51,), (0, 3, 52), (0, 1, 2, 3), ADDRESSES])
def test_of_a_refused_read_only_the_bad_metrics_are_missing(
    bad: tuple[int, ...], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    missing = {f"m{address}": f"exception:{code}" for address in bad}

    async def check() -> None:
        async with meter(refusing(bad, code)) as peer:
            with reader(peer) as subject:
                assert values(await polled(subject)) == with_gaps(**missing)
                learned = subject.batches(ALL)
                for _ in range(2):
                    assert values(await polled(subject)) == with_gaps(**missing)
                assert subject.batches(ALL) == learned

    with caplog.at_level(logging.WARNING):
        run(check())
    assert [record.message for record in caplog.records] == ["meter refuses reads"]


def test_what_one_meter_learned_is_not_held_against_another_of_its_model() -> None:
    async def check() -> None:
        async with meter(refusing({51})) as one, meter(good) as other:
            with reader(one) as bad, reader(other) as healthy:
                await polled(bad)
                assert len(bad.batches(ALL)) == 4
                assert len(healthy.batches(ALL)) == 3

    run(check())


def test_two_readings_at_once_learn_the_same() -> None:
    async def check() -> None:
        async with meter(refusing({51})) as peer:
            with reader(peer) as subject:
                both = await asyncio.gather(polled(subject), subject.read(ALL))
                assert [values(one) for one in both] == [with_gaps(m51="exception:2")] * 2
                lessons = subject.lessons
                assert [str(lesson.read) for lesson in lessons] == [
                    "1 from 51 with function code 3"
                ]
                assert values(await polled(subject)) == with_gaps(m51="exception:2")
                assert subject.lessons == lessons

    run(check())


def test_after_a_time_out_the_rest_of_the_exchange_fails() -> None:
    async def script(connection: Connection) -> None:
        await connection.answer()
        await connection.request()
        await connection.silent()

    async def check() -> None:
        async with meter(script) as peer:
            with reader(peer) as subject:
                rest = dict.fromkeys(("m50", "m51", "m52", "m100"), "read_timeout")
                assert values(await polled(subject)) == with_gaps(**rest)
                assert len(peer.requests) == 2
                peer.script = good
                assert values(await polled(subject)) == with_gaps()

    run(check())


@pytest.mark.parametrize(("retries", "complete"), [(0, False), (1, False), (2, True), (5, True)])
def test_what_the_link_could_not_bring_is_asked_again_as_often_as_set(
    retries: int, complete: bool
) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        answering_from = loop.time() + 5

        async def script(connection: Connection) -> None:
            await connection.answer()
            while True:
                request = await connection.request()
                if loop.time() >= answering_from:
                    await connection.send(misbehaving.right(request))

        async with meter(script) as peer:
            # Asked at 0, 3 and 6 seconds.
            settings = MeterSettings(timeout_s=1, retries=retries, retry_wait_s=2)
            with reader(peer, settings) as subject:
                reading = await polled(subject)
                assert (reading.gaps == {}) is complete
                # What was answered is not asked again.
                assert [r[9] for r in peer.requests].count(0) == 1

    run(check())


@pytest.mark.parametrize(("until_s", "requests"), [(1.5, 1), (3.5, 2), (5.5, 3), (100.0, 4)])
def test_no_retry_starts_after_the_ticks_end(until_s: float, requests: int) -> None:
    async def check() -> None:
        async with meter(Connection.silent) as peer:
            settings = MeterSettings(timeout_s=1, retries=3, retry_wait_s=1)
            with reader(peer, settings) as subject:
                peer.script = counted
                await polled(subject, asyncio.get_running_loop().time() + until_s)
                assert len(peer.requests) == requests

    async def counted(connection: Connection) -> None:
        while True:
            await connection.request()

    run(check())


def test_a_wrong_answer_is_not_asked_for_again_in_the_same_reading() -> None:
    async def script(connection: Connection) -> None:
        while True:
            await connection.send(b"\0" * 13 + await connection.request())

    async def check() -> None:
        async with meter(script) as peer:
            with reader(peer, MeterSettings(retries=3)) as subject:
                reading = await polled(subject)
                assert set(reading.gaps.values()) == {"protocol_error:length"}
                assert len(peer.requests) == 1

    run(check())


def test_a_caller_that_goes_away_harms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def check() -> None:
        async with meter(good) as peer:
            with reader(peer) as subject:
                leaving = asyncio.ensure_future(subject.read(ALL))
                await asyncio.sleep(0)
                leaving.cancel()
                assert values(await subject.read(ALL)) == with_gaps()
                assert len(peer.requests) == 6

    run(check())
    assert caplog.records == []


def test_closing_ends_a_reading_without_retries() -> None:
    async def check() -> None:
        async with meter(Connection.silent) as peer:
            with reader(peer, MeterSettings(retries=3)) as subject:
                asked = asyncio.ensure_future(subject.read(ALL))
                await asyncio.sleep(1)
                subject.link.close()
                began = asyncio.get_running_loop().time()
                assert set((await asked).gaps.values()) == {"daemon_stopped"}
                assert asyncio.get_running_loop().time() == began

    run(check())


def test_a_value_that_the_meter_cannot_give_at_once_is_a_fault_of_the_settings() -> None:
    book = RegisterMap("long", (Metric("serial", 0, 16, DataType.STRING),))

    async def check() -> None:
        with links() as opened:
            link = opened.link("127.0.0.1", 502, LinkSettings())
            settings = MeterSettings(max_registers=8)
            with pytest.raises(ConfigError, match=r"site/m: serial fills 16 .* max_registers is 8"):
                Meter("site/m", book, link, settings, clock=WallClock())

    run(check())


def test_the_profile_says_what_the_values_depend_on() -> None:
    async def check() -> None:
        async with meter(good) as peer:
            settings = MeterSettings(interval_s=15, ratios=Ratios(ct=160, pt=2))
            with reader(peer, settings) as subject:
                profile = subject.profile
                assert (profile.name, profile.interval_s) == ("site/meter", 15)
                assert [topic.name for topic in profile.topics] == [m.name for m in MAP.metrics]
                expected = {"map": "test", "map_hash": "", "ct_ratio": 160, "pt_ratio": 2}
                assert profile.settings == {**expected, "timezone": "UTC"}

    run(check())


def test_the_profile_says_which_ratios_the_meter_is_asked_for_and_which_signs_are_turned() -> None:
    book = RegisterMap("m", (Metric("I", 0, 1, DataType.INT16, ratio="ct"), *MAP.metrics[2:4]))
    book = dataclasses.replace(book, ct_ratio="m2/m3")

    async def check() -> None:
        with links() as opened:
            link = opened.link("127.0.0.1", 502, LinkSettings())
            settings = MeterSettings(
                ratios=Ratios(ct="meter", pt=2),
                invert=("I",),
                timezone="Europe/Paris",
                max_power_kw=166.0,
            )
            subject = Meter("site/m", book, link, settings, clock=WallClock())
            assert subject.register_map.metrics[0].scale == -1
            expected = {"map": "m", "map_hash": "", "ct_ratio": "meter", "pt_ratio": 2}
            more = {"invert": "I", "timezone": "Europe/Paris", "max_power": 166.0}
            assert subject.profile.settings == expected | more

    run(check())


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (MeterSettings(invert=("X",)), r"site/m: invert: no metric 'X' in the map m"),
        (
            MeterSettings(ratios=Ratios(ct="meter")),
            r"site/m: ct_ratio is to be read from the meter, and the map m does not say where",
        ),
    ],
)
def test_settings_that_the_map_does_not_allow_are_refused(
    settings: MeterSettings, problem: str
) -> None:
    book = RegisterMap("m", (Metric("I", 0, 1, DataType.INT16, ratio="ct"),))

    async def check() -> None:
        with links() as opened:
            link = opened.link("127.0.0.1", 502, LinkSettings())
            with pytest.raises(ConfigError, match=problem):
                Meter("site/m", book, link, settings, clock=WallClock())

    run(check())
