"""A serial line without a wire: a pseudo-terminal, and whoever listens at its other end.

Pseudo-terminals know no parity, so lines in tests have none.
"""

import asyncio
import os
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from emdc.modbus import Line, LinkSettings
from tests.modbus.rtu_frames import right_frame

LINE = LinkSettings(line=Line(parity="none"))


class Wire:
    """The other end of a line. `said` holds every request that came, in frames of 8 bytes."""

    def __init__(self, master: int, slave: int) -> None:
        self.said: list[bytes] = []
        self.times: list[float] = []
        self.answer: Callable[[bytes], bytes] = right_frame
        # Kept open: a terminal that nobody has open makes its other end ready for ever.
        self._master, self.slave = master, slave
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self.hear: Callable[[bytes], None] = self._hear
        self._loop.add_reader(master, self._read)

    def send(self, data: bytes) -> None:
        """Say something, asked or not."""
        os.write(self._master, data)

    def close(self) -> None:
        """Pull the adapter out."""
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self.slave)

    def _read(self) -> None:
        with suppress(OSError):
            self.hear(os.read(self._master, 4096))

    def _hear(self, data: bytes) -> None:
        self._rest += data
        while len(self._rest) >= 8:
            frame, self._rest = self._rest[:8], self._rest[8:]
            self.said.append(frame)
            self.times.append(self._loop.time())
            if answer := self.answer(frame):
                self.send(answer)


def plug_in(path: Path) -> Wire:
    """A new line under this name; needs a running loop."""
    master, slave = os.openpty()
    os.set_blocking(master, False)
    tty.setraw(master)
    path.unlink(missing_ok=True)
    path.symlink_to(os.ttyname(slave))
    return Wire(master, slave)


@contextmanager
def plugged_in(folder: Path) -> Iterator[tuple[Wire, str]]:
    """A line and the path of its device."""
    path = folder / "ttyUSB0"
    wire = plug_in(path)
    try:
        yield wire, str(path)
    finally:
        with suppress(OSError):
            wire.close()
