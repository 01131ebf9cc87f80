import asyncio
import socket

from tests.virtual_time import run

LONG_S = 7000


def test_hours_pass_while_nothing_happens() -> None:
    async def check() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.sleep(LONG_S)
        return loop.time() - began

    assert run(check()) == LONG_S


def test_what_was_sent_is_there_before_the_shortest_deadline() -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            one = socket.create_connection(listener.getsockname())
            other, _ = listener.accept()
        with one, other:
            one.setblocking(False)
            other.setblocking(False)
            for number in range(200):
                heard = asyncio.ensure_future(loop.sock_recv(other, 1))
                await asyncio.sleep(0)  # now it listens
                one.send(bytes([number]))
                async with asyncio.timeout(1e-9):
                    assert await heard == bytes([number])

    run(check())
