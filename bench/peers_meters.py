"""The fifteen meters of the figure `peers`, in a process of their own: TIMEOUT_S PORT...

One port for each of METERS, in order. A register holds what `register` says, which tells unit,
function code and address, so a value shows which request it answers. Prints "ready" when all ports
listen; ends with its parent or by a signal. Shares no code with any client.
"""

import asyncio
import itertools
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random

from bench import faults, rig
from bench.faults import Asked, Fault, Line

LATE = 1.6
"""Time-outs after which a late answer comes: while the next request waits for its own."""
BYTE_S = 0.01
DRIP_S = 0.3


def register(unit: int, function: int, address: int) -> int:
    """What a register holds."""
    return unit << 12 | function << 8 | address


def held(asked: Asked, *, good: bool) -> bytes:
    """The bytes of the registers that are asked for."""
    first, end = asked.address, asked.address + asked.quantity
    words = (register(asked.unit, asked.function, address) for address in range(first, end))
    return b"".join(word.to_bytes(2) for word in words)


def _first(fault: Fault) -> Fault:
    """The fault for the first request that the meter ever has, and none after it."""

    async def only(line: Line, asked: Asked) -> None:
        await (faults.right if asked.number else fault)(line, asked)

    return only


def _of(change: Callable[[Asked], Asked]) -> Fault:
    """The answer to another question, under the transaction id of this one."""

    async def fault(line: Line, asked: Asked) -> None:
        await line.send(line.right(change(asked)))

    return fault


async def _late_in_one_segment(line: Line, asked: Asked) -> None:
    """The first request waits until the second one comes; then both are answered."""
    if asked.number:
        old = line.right(line.before) if line.before and not line.before.number else b""
        await line.send(old + line.right(asked))


async def _id_0_and_twice(line: Line, asked: Asked) -> None:
    answer = line.frame(asked, tid=0)
    await line.send(answer, answer, pause_s=line.timeout_s / 2)


async def _twice(line: Line, asked: Asked) -> None:
    await line.send(2 * line.right(asked))


async def _too_long(line: Line, asked: Asked) -> None:
    other = asked._replace(address=asked.address - 1, quantity=asked.quantity + 1)
    await line.send(line.right(other))


async def _too_short(line: Line, asked: Asked) -> None:
    await line.send(line.right(asked._replace(quantity=asked.quantity - 1)))


async def _protocol_1(line: Line, asked: Asked) -> None:
    """The other protocol's frame looks like an answer and is none."""
    other = held(asked._replace(address=asked.address + 100), good=False)
    await line.send(line.frame(asked, protocol=1, data=other) + line.right(asked))


async def _byte_by_byte(line: Line, asked: Asked) -> None:
    answer = line.right(asked)
    await line.send(*(answer[at : at + 1] for at in range(len(answer))), pause_s=BYTE_S)


async def _drip(line: Line, asked: Asked) -> None:
    answer = line.right(asked)
    await line.send(*(answer[at : at + 1] for at in range(len(answer))), pause_s=DRIP_S)


METERS: Mapping[str, Fault] = {
    "answers the first request late, and goes on": _first(faults.late(LATE)),
    "keeps the first answer back, then sends it with the next one": _late_in_one_segment,
    "is one answer behind for ever": faults.one_behind,
    "sends every answer twice": _twice,
    "always sends transaction id 0, and every answer twice": _id_0_and_twice,
    "answers as another unit, with its registers": _of(lambda a: a._replace(unit=a.unit + 1)),
    "answers as function code 4, with input registers": _of(lambda a: a._replace(function=4)),
    "answers with a register less": _too_short,
    "answers with a register more, from one before": _too_long,
    "says four bytes and sends two": faults.cut_data(-2, honest=False),
    "sends a frame of another protocol first": _protocol_1,
    "sends three bytes of noise first": faults.ahead(b"\xff\x00\x13"),
    "breaks the first answer off and closes": _first(faults.half_and_closed),
    f"sends a byte every {1000 * BYTE_S:.0f} ms": _byte_by_byte,
    f"sends a byte every {1000 * DRIP_S:.0f} ms": _drip,
}


async def _open(fault: Fault, port: int, timeout_s: float) -> None:
    numbers, served = itertools.count(), set[asyncio.Task[None] | None]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        line = Line(held, reader, writer, timeout_s=timeout_s, chance=Random(port))
        with suppress(EOFError, OSError):
            while True:
                asked = await line.request(numbers)
                await fault(line, asked)
                line.before = asked
        writer.close()

    await asyncio.start_server(serve, rig.HOST, port)


async def _run(timeout_s: float, ports: Sequence[int]) -> None:
    for fault, port in zip(METERS.values(), ports, strict=True):
        await _open(fault, port, timeout_s)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    rig.end_with_parent()
    logging.disable()  # asyncio's warnings of clients that have gone
    asyncio.run(_run(float(sys.argv[1]), [*map(int, sys.argv[2:])]))
