"""The meters of the figure `truth`, in a process of their own: LOG SEED TIMEOUT_S PORT...

One port for each of MODES, in order. Every four registers are one UINT64 that says where and when
it was read, 53 bits wide and so exact everywhere:
    meter << 43 | k << 36 | nonce
`k` says which registers, `place_of` how. A nonce is given to one answer only. LOG has a line for
each request, as it arrives, and for each answer, as it is made, which says for which request it is,
and whether it is the one right answer to it:
    Q number meter microseconds function address quantity fault
    A nonce number meter good
Prints "ready" when all ports listen; ends with its parent or by a signal. Shares no code with EMDC.
"""

import asyncio
import itertools
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TextIO, TypeAlias

from bench import faults, rig
from bench.dead_meters import hole
from bench.faults import Asked, Fault, Greeting, Line

SHARE = 0.35
"""Of the requests and connections that meet the fault of their meter."""
AWAY_S = 0.6
"""How long a meter that reboots is away, and how long it is busy then."""
PAUSE_S = 0.02
"""What a meter needs after a connection, or after an answer."""
RESTART_S = 12.0
"""How often all connections of all meters are reset, as by a switch."""
SCRAMBLE = 0x9E3779B1
"""Odd, so no two answers have one nonce; numbers in a row differ in every register."""
NONCE_BITS = 36


def place_of(function: int, address: int) -> int:
    """`k` of a register: 0 to 63 for function code 3, 64 to 127 for 4."""
    return (64 if function == 4 else 0) | address // 4 & 63


class Book:
    """The log."""

    def __init__(self, out: TextIO) -> None:
        self.numbers: Iterator[int] = itertools.count(1)
        self._answers = itertools.count(1)
        self._out = out

    def asked(self, asked: Asked, meter: int, fault: str) -> None:
        """A request has arrived."""
        facts = (asked.number, meter, time.time_ns() // 1000)
        span = (asked.function, asked.address, asked.quantity)
        print("Q", *facts, *span, fault, file=self._out)

    def answered(self, asked: Asked, meter: int, *, good: bool) -> int:
        """The nonce of a new answer."""
        nonce = next(self._answers) * SCRAMBLE & (1 << NONCE_BITS) - 1
        print("A", nonce, asked.number, meter, int(good), file=self._out)
        return nonce


Nature: TypeAlias = Callable[["Port", Line, Asked], Awaitable[bool]]
"""Something that a meter always does; True when the request has had what it gets."""


@dataclass(frozen=True)
class Mode:
    """What one port's meter does wrong."""

    name: str
    answer: Fault | None = None
    greeting: Greeting | None = None
    nature: Nature | None = None
    units: int = 1
    """Meters behind the port."""
    lines: Sequence[str] = ()
    """What the configuration says of the meter."""
    anything: bool = False
    """Any of the answers."""
    is_hole: bool = False
    """Whoever connects gets no answer at all."""
    dead: int = 0
    """Units of which no value can ever be read."""


class Port:
    """One port, the meters behind it, and the connections to it."""

    def __init__(self, mode: Mode, port: int, first: int, chance: Random) -> None:
        self.mode = mode
        self.first = first
        self.chance = chance
        self.lines: dict[Line, float] = {}
        """Open connections, with the loop time at which they were opened or answered last."""
        self.busy_until = 0.0
        self._port = port
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def configure(self, book: Book, timeout_s: float) -> None:
        """Say where it writes and how long its client waits."""
        self._book, self._timeout_s = book, timeout_s

    async def open(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, rig.HOST, self._port, backlog=16)

    async def reboot(self) -> None:
        """Be away for a while, then busy."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        self.reset_all()
        with rig.refusing(self._port):
            await asyncio.sleep(AWAY_S)
        self.busy_until = time.monotonic() + AWAY_S
        await self.open()

    def start_reboot(self) -> None:
        """The same, while the connection that caused it ends."""
        task = asyncio.create_task(self.reboot())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def reset_all(self) -> None:
        """End all connections."""
        for line in list(self.lines):
            line.reset()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = Line(self._registers, reader, writer, timeout_s=self._timeout_s, chance=self.chance)
        self.lines[line] = time.monotonic()
        try:
            with suppress(EOFError, OSError):
                if self.mode.greeting and self.chance.random() < SHARE:
                    await self.mode.greeting(line)
                while True:
                    await self._answer(line, await line.request(self._book.numbers))
        finally:
            del self.lines[line]
            writer.close()

    async def _answer(self, line: Line, asked: Asked) -> None:
        mode, name = self.mode, "-"
        fault: Fault = faults.right
        if self.chance.random() < SHARE:
            if mode.anything:
                name, fault = self.chance.choice(list(faults.ANSWERS.items()))
            elif mode.answer:
                name, fault = mode.name, mode.answer
        self._book.asked(asked, self._meter(asked), name.replace(" ", "_"))
        if mode.nature is None or not await mode.nature(self, line, asked):
            await fault(line, asked)
        # Greetings come with connections only.
        if mode.greeting and self.chance.random() < SHARE:
            line.close()
        line.before = asked
        self.lines[line] = time.monotonic()

    def _meter(self, asked: Asked) -> int:
        return self.first + (asked.unit - 1) % self.mode.units

    def _registers(self, asked: Asked, *, good: bool) -> bytes:
        meter = self._meter(asked)
        nonce, data = self._book.answered(asked, meter, good=good), bytearray()
        for address in range(asked.address, asked.address + asked.quantity):
            stamp = meter << 43 | place_of(asked.function, address) << NONCE_BITS | nonce
            data += (stamp >> 48 - 16 * (address % 4) & 0xFFFF).to_bytes(2)
        return bytes(data)


async def _goes_away(port: Port, _line: Line, _asked: Asked) -> bool:
    if port.chance.random() < 0.1:
        port.start_reboot()
    return False


async def _busy_after_reboot(port: Port, line: Line, asked: Asked) -> bool:
    if time.monotonic() < port.busy_until:
        await faults.exception(6)(line, asked)
        return True
    if line.before and port.chance.random() < 0.1:  # in the middle of a cycle
        port.start_reboot()
        return True
    return False


async def _second_refused(port: Port, line: Line, _asked: Asked) -> bool:
    if len(port.lines) > 1 and min(port.lines, key=port.lines.__getitem__) is not line:
        line.reset()
        return True
    return False


async def _second_ends_first(port: Port, line: Line, _asked: Asked) -> bool:
    for other in list(port.lines):
        if other is not line:
            other.reset()
    return False


async def _closes_when_idle(port: Port, line: Line, _asked: Asked) -> bool:
    def look(answered: float) -> None:
        if port.lines.get(line) == answered:
            line.close()

    def begin() -> None:
        asyncio.get_running_loop().call_later(5 * PAUSE_S, look, port.lines.get(line, 0.0))

    asyncio.get_running_loop().call_later(PAUSE_S, begin)
    return False


async def _needs_a_pause(port: Port, line: Line, _asked: Asked) -> bool:
    if time.monotonic() < port.lines[line] + PAUSE_S:
        line.reset()
        return True
    return False


async def _eight_registers(_port: Port, line: Line, asked: Asked) -> bool:
    if asked.quantity > 8:
        await faults.exception(3)(line, asked)
        return True
    return False


async def _refuses_start(_port: Port, line: Line, asked: Asked) -> bool:
    if asked.address == 100:
        await faults.exception(2)(line, asked)
        return True
    return False


async def _dead_unit(_port: Port, line: Line, asked: Asked) -> bool:
    if asked.unit == 3:
        await faults.late(1.2)(line, asked)
        return True
    return False


async def _no_path(_port: Port, line: Line, asked: Asked) -> bool:
    if asked.unit == 2:
        await faults.exception(11)(line, asked)
        return True
    return False


async def _mixes_units(port: Port, line: Line, asked: Asked) -> bool:
    if port.chance.random() < SHARE:
        other = asked._replace(unit=asked.unit % port.mode.units + 1)
        await line.send(line.frame(other))
        return True
    return False


MODES: Sequence[Mode] = (
    *(Mode(name, answer=fault) for name, fault in faults.ANSWERS.items()),
    *(Mode(name, greeting=greeting) for name, greeting in faults.GREETINGS.items()),
    Mode("connections hang", is_hole=True, dead=1),
    Mode("refuses connections for a while", nature=_goes_away),
    Mode("reboots in mid-cycle, then is busy", nature=_busy_after_reboot),
    Mode("one connection, a second one is reset", nature=_second_refused),
    Mode("one connection, a second one ends the first", nature=_second_ends_first),
    Mode("closes when idle", nature=_closes_when_idle),
    Mode(
        "needs a pause",
        nature=_needs_a_pause,
        lines=("connect_delay = 0.05", "request_delay = 0.03"),
    ),
    Mode("at most 8 registers", nature=_eight_registers),
    Mode("refuses reads that start at 100", nature=_refuses_start),
    Mode("gateway, one unit of four is silent", nature=_dead_unit, units=4, dead=1),
    Mode("gateway without a path to one unit", nature=_no_path, units=4, dead=1),
    Mode("gateway that mixes its units up", nature=_mixes_units, units=4),
    *(Mode(f"anything, {number}", anything=True) for number in range(10)),
    *(Mode(f"anything, pipelined {n}", anything=True, lines=("pipeline = 3",)) for n in range(10)),
)


async def _restarts(ports: Sequence[Port]) -> None:
    """A switch restarts now and then: all connections are reset at once."""
    while True:
        await asyncio.sleep(RESTART_S)
        for port in ports:
            port.reset_all()


async def _run(log: Path, seed: int, timeout_s: float, numbers: Sequence[int]) -> None:
    with ExitStack() as stack:
        book = Book(stack.enter_context(log.open("w", encoding="ascii")))
        ports, first = [], 0
        for mode, number in zip(MODES, numbers, strict=True):
            port = Port(mode, number, first, Random(f"{seed} {mode.name}"))
            port.configure(book, timeout_s)
            first += mode.units
            if mode.is_hole:
                stack.enter_context(hole(number))
            else:
                await port.open()
                ports.append(port)
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        print("ready", flush=True)
        restarts = asyncio.create_task(_restarts(ports))
        await stopped.wait()
        restarts.cancel()


if __name__ == "__main__":
    rig.end_with_parent()
    logging.disable()  # asyncio's warnings of clients that have gone
    asyncio.run(
        _run(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), [*map(int, sys.argv[4:])])
    )
