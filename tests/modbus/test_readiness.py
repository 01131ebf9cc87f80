import asyncio
import logging
import socket

import pytest

from emdc.modbus.readiness import Readiness


def test_a_reader_is_called_for_bytes_and_for_the_end() -> None:
    async def check() -> None:
        readiness = Readiness()
        ours, theirs = socket.socketpair()
        received: list[bytes] = []
        ended = asyncio.Event()

        def reader() -> None:
            received.append(ours.recv(100))
            if not received[-1]:
                readiness.remove(ours)
                ended.set()

        readiness.add(ours, reader)
        theirs.send(b"abc")
        while not received:
            await asyncio.sleep(0)
        theirs.close()
        await ended.wait()
        assert received == [b"abc", b""]
        readiness.close()
        ours.close()

    asyncio.run(check())


def test_a_socket_that_was_closed_by_another_reader_of_the_same_turn_is_left_alone() -> None:
    async def check() -> None:
        readiness = Readiness()
        pairs = [socket.socketpair() for _ in range(2)]
        called: list[int] = []

        def reader(own: int) -> None:
            called.append(own)
            for ours, _ in pairs:
                readiness.remove(ours)
                ours.close()

        for index, (ours, theirs) in enumerate(pairs):
            readiness.add(ours, lambda index=index: reader(index))  # type: ignore[misc]
            theirs.send(b"x")
        while not called:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(called) == 1
        readiness.close()
        for _, theirs in pairs:
            theirs.close()

    asyncio.run(check())


def test_a_reader_that_fails_is_logged_and_the_others_are_called(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def check() -> None:
        readiness = Readiness()
        pairs = [socket.socketpair() for _ in range(3)]
        called = 0

        def reader(ours: socket.socket) -> None:
            nonlocal called
            ours.recv(100)
            called += 1
            raise RuntimeError("a fault of ours")

        for ours, theirs in pairs:
            readiness.add(ours, lambda ours=ours: reader(ours))  # type: ignore[misc]
            theirs.send(b"x")
        while called < 3:
            await asyncio.sleep(0)
        readiness.close()
        for pair in pairs:
            for end in pair:
                end.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(check())
    assert [record.getMessage() for record in caplog.records] == ["link failed"] * 3
