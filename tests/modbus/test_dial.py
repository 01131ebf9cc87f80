import asyncio
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from emdc.errors import LinkError
from emdc.modbus import LinkSettings
from emdc.modbus.dial import Dial
from emdc.modbus.exchange import Exchange
from emdc.modbus.lookup import MOST_THREADS, Lookup
from emdc.modbus.pace import CONNECTS_PER_S, Pace
from tests.misbehaving import Connection, good, meter
from tests.modbus.asking import ask, link_to, links, read, reasons, right
from tests.virtual_time import run

METERS = 3000


def dial(host: str, port: int) -> Dial:
    return Dial(host, port, holder=lambda: "a test", pace=Pace())


async def failure(subject: Dial, timeout_s: float = 5.0) -> LinkError:
    with pytest.raises(LinkError) as caught:
        await subject.connect(timeout_s=timeout_s)
    subject.release()
    return caught.value


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, so that nobody else listens on it, and refuses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def black_hole() -> Iterator[int]:
    """A port whose queue is full: the system drops whoever knocks."""
    with socket.socket() as listener, socket.socket() as parked:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        parked.connect(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_closed_port_refuses(closed_port: int) -> None:
    error = run(failure(dial("127.0.0.1", closed_port)))
    assert error.reason == "connect_refused"
    assert f"127.0.0.1:{closed_port}: " in error.detail


def test_a_black_hole_ends_at_the_deadline(black_hole: int) -> None:
    async def check() -> LinkError:
        loop = asyncio.get_running_loop()
        began = loop.time()
        error = await failure(dial("127.0.0.1", black_hole), timeout_s=3)
        assert loop.time() - began == pytest.approx(3, abs=0.1)
        return error

    error = run(check())
    assert (error.reason, error.detail) == ("connect_timeout", f"127.0.0.1:{black_hole}")


@pytest.mark.parametrize("host", ["no-such-meter.invalid", "a" * 64 + ".invalid", "a..b", ""])
def test_a_name_that_does_not_resolve_is_a_dns_failure(host: str) -> None:
    error = asyncio.run(failure(dial(host, 502), timeout_s=30))
    assert error.reason == "dns_failure"
    assert error.detail.startswith(f"{host}: ")


Resolver = Callable[[str, int], Sequence[str]]
"""What a name stands for: IPv4 and IPv6 addresses."""


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[[Resolver], None]:
    """Takes the place of the system's resolver for everything that is not a number."""
    real = socket.getaddrinfo

    def use(resolver: Resolver) -> None:
        def found(host: str, port: int, **options: Any) -> list[Any]:
            if options.get("flags"):
                return real(host, port, **options)
            return [real(address, port, **options)[0] for address in resolver(host, port)]

        monkeypatch.setattr(socket, "getaddrinfo", found)

    return use


def test_a_name_with_sixteen_addresses_is_tried_at_each(
    names: Callable[[Resolver], None],
) -> None:
    """Fifteen refuse; the next connection begins with the one that did not."""
    asked = 0

    def sixteen(_host: str, _port: int) -> Sequence[str]:
        nonlocal asked
        asked += 1
        return ["::1", *(f"127.0.0.{last}" for last in range(2, 16)), "127.0.0.1"]

    async def check() -> None:
        async with meter(good) as subject:
            names(sixteen)
            with links() as opened:
                link = opened.link("a-meter", subject.port, LinkSettings())
                assert await ask(link, read()) == [right(read())]
                subject.drop()
                assert await ask(link, read()) == [right(read())]
                assert subject.connections == 2

    asyncio.run(check())
    assert asked == 2


def test_after_an_address_that_does_not_answer_comes_the_next_one(
    black_hole: int, names: Callable[[Resolver], None]
) -> None:
    """The hole is at 127.0.0.1 only: the same port of 127.0.0.2 is another listener's."""

    async def check() -> None:
        async with meter(good, host="127.0.0.2", port=black_hole) as subject:
            names(lambda _host, _port: ["127.0.0.1", "127.0.0.2"])
            with links() as opened:
                patience = LinkSettings(connect_timeout_s=0.2, backoff_s=0.01, backoff_max_s=0.01)
                link = opened.link("a-meter", subject.port, patience)
                assert reasons(await ask(link, read())) == ["connect_timeout"]
                assert await ask(link, read()) == [right(read())]

    asyncio.run(check())


def test_a_name_that_moves_is_looked_up_for_each_connection(
    names: Callable[[Resolver], None],
) -> None:
    at = "127.0.0.3"

    async def check() -> None:
        nonlocal at
        async with (
            meter(good, host="127.0.0.3") as old,
            meter(good, host="127.0.0.4", port=old.port) as new,
        ):
            names(lambda _host, _port: [at])
            with links() as opened:
                link = opened.link("a-meter", old.port, LinkSettings())
                assert await ask(link, read()) == [right(read())]
                at = "127.0.0.4"
                old.drop()
                assert await ask(link, read()) == [right(read())]
                assert (old.connections, new.connections) == (1, 1)

    asyncio.run(check())


def test_a_slow_name_holds_up_neither_the_others_nor_the_end_of_the_program(
    names: Callable[[Resolver], None],
) -> None:
    """It ends at the deadline as dns_failure; what it finds in the end serves a later attempt."""
    lookups = 0
    found = threading.Event()

    def slow(_host: str, _port: int) -> Sequence[str]:
        nonlocal lookups
        lookups += 1
        found.wait()
        return ["127.0.0.1"]

    async def check() -> None:
        async with meter(good) as subject, meter(good) as other:
            names(slow)
            with links() as opened:
                patience = LinkSettings(connect_timeout_s=0.1, backoff_s=0.01, backoff_max_s=0.01)
                link = opened.link("a-meter", subject.port, patience)
                neighbour = opened.link("127.0.0.1", other.port, LinkSettings())
                answers, beside = await asyncio.gather(ask(link, read()), ask(neighbour, read()))
                assert (reasons(answers), beside) == (["dns_failure"], [right(read())])
                assert reasons(await ask(link, read())) == ["dns_failure"]
                assert lookups == 1
                found.set()
                while (answers := await ask(link, read())) != [right(read())]:
                    assert reasons(answers)[0] in {"dns_failure", "backoff_skipped"}
                    await asyncio.sleep(0.01)
                found.clear()
                opened.link("b-meter", subject.port, patience).exchange(
                    Exchange([read()], 1.0, lambda _: None)
                )
                while lookups == 1:
                    await asyncio.sleep(0.01)

    try:
        asyncio.run(check())
    finally:
        found.set()


def test_slow_names_beyond_the_number_of_threads_wait(names: Callable[[Resolver], None]) -> None:
    held = threading.Event()
    running = most = 0
    counting = threading.Lock()

    def slow(_host: str, _port: int) -> Sequence[str]:
        nonlocal running, most
        with counting:
            running += 1
            most = max(most, running)
        held.wait()
        with counting:
            running -= 1
        return ["127.0.0.1"]

    async def check() -> None:
        names(slow)
        names_asked = MOST_THREADS + 9
        waiting = [
            asyncio.ensure_future(Lookup().places("a", 502)) for _ in range(MOST_THREADS + 9)
        ]
        while running < MOST_THREADS:
            await asyncio.sleep(0.01)
        held.set()
        assert (
            await asyncio.gather(*waiting) == [[(socket.AF_INET, ("127.0.0.1", 502))]] * names_asked
        )

    asyncio.run(check())
    assert most == MOST_THREADS


def test_a_number_needs_no_lookup(names: Callable[[Resolver], None]) -> None:
    def none(host: str, _port: int) -> Sequence[str]:
        raise AssertionError(f"{host} looked up")

    async def check() -> None:
        async with meter(good) as subject:
            names(none)
            with link_to(subject) as link:
                assert await ask(link, read()) == [right(read())]

    run(check())


@pytest.mark.parametrize("fault", ["closed_port", "black_hole"])
def test_the_meter_is_read_again_soon_after_it_has_come_back(
    fault: str, request: pytest.FixtureRequest
) -> None:
    port: int = request.getfixturevalue(fault)

    async def check() -> None:
        loop = asyncio.get_running_loop()
        with links() as opened:
            link = opened.link("127.0.0.1", port, LinkSettings(backoff_max_s=8))
            asked_at: list[float] = []
            while len(asked_at) < 8:
                reason = reasons(await ask(link, read()))[0]
                if reason != "backoff_skipped":
                    asked_at.append(loop.time())
                await asyncio.sleep(0.25)
            assert link.connects == 0
            pauses = [round(b - a, 2) for a, b in pairwise(asked_at[2:])]
            assert pauses == sorted(pauses)
            assert pauses[-1] < 8 + LinkSettings().connect_timeout_s
            async with meter(good) as subject:
                link.dial.port = subject.port
                back = loop.time()
                while reasons(await ask(link, read())) != ["right"]:
                    await asyncio.sleep(0.25)
                assert loop.time() - back < 8.5
                assert link.backoffs.failures() == 0

    run(check())


def test_a_thousand_meters_that_are_asked_at_once_are_connected_at_the_pace(
    closed_port: int,
) -> None:
    """As after a switch was started anew; each refuses, so it is known when it was tried."""

    async def check() -> None:
        loop = asyncio.get_running_loop()
        with links() as opened:

            async def tried(host: str) -> float:
                link = opened.link(host, closed_port, LinkSettings())
                assert reasons(await ask(link, read())) == ["connect_refused"]
                return loop.time() - began

            began = loop.time()
            hosts = [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(METERS)]
            at = sorted(await asyncio.gather(*map(tried, hosts)))
        for first, last in zip(at, at[CONNECTS_PER_S:], strict=False):
            assert last - first > 0.99
        assert at[-1] < METERS / CONNECTS_PER_S + 1

    run(check())


def test_a_meter_that_closes_after_each_answer_waits_for_no_turn() -> None:
    async def check() -> None:
        async with meter(Connection.answer) as subject:
            with link_to(subject) as link:
                began = asyncio.get_running_loop().time()
                for _ in range(CONNECTS_PER_S):
                    assert await ask(link, read()) == [right(read())]
                assert link.connects == CONNECTS_PER_S
                assert asyncio.get_running_loop().time() - began < 0.1

    run(check())


def test_a_meter_that_has_failed_waits_for_its_turn_as_one_that_was_never_reached() -> None:
    """It accepts and is mute: a thousand such would be asked anew in one instant."""

    async def check() -> None:
        async with meter(Connection.silent) as subject:
            with link_to(subject) as link:
                await ask(link, read(), timeout_s=0.1)
                assert not link.dial.reached
                assert await ask(link, read(unit=2), timeout_s=0.1)
                assert link.connects == 2
            subject.script = good
            with link_to(subject) as link:
                await ask(link, read())
                assert link.dial.reached

    run(check())


def test_a_lookup_that_failed_when_nobody_waited_any_more_is_begun_anew(
    names: Callable[[Resolver], None],
) -> None:
    asked = threading.Event()
    lookups: list[str] = []

    def away_at_first(host: str, _port: int) -> Sequence[str]:
        lookups.append(host)
        if len(lookups) == 1:
            asked.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "the name server is away")
        return ["127.0.0.1"]

    async def check() -> None:
        names(away_at_first)
        lookup = Lookup()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lookup.places("a-meter", 502), 0.05)
        asked.set()
        await asyncio.sleep(0.2)
        assert await lookup.places("a-meter", 502) == [(socket.AF_INET, ("127.0.0.1", 502))]

    asyncio.run(check())


def test_a_name_whose_lookups_hang_takes_two_threads_and_no_more(
    names: Callable[[Resolver], None],
) -> None:
    released = threading.Event()
    lookups: list[str] = []

    def hanging(host: str, _port: int) -> Sequence[str]:
        lookups.append(host)
        released.wait()
        return ["127.0.0.1"]

    async def check() -> None:
        names(hanging)
        lookup = Lookup()
        for _ in range(6):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(lookup.places("a-meter", 502), 0.05)
            lookup.forget()
        assert len(lookups) == 2
        released.set()
        assert await lookup.places("a-meter", 502)

    asyncio.run(check())


def test_the_pace_keeps_its_distance_and_saves_up_nothing() -> None:
    pace = Pace(10)
    assert [round(pace.turn(now), 3) for now in (5.0, 5.0, 5.05, 9.0, 9.0)] == [
        0,
        0.1,
        0.15,
        0,
        0.1,
    ]
