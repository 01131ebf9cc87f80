import asyncio
from collections.abc import Awaitable, Callable

import pytest

from emdc.modbus.server import Server, answer_stream, serve

READ_TWO = bytes.fromhex("0001 0000 0006 01 03 00B3 0002")
TWO = bytes.fromhex("0001 0000 0007 01 03 04 00B3 0002")


def echo(unit: int, function_code: int, address: int, count: int) -> bytes | int:
    """Address and count, so that an answer shows which request it belongs to; unit 9 is down."""
    return 0x0B if unit == 9 else address.to_bytes(2, "big") + count.to_bytes(2, "big")


def with_server(
    talk: Callable[[Server, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    latency_s: float = 0.0,
) -> None:
    async def run() -> None:
        server = await serve(echo, "127.0.0.1", 0, latency_s=latency_s)
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(20):
            await talk(server, reader, writer)
            writer.close()
            server.close()
            await server.wait_closed()

    asyncio.run(run())


def test_a_read_gets_the_bytes_of_the_callback() -> None:
    async def talk(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(READ_TWO)
        assert await reader.readexactly(13) == TWO

    with_server(talk)


def test_pipelined_requests_of_one_segment_are_all_answered_in_order() -> None:
    frames = [bytes.fromhex(f"{n:04x} 0000 0006 01 03 {n:04x} 0001") for n in range(50)]

    async def talk(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(frames))
        for number in range(50):
            answer = await reader.readexactly(13)
            assert answer == bytes.fromhex(f"{number:04x} 0000 0007 01 03 04 {number:04x} 0001")

    with_server(talk)


def test_delayed_answers_keep_the_order_of_their_requests() -> None:
    async def talk(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(600):
            writer.write(bytes.fromhex(f"{number:04x} 0000 0006 01 03 {number:04x} 0001"))
            if number % 7 == 0:
                await writer.drain()
                await asyncio.sleep(0)
        answers = [await reader.readexactly(13) for _ in range(600)]
        assert [int.from_bytes(answer[:2]) for answer in answers] == list(range(600))

    with_server(talk, latency_s=0.001)


def test_a_request_that_comes_byte_by_byte_is_answered_once() -> None:
    async def talk(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for byte in READ_TWO + READ_TWO[:5]:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0)
        assert await reader.readexactly(13) == TWO
        writer.write(READ_TWO[5:])
        assert await reader.readexactly(13) == TWO

    with_server(talk)


@pytest.mark.parametrize(
    "frame",
    [
        "0001 0001 0006 01 03 0000 0001",  # protocol id
        "0001 0000 0001 01",  # no room for a function code
        "0001 0000 00FF 01 03 0000 0001",  # longer than any frame
    ],
)
def test_a_header_that_is_none_closes_the_connection_after_what_was_owed(frame: str) -> None:
    async def talk(_: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(READ_TWO + bytes.fromhex(frame))
        assert await reader.read() == TWO

    with_server(talk)


@pytest.mark.parametrize(
    ("request_pdu", "exception"),
    [
        ("01 06 0000 0001", "86 01"),  # writing does not exist
        ("01 2B 0E 01 00", "AB 01"),
        ("01 03 0000 0000", "83 03"),
        ("01 03 0000 007E", "83 03"),
        ("01 04 0000 007E", "84 03"),
        ("01 01 0000 07D1", "81 03"),
        ("01 02 0000 0000", "82 03"),
        ("01 03 0000", "83 03"),  # too short for a read
        ("01 03 FFFF 0002", "83 02"),
        ("09 03 0000 0001", "83 0B"),  # the callback's own
    ],
)
def test_a_bad_request_gets_the_exception_of_the_specification(
    request_pdu: str, exception: str
) -> None:
    body = bytes.fromhex(request_pdu)
    frame = bytes.fromhex("0007 0000") + len(body).to_bytes(2) + body
    expected = bytes.fromhex("0007 0000 0003") + body[:1] + bytes.fromhex(exception)
    assert answer_stream(frame, echo) == (expected, len(frame))


@pytest.mark.parametrize(("code", "count"), [(1, 2000), (2, 2000), (3, 125), (4, 125)])
def test_the_last_registers_can_be_read_and_the_largest_counts(code: int, count: int) -> None:
    seen: list[tuple[int, int, int, int]] = []

    def answer(*request: int) -> bytes:
        seen.append((request[0], request[1], request[2], request[3]))
        return bytes(250)

    frame = bytes.fromhex("0000 0000 0006 01") + bytes([code])
    frame += (65536 - count).to_bytes(2) + count.to_bytes(2)
    answer_stream(frame, answer)
    assert seen == [(1, code, 65536 - count, count)]


def test_an_incomplete_frame_is_left_for_later() -> None:
    assert answer_stream(READ_TWO + READ_TWO[:11], echo) == (TWO, 12)


def test_closing_the_server_ends_its_connections() -> None:
    async def talk(
        server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(READ_TWO)
        await reader.readexactly(13)
        server.close()
        assert await reader.read() == b""

    with_server(talk)
