"""A link that hangs by a fault of this program, made by breaking a part of it, starts anew."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from operator import attrgetter

import pytest

from emdc.modbus import Link, LinkSettings
from emdc.modbus.backoff import FAILURES_TO_RESTART
from emdc.modbus.readiness import Connection as Watched
from emdc.modbus.watchdog import GRACE_S
from tests.misbehaving import Connection, good, meter
from tests.modbus.asking import TIMEOUT_S, ask, link_to, links, read, reasons, right
from tests.virtual_time import run

LONGEST_S = LinkSettings().connect_timeout_s + TIMEOUT_S + GRACE_S + 3


class Broken:
    """A part that fails once and is whole afterwards."""

    def __init__(self, real: Callable[..., object]) -> None:
        self.real = real
        self.times = 0

    def __call__(self, *args: object, **options: object) -> object:
        self.times += 1
        return self.fails() if self.times == 1 else self.real(*args, **options)

    def fails(self) -> object:
        return None


class Raises(Broken):
    def fails(self) -> object:
        raise RuntimeError("a fault of this program")


class Hangs(Broken):
    """Neither a time-out nor a cancellation ends it."""

    def fails(self) -> Awaitable[None]:
        return self.forever()

    async def forever(self) -> None:
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                if self.times > 1:
                    raise


async def starts_anew(link: Link) -> None:
    """What waits fails within a bounded time; then the link reads again, and was counted."""
    began = asyncio.get_running_loop().time()
    waiting = [asyncio.ensure_future(ask(link, read(), read(20))) for _ in range(2)]
    answered = [reasons(answers) for answers in await asyncio.gather(*waiting)]
    assert answered == [["internal_error"] * 2] * 2
    assert asyncio.get_running_loop().time() - began < LONGEST_S
    assert await ask(link, read()) == [right(read())]
    assert link.restarts == 1


@pytest.mark.parametrize(
    ("part", "broken"),
    [
        ("dial.connect", Broken),
        ("dial.connect", Raises),
        ("dial.connect", Hangs),
        ("_readiness.add", Raises),
        ("_pause", Broken),
        ("_pause", Raises),
        ("_send", Broken),
        ("_send", Raises),
    ],
)
def test_a_link_whose_part_is_broken_starts_anew(
    part: str, broken: type[Broken], monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, _, name = part.rpartition(".")

    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as link:
                real = attrgetter(part)(link)
                monkeypatch.setattr(
                    getattr(link, owner) if owner else type(link), name, broken(real)
                )
                await starts_anew(link)
                assert subject.open == 1

    run(check())


def test_a_connection_that_comes_after_all_is_hung_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task that was given up must not take the place of its successor."""

    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as link:
                connect, late = link.dial.connect, asyncio.Event()

                async def slow(**options: float) -> Watched:
                    connection = await connect(**options)
                    while not late.is_set():
                        try:
                            await late.wait()
                        except asyncio.CancelledError:
                            continue
                    return connection

                monkeypatch.setattr(link.dial, "connect", slow)
                assert reasons(await ask(link, read())) == ["internal_error"]
                monkeypatch.setattr(link.dial, "connect", connect)
                assert await ask(link, read()) == [right(read())]
                late.set()
                assert await ask(link, read(20)) == [right(read(20))]
                await asyncio.sleep(1)
                assert (subject.open, link.connects) == (1, 1)

    run(check())


def test_a_time_out_that_raises_stops_neither_the_sweep_nor_the_link(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with meter(Connection.silent) as one, meter(Connection.silent) as other:
            with links() as opened:
                link = opened.link(one.host, one.port, LinkSettings())
                neighbour = opened.link(other.host, other.port, LinkSettings())
                monkeypatch.setattr(type(link), "_expired", Raises(neighbour._expired))
                answers = await asyncio.gather(ask(link, read()), ask(neighbour, read()))
                assert [reasons(a) for a in answers] == [["internal_error"], ["read_timeout"]]
                one.script = good
                one.drop()
                assert await ask(link, read()) == [right(read())]
                assert (link.restarts, opened.restarts()) == (1, 1)

    with caplog.at_level(logging.ERROR):
        run(check())
    assert any("a fault of this program" in (r.exc_text or "") for r in caplog.records)


def test_a_link_starts_anew_after_ten_failures_in_a_row_and_goes_on_by_its_schedule() -> None:
    async def check() -> None:
        async with meter(Connection.silent) as subject:
            with link_to(subject, LinkSettings(backoff_max_s=1)) as link:
                failures = 0
                while failures < 2 * FAILURES_TO_RESTART + 1:
                    assert link.restarts == failures // FAILURES_TO_RESTART
                    failures += reasons(await ask(link, read())) == ["read_timeout"]
                    await asyncio.sleep(0.1)
                assert subject.connections <= failures
                subject.script = good
                await asyncio.sleep(1)
                assert await ask(link, read()) == [right(read())]
                for _ in range(FAILURES_TO_RESTART - 1):  # an answer begins the count anew
                    subject.script = Connection.silent
                    subject.drop()
                    await ask(link, read())
                assert link.restarts == 2

    run(check())


@pytest.mark.parametrize(
    "settings",
    [
        LinkSettings(),
        LinkSettings(connect_delay_s=10),
        LinkSettings(request_delay_s=10),
        LinkSettings(pipeline=4),
    ],
)
def test_a_link_that_is_only_slow_is_left_alone(settings: LinkSettings) -> None:
    async def slow(connection: Connection) -> None:
        while True:
            await asyncio.sleep(18)
            await connection.answer()

    async def check() -> None:
        async with meter(slow) as subject:
            with link_to(subject, settings) as link:
                wanted = [read(10), read(20)]
                answers = await ask(link, *wanted, timeout_s=20)
                assert answers == [right(request) for request in wanted]
                await asyncio.sleep(20)
                assert link.restarts == 0

    run(check())
