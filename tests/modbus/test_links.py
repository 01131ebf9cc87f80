import asyncio
import socket
import threading
import time
from contextlib import suppress

import pytest

from emdc.modbus import LinkSettings
from emdc.modbus.exchange import Exchange
from emdc.modbus.link import NEVER
from tests import misbehaving
from tests.misbehaving import Connection, framed, good, meter
from tests.modbus.asking import TIMEOUT_S, ask, link_to, links, read, reasons, right
from tests.virtual_time import run


def gateway(dead: set[int]) -> misbehaving.Script:
    """A script that says nothing for the dead units and answers for the others."""

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            if request[6] not in dead:
                await connection.send(misbehaving.right(request))

    return script


def test_units_behind_one_host_and_port_share_a_link() -> None:
    async def check() -> None:
        with links() as opened:
            settings = LinkSettings()
            one = opened.link("Meter.example", 502, settings)
            assert opened.link("meter.EXAMPLE", 502, LinkSettings(request_delay_s=9)) is one
            assert one.settings is settings
            assert opened.link("meter.example", 503, settings) is not one

    asyncio.run(check())


def test_the_neighbours_of_a_silent_unit_go_on_after_one_reconnect() -> None:
    async def check() -> None:
        async with meter(gateway({3})) as subject:
            with link_to(subject) as link:
                answers = await asyncio.gather(
                    *(ask(link, read(unit=unit), read(20, unit=unit)) for unit in (1, 3, 2, 4))
                )
                assert [reasons(a)[0] for a in answers] == ["right", "read_timeout", *["right"] * 2]
                assert answers[2] == [right(read(unit=2)), right(read(20, unit=2))]
                assert subject.connections == 2

    run(check())


def test_a_dead_unit_costs_its_neighbours_one_time_out_in_each_pause_and_no_value() -> None:
    async def check() -> None:
        dead = {3}
        async with meter(gateway(dead)) as subject:
            with link_to(subject, LinkSettings(backoff_max_s=8)) as link:
                for _ in range(30):
                    asked = await asyncio.gather(
                        *(ask(link, read(unit=unit)) for unit in (3, 1, 2))
                    )
                    assert [reasons(a) for a in asked[1:]] == [["right"]] * 2
                    assert reasons(asked[0])[0] in {"read_timeout", "backoff_skipped"}
                    await asyncio.sleep(1)
                asked_three = [request for request in subject.requests if request[6] == 3]
                assert 4 < len(asked_three) < 10
                dead.clear()
                await asyncio.sleep(8)
                assert await ask(link, read(unit=3)) == [right(read(unit=3))]

    run(check())


@pytest.mark.parametrize("code", [10, 11])
def test_a_unit_that_its_gateway_does_not_find_costs_its_neighbours_one_wait_in_each_pause(
    code: int,
) -> None:
    """The gateway waits a second before it says so; the connection stays as it is."""
    absent = {3}

    async def script(connection: Connection) -> None:
        while True:
            request = await connection.request()
            if request[6] in absent:
                await asyncio.sleep(1)
                await connection.send(framed(request[:2], bytes([request[6], 0x83, code])))
            else:
                await connection.send(misbehaving.right(request))

    async def check() -> None:
        async with meter(script) as subject:
            with link_to(subject, LinkSettings(backoff_max_s=8)) as link:
                for _ in range(30):
                    asked = await asyncio.gather(
                        *(ask(link, *(read(a, unit=u) for a in (10, 20))) for u in (1, 2)),
                        ask(link, *(read(a, unit=3) for a in (10, 20, 30)), timeout_s=2),
                    )
                    assert [reasons(a) for a in asked[:2]] == [["right"] * 2] * 2
                    assert len(asked[2]) == 3
                    assert set(reasons(asked[2])) <= {f"exception:{code}", "backoff_skipped"}
                    await asyncio.sleep(1)
                tried = sum(request[6] == 3 for request in subject.requests)
                assert 4 < tried < 10
                absent.clear()
                await asyncio.sleep(8)
                assert await ask(link, read(unit=3)) == [right(read(unit=3))]
                assert subject.connections == 1

    run(check())


def test_every_silent_meter_fails_at_its_own_deadline() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        ended: dict[int, float] = {}
        async with meter(Connection.silent) as one, meter(Connection.silent) as other:
            with links() as opened:

                async def wait(port: int, timeout_s: float) -> None:
                    link = opened.link("127.0.0.1", port, LinkSettings())
                    await ask(link, read(), timeout_s=timeout_s)
                    ended[port] = loop.time()

                began = loop.time()
                await asyncio.gather(wait(one.port, 1.0), wait(other.port, 2.0))
        assert ended[one.port] - began == pytest.approx(1.02, abs=0.03)
        assert ended[other.port] - began == pytest.approx(2.02, abs=0.03)

    run(check())


@pytest.mark.parametrize("what", ["fails", "opens another link", "closes all"])
def test_the_sweep_survives_whatever_a_time_out_sets_off(what: str) -> None:
    async def check() -> None:
        async with meter(Connection.silent) as one, meter(Connection.silent) as other:
            with links() as opened:

                def done(_: Exchange) -> None:
                    if what == "fails":
                        raise RuntimeError("a caller's own fault")
                    if what == "closes all":
                        opened.close()
                    else:
                        opened.link("127.0.0.1", 1, LinkSettings())

                first = opened.link(one.host, one.port, LinkSettings())
                second = opened.link(other.host, other.port, LinkSettings())
                first.exchange(Exchange([read()], TIMEOUT_S, done))
                expected = "daemon_stopped" if what == "closes all" else "read_timeout"
                assert reasons(await ask(second, read())) == [expected]
                if what != "closes all":
                    assert reasons(await ask(second, read())) == ["read_timeout"]

    run(check())


def test_closing_gives_back_connections_and_claims() -> None:
    async def check() -> None:
        async with meter(good) as subject:
            for _ in range(3):
                with link_to(subject) as link:
                    assert await ask(link, read()) == [right(read())]
                    assert subject.most_open == 1
                await asyncio.sleep(1)
                assert subject.open == 0

    run(check())


def test_answers_that_came_while_the_process_was_held_up_are_taken_before_time_outs() -> None:
    """The sweep may have its turn before the sockets have theirs."""
    subject = socket.create_server(("127.0.0.1", 0))
    port = subject.getsockname()[1]

    def answer() -> None:
        connection, _ = subject.accept()
        with connection:
            connection.sendall(misbehaving.right(connection.recv(12)))
            with suppress(ConnectionError):
                connection.recv(12)

    async def check() -> None:
        with links() as opened:
            link = opened.link("127.0.0.1", port, LinkSettings())
            asked = asyncio.ensure_future(ask(link, read(), timeout_s=0.2))
            while link.deadline == NEVER:
                await asyncio.sleep(0)
            time.sleep(0.5)
            opened._sweep()
            assert await asked == [right(read())]

    peer = threading.Thread(target=answer, daemon=True)
    peer.start()
    asyncio.run(check())
    peer.join(5)
    subject.close()
