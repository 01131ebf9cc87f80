"""A serial line as a connection: the device, how its characters look, who may use it.

Only what the standard library has: a link wants a descriptor that never waits, which is what a
terminal in raw mode is. Linux names the speeds up to 4,000,000 baud, and those are the ones taken.
Source: termios(3); Modbus over Serial Line V1.02, section 2.5.1.
"""

import errno
import fcntl
import os
import termios
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from emdc.errors import LinkError
from emdc.modbus.dial import Dial
from emdc.modbus.pace import Pace
from emdc.modbus.settings import Line

_CFLAG, _ISPEED, _OSPEED, _CC = 2, 4, 5, 6
_MENDS: Final = {
    errno.EACCES: "this user may not use it; the group that may is dialout as a rule",
    errno.EAGAIN: "another program has it",
    errno.EBUSY: "another program has it",
    errno.ENOTTY: "no serial line",
}


def speed(baudrate: int) -> int:
    """The system's name of a speed. Raises ValueError when it has none."""
    found = getattr(termios, f"B{baudrate}", None)
    if not isinstance(found, int) or not baudrate:
        raise ValueError(f"{baudrate} baud, expected a usual speed such as 9600, 19200 or 115200")
    return found


class SerialPort:
    """An open line. It has of a socket what a link needs."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def recv_into(self, buffer: bytearray, /) -> int:
        """Bytes that were taken; 0 or OSError when the device is gone."""
        return os.readv(self._descriptor, [buffer])

    def send(self, data: bytes, /) -> int:
        """Bytes that were handed to the device; their way takes longer."""
        return os.write(self._descriptor, data)

    def close(self) -> None:
        """Throw away what is under way, which a close would wait for; let others use the line."""
        with suppress(OSError, termios.error):  # the device may be gone
            termios.tcflush(self._descriptor, termios.TCIOFLUSH)
            fcntl.ioctl(self._descriptor, termios.TIOCNXCL)
        os.close(self._descriptor)


def attributes(before: list[Any], line: Line) -> list[Any]:
    """The terminal attributes of a line in raw mode; what else there was is kept.

    Raises ValueError for a speed that the system does not know.
    """
    after = list(before)
    after[0] = termios.IGNBRK | (termios.INPCK if line.parity != "none" else 0)
    after[1] = after[3] = 0  # neither output is changed nor input edited
    cflag = after[_CFLAG]
    cflag &= ~(termios.CSIZE | termios.PARENB | termios.PARODD | termios.CSTOPB)
    # No modem lines, and no pulse on them when the line is closed: adapters take it for a reset.
    cflag &= ~(termios.CRTSCTS | termios.HUPCL)
    cflag |= termios.CS8 | termios.CREAD | termios.CLOCAL
    if line.parity != "none":
        cflag |= termios.PARENB | (termios.PARODD if line.parity == "odd" else 0)
    if line.stop_bits == 2:
        cflag |= termios.CSTOPB
    after[_CFLAG] = cflag
    after[_ISPEED] = after[_OSPEED] = speed(line.baudrate)
    controls = list(after[_CC])
    controls[termios.VMIN], controls[termios.VTIME] = 1, 0
    after[_CC] = controls
    return after


def open_port(path: str, line: Line) -> SerialPort:
    """The line, set up, ours alone, and nothing in its buffers.

    Raises OSError or termios.error when the device cannot be had or cannot be set so.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        # The lock stops programs that ask for it, the ioctl all others that are not root's.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.ioctl(descriptor, termios.TIOCEXCL)
        wanted = attributes(termios.tcgetattr(descriptor), line)
        termios.tcsetattr(descriptor, termios.TCSANOW, wanted)
        termios.tcflush(descriptor, termios.TCIOFLUSH)
    except BaseException:
        os.close(descriptor)
        raise
    return SerialPort(descriptor)


class SerialDial(Dial):
    """Opens one serial line, in one process at a time. That never waits."""

    def __init__(self, path: str, line: Line, *, holder: Callable[[], str]) -> None:
        super().__init__(path, 0, holder=holder, pace=Pace())
        self._line = line

    async def _connect(self, timeout_s: float) -> SerialPort:
        try:
            await self._hold(self.host)
            return open_port(self.host, self._line)
        except LinkError:
            raise
        except (OSError, termios.error, ValueError) as error:
            raise LinkError("connect_refused", f"{self.host}: {_problem(error)}") from error


def _problem(error: Exception) -> str:
    """What is wrong with a device, in words."""
    number, text = error.args if len(error.args) == 2 else (0, str(error))
    if isinstance(error, termios.error) and number == errno.EINVAL:
        return "it does not know this speed, parity or number of stop bits"
    return _MENDS.get(number, str(text))
