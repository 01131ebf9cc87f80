import asyncio
import socket
from collections.abc import Iterator
from itertools import pairwise

import pytest

from emdc.errors import LinkError
from emdc.modbus import LinkSettings
from emdc.modbus.dial import Dial
from tests.misbehaving import good, meter
from tests.modbus.asking import ask, link_to, links, read, reasons, right
from tests.virtual_time import run


def dial(host: str, port: int) -> Dial:
    return Dial(host, port, holder=lambda: "a test")


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


def test_a_name_with_two_addresses_is_tried_at_both(monkeypatch: pytest.MonkeyPatch) -> None:
    port = 0

    async def two(*_: object, **__: object) -> list[object]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    async def check() -> None:
        nonlocal port
        async with meter(good) as subject:
            port = subject.port
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
            with links() as opened:
                link = opened.link("a-meter", port, LinkSettings())
                assert await ask(link, read()) == [right(read())]

    run(check())


def test_a_number_needs_no_resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with meter(good) as subject:
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", None)
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
