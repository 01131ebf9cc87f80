import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from emdc.modbus import LinkSettings
from emdc.modbus.claim import claim, claim_name, holder_of
from tests.misbehaving import good, meter
from tests.modbus.asking import ask, link_to, links, read, reasons, right

ROOT = Path(__file__).parents[2]
PORT = 502


def test_the_names_of_one_machine_share_a_claim() -> None:
    names = {claim_name(address, PORT) for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1")}
    assert len(names) == 1


@pytest.mark.parametrize(
    ("one", "other"), [("127.0.0.1", "127.0.0.2"), ("fd00::1", "fd00::2"), ("::1", "fd00::1")]
)
def test_other_addresses_and_ports_have_claims_of_their_own(one: str, other: str) -> None:
    assert claim_name(one, PORT) != claim_name(other, PORT) != claim_name(other, PORT + 1)


def test_an_address_with_a_zone_has_a_name() -> None:
    assert claim_name("fe80::1%eth0", PORT) == claim_name("fe80::1", PORT)


def test_a_claim_is_granted_once_and_again_when_it_is_closed() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            held = claim("127.0.0.1", subject.port, "the first")
            assert held is not None
            assert claim("::1", subject.port, "the second") is None
            assert await holder_of("127.0.0.1", subject.port) == "the first"
            held.close()
            held.close()
            again = claim("127.0.0.1", subject.port, "the third")
            assert again is not None
            assert await holder_of("::1", subject.port) == "the third"
            again.close()
            assert "does not answer" in await holder_of("127.0.0.1", subject.port)

    asyncio.run(check())


def test_a_holder_that_says_nothing_has_a_name_all_the_same() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            held = claim("127.0.0.1", subject.port, "")
            assert await holder_of("127.0.0.1", subject.port) == "an EMDC process"
            assert held is not None
            held.close()

    asyncio.run(check())


def test_two_links_of_one_process_open_one_connection() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            with link_to(subject) as first, links("the other") as others:
                second = others.link("localhost", subject.port, LinkSettings())
                assert await ask(first, read()) == [right(read())]
                assert reasons(await ask(second, read())) == ["meter_held"]
                assert second.dial.held_by == "a test"
                assert subject.most_open == 1
                first.close()
                second.backoffs.connection.retry_at = 0  # half a second later
                assert await ask(second, read()) == [right(read())]
                assert second.dial.held_by == ""

    asyncio.run(check())


@asynccontextmanager
async def holder(host: str, port: int) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Another process that has asked the meter, and what it printed; killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.modbus.holder", host, str(port)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def test_a_second_process_is_told_who_has_the_meter_and_gets_it_when_that_is_killed() -> None:
    async def check() -> None:
        async with (
            meter(good) as subject,
            holder("127.0.0.1", subject.port) as (first, said),
            holder("localhost", subject.port) as (_, told),
        ):
            assert said == "right"
            assert told == "meter_held the holder of 127.0.0.1"
            with link_to(subject) as ours:
                assert reasons(await ask(ours, read())) == ["meter_held"]
                first.send_signal(signal.SIGKILL)
                await first.wait()
                ours.backoffs.connection.retry_at = 0  # half a second later
                assert await ask(ours, read()) == [right(read())]
                assert (subject.connections, subject.most_open) == (2, 1)

    asyncio.run(check())
