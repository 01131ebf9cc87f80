"""A meter that moved: what another one says at its address is never its value."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from emdc.errors import ConfigError
from emdc.meters.meter import Meter, MeterSettings
from emdc.meters.register_map import DataType, Metric, RegisterMap
from emdc.modbus import LinkSettings
from emdc.reading import MeterReading
from tests import misbehaving
from tests.meters import sheets
from tests.misbehaving import Connection, framed, meter
from tests.modbus.asking import links
from tests.virtual_time import WallClock, run

METRICS = (
    Metric("W", 10, 1, DataType.UINT16),
    Metric("V", 50, 1, DataType.UINT16),
    Metric("serial", 100, 4, DataType.STRING),
)
MAP = RegisterMap("test", METRICS, identity="serial")
WANTED = frozenset({"W", "V"})
SERIAL = 100


class Owner:
    """A script: the meter that has the address now."""

    def __init__(self, serial: str = "A-1", stays: int = 1000) -> None:
        self.serial = serial
        self.stays = stays
        """Answers on one connection; it closes when asked for more."""
        self.refuses = False
        self.asked = 0

    async def __call__(self, connection: Connection) -> None:
        for _ in range(self.stays):
            request = await connection.request()
            if request[9] != SERIAL:
                await connection.send(misbehaving.right(request))
                continue
            self.asked += 1
            said = b"\1\3\x08" + self.serial.encode().ljust(8, b"\0")
            await connection.send(framed(request[:2], b"\1\x83\2" if self.refuses else said))
        await connection.request()


@contextmanager
def reader(subject: misbehaving.Meter, identity: str = "A-1", pipeline: int = 1) -> Iterator[Meter]:
    with links() as opened:
        of_link = LinkSettings(backoff_max_s=1, pipeline=pipeline)
        link = opened.link(subject.host, subject.port, of_link)
        settings = MeterSettings(timeout_s=1, retries=0, identity=identity)
        yield Meter("site/meter", MAP, link, settings, clock=WallClock())


def reasons(reading: MeterReading) -> set[str]:
    return set(reading.gaps.values())


def test_the_identity_is_asked_once_after_each_connection() -> None:
    async def check() -> None:
        owner = Owner()
        async with meter(owner) as peer:
            with reader(peer) as subject:
                for _ in range(3):
                    assert (await subject.read(WANTED)).gaps == {}
                assert owner.asked == 1
                peer.drop()
                assert (await subject.read(WANTED)).gaps == {}
                assert (owner.asked, peer.connections) == (2, 2)

    run(check())


def test_another_meter_gives_no_value_and_the_right_one_does_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        owner = Owner()
        async with meter(owner) as peer:
            with reader(peer) as subject:
                assert (await subject.read(WANTED)).gaps == {}
                owner.serial = "B-2"
                peer.drop()
                for _ in range(3):
                    reading = await subject.read(WANTED)
                    assert reading.values == (None, None)
                    assert reading.gaps == {"W": "identity_mismatch", "V": "identity_mismatch"}
                    assert not reading.answered
                owner.serial = "A-1"
                peer.drop()
                assert (await subject.read(WANTED)).gaps == {}

    with caplog.at_level(logging.ERROR):
        run(check())
    (record,) = caplog.records
    assert record.getMessage() == "another meter answers"
    assert vars(record)["found"] == "B-2"


@pytest.mark.parametrize("serial", ["A-1 ", "A-1"])
def test_spaces_around_it_do_not_matter(serial: str) -> None:
    async def check() -> None:
        owner = Owner()
        owner.serial = serial
        async with meter(owner) as peer:
            with reader(peer) as subject:
                assert (await subject.read(WANTED)).gaps == {}

    run(check())


def test_a_meter_that_does_not_say_who_it_is_gives_no_value_and_is_asked_as_before() -> None:
    async def check() -> None:
        owner = Owner()
        owner.refuses = True
        async with meter(owner) as peer:
            with reader(peer) as subject:
                before = subject.batches(WANTED)
                assert reasons(await subject.read(WANTED)) == {"exception:2"}
                assert subject.batches(WANTED) == before
                owner.refuses = False
                assert (await subject.read(WANTED)).gaps == {}

    run(check())


def test_a_connection_lost_before_the_identity_is_known_gives_no_value() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.answer()
            await connection.answer()
        await connection.request()

    async def check() -> None:
        async with meter(script) as peer:
            with reader(peer) as subject:
                assert reasons(await subject.read(WANTED)) == {"connection_reset"}
                peer.script = Owner()
                await asyncio.sleep(2)
                assert (await subject.read(WANTED)).gaps == {}

    run(check())


def test_what_came_over_the_connection_before_is_not_that_meters_for_sure() -> None:
    """It is lost when the identity is asked for; the meter behind the next one is the right one."""
    owner = Owner()

    async def script(connection: Connection) -> None:
        if connection.number > 1:
            await owner(connection)
        await connection.answer()
        await connection.answer()
        await connection.request()

    async def check() -> None:
        async with meter(script) as peer:
            with reader(peer) as subject:
                assert reasons(await subject.read(WANTED)) == {"connection_reset"}
                assert (await subject.read(WANTED)).gaps == {}
                assert owner.asked == 2

    run(check())


@pytest.mark.parametrize("pipeline", [1, 3])
def test_what_came_before_the_reading_went_on_elsewhere_is_no_value(pipeline: int) -> None:
    """Another meter answers the first read and closes; the right one has the second."""
    other, owner = Owner("B-2", stays=1), Owner()

    async def script(connection: Connection) -> None:
        await (other if connection.number == 1 else owner)(connection)

    async def check() -> None:
        async with meter(script) as peer:
            with reader(peer, pipeline=pipeline) as subject:
                reading = await subject.read(WANTED)
                assert reading.gaps == {"W": "connection_reset"}
                assert [value is None for value in reading.values] == [True, False]
                assert (await subject.read(WANTED)).gaps == {}
                assert (owner.asked, peer.connections) == (1, 2)

    run(check())


@pytest.mark.parametrize("pipeline", [1, 3])
def test_what_came_over_a_judged_connection_is_a_value_though_it_was_lost(pipeline: int) -> None:
    owner = Owner(stays=4)

    async def check() -> None:
        async with meter(owner) as peer:
            with reader(peer, pipeline=pipeline) as subject:
                assert (await subject.read(WANTED)).gaps == {}
                assert (await subject.read(WANTED)).gaps == {}
                assert (owner.asked, peer.connections) == (2, 2)

    run(check())


def test_what_another_meter_refuses_keeps_its_reason() -> None:
    owner = Owner()
    owner.serial = "B-2"

    async def script(connection: Connection) -> None:
        await connection.answer()
        request = await connection.request()
        await connection.send(framed(request[:2], b"\1\x83\4"))
        await owner(connection)

    async def check() -> None:
        async with meter(script) as peer:
            with reader(peer) as subject:
                reading = await subject.read(WANTED)
                assert reading.gaps == {"W": "identity_mismatch", "V": "exception:4"}

    run(check())


def test_a_meter_that_says_nothing_is_not_asked_who_it_is() -> None:
    async def check() -> None:
        async with meter(Connection.silent) as peer:
            with reader(peer) as subject:
                loop = asyncio.get_running_loop()
                began = loop.time()
                assert reasons(await subject.read(WANTED)) == {"read_timeout"}
                assert loop.time() - began < 1.5

    run(check())


def test_a_metric_that_depends_on_others_is_no_identity() -> None:
    serial = Metric("serial", 100, 1, DataType.UINT16, scale_register="V")
    book = RegisterMap("test", (*METRICS[:2], serial), identity="serial")

    async def check() -> None:
        with links() as opened:
            link = opened.link("127.0.0.1", 502, LinkSettings())
            with pytest.raises(ConfigError, match="cannot be the identity: it depends on others"):
                Meter("site/m", book, link, MeterSettings(identity="7"), clock=WallClock())

    run(check())


def test_without_the_setting_nothing_is_asked() -> None:
    async def check() -> None:
        owner = Owner()
        owner.serial = "B-2"
        async with meter(owner) as peer:
            with reader(peer, identity="") as subject:
                assert (await subject.read(WANTED)).gaps == {}
                assert owner.asked == 0

    run(check())


def test_the_setting_needs_a_map_that_names_the_metric() -> None:
    async def check() -> None:
        with links() as opened:
            link = opened.link("127.0.0.1", 502, LinkSettings())
            book = RegisterMap("test", METRICS)
            with pytest.raises(ConfigError, match="site/m: identity is given, and the map names"):
                Meter("site/m", book, link, MeterSettings(identity="A"), clock=WallClock())

    run(check())


def test_the_sheet_of_the_model_names_the_metric() -> None:
    book = sheets.data(sheets.VOLTAGE, others={"Meter": [("identity", "Voltage_AN")]})
    assert sheets.parse(book).identity == "Voltage_AN"
    wrong = sheets.data(sheets.VOLTAGE, others={"Meter": [("identity", "Voltage_AM")]})
    place, problem = sheets.fault(wrong)
    assert place == "Meter"
    assert "'Voltage_AM', expected a metric of the map (did you mean Voltage_AN?)" in problem
