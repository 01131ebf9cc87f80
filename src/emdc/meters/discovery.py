"""Asking a device for its SunSpec models: where the chain begins, and what is in it.

Reads two registers at a time, over the meter's own link and in turn with its readings. Whatever a
device answers, the walk ends: each step goes to a higher address, and there are only so many.
Source: SunSpec Device Information Model Specification, section on discovery.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from emdc.errors import ExceptionResponseError, LinkError, MeterError
from emdc.meters.sunspec import HEADER, MEASURED, Block, Layout, models_of
from emdc.modbus.exchange import Exchange
from emdc.modbus.link import Link
from emdc.modbus.links import Links
from emdc.modbus.pdu import ADDRESSES, READ_HOLDING_REGISTERS, read_request
from emdc.modbus.settings import LinkSettings

Read: TypeAlias = Callable[[int], Awaitable[bytes]]
"""The two registers from an address, four bytes. Raises MeterError."""

MARKER: Final = b"SunS"
BASES: Final = (40000, 0, 50000)
NEIGHBOURS: Final = (40001, 39999, 1, 50001, 49999)
"""Tried when the marker is at none of them: firmware has moved every register by one before."""
END: Final = 0xFFFF
MOST_BLOCKS: Final = 100
TIMEOUT_S: Final = 3.0
BACKED_OFF_S: Final = 0.2
"""Pause before a request is repeated that the link did not send, because the device failed."""

_NO_SUCH_PLACE: Final = (1, 2, 3, 4)
"""Exception codes that say that nothing is there, whichever the vendor took."""


async def discover(read: Read) -> Layout:
    """What the device says of itself.

    Raises MeterError when it is away, or with the reason `not_discovered` when it answers and there
    is no chain that can be read.
    """
    layout = await _walk(read, await _base(read))
    if not any(block.model in MEASURED for block in layout.blocks):
        raise _unusable(
            f"models {models_of(layout) or 'none'} from {layout.base}, expected one of "
            f"{', '.join(map(str, MEASURED))}"
        )
    return layout


async def ask(links: Links, host: str, port: int, unit: int) -> Layout:
    """What a device says that nobody reads yet; as `discover`."""
    return await discover(reader(links.link(host, port, LinkSettings()), unit, TIMEOUT_S))


def reader(link: Link, unit: int, timeout_s: float) -> Read:
    """Reads over a link; waits while that sends nothing, as it does after failures."""

    async def read(address: int) -> bytes:
        request = read_request(unit, READ_HOLDING_REGISTERS, address, HEADER)
        while True:
            future: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
            link.exchange(Exchange([request], timeout_s, _taker(future)))
            answer = (await future).answers[0]
            if not isinstance(answer, MeterError):
                return bytes(answer)
            if answer.reason != "backoff_skipped":
                raise answer
            await asyncio.sleep(BACKED_OFF_S)

    return read


def _taker(future: "asyncio.Future[Exchange]") -> Callable[[Exchange], None]:
    def take(done: Exchange) -> None:
        if not future.done():  # whoever asked may have gone
            future.set_result(done)

    return take


async def _base(read: Read) -> int:
    silence: MeterError | None = None
    answers = 0
    for base in (*BASES, *NEIGHBOURS):
        if base == NEIGHBOURS[0] and not answers and silence is not None:
            raise silence
        try:
            found = await read(base)
        except ExceptionResponseError as error:
            if error.code not in _NO_SUCH_PLACE:
                raise
            answers += 1
        except LinkError as error:
            # Some devices say nothing at all where they have no register.
            if error.reason != "read_timeout":
                raise
            silence = error
        else:
            answers += 1
            if found == MARKER:
                return base
    raise _unusable(f"no SunSpec marker at {', '.join(map(str, BASES))}, nor one beside")


async def _walk(read: Read, base: int) -> Layout:
    address = base + len(MARKER) // 2
    blocks: list[Block] = []
    while (block := await _block(read, address)) is not None:
        if len(blocks) == MOST_BLOCKS:
            raise _unusable(f"more than {MOST_BLOCKS} models from {base}, expected an end")
        address += HEADER + block.length
        if address > ADDRESSES:
            raise _unusable(
                f"model {block.model} at {block.address} with {block.length} registers, expected "
                "them to end by 65535"
            )
        blocks.append(block)
    return Layout(base, tuple(blocks))


async def _block(read: Read, address: int) -> Block | None:
    """The block at an address; None where the chain ends, properly or for want of registers."""
    if address > ADDRESSES - HEADER:
        return None
    try:
        header = await read(address)
    except ExceptionResponseError as error:
        if error.code not in _NO_SUCH_PLACE:
            raise
        return None
    model, length = int.from_bytes(header[:2]), int.from_bytes(header[2:])
    return None if model == END else Block(model, address, length)


def _unusable(problem: str) -> MeterError:
    return MeterError("not_discovered", problem)
