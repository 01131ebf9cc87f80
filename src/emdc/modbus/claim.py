"""One connection to a meter across all processes of a machine.

Many meters accept a single client and drop the first when a second comes. A claim is a listening
abstract Unix socket named by the meter's address and port: the kernel allows one, across users and
private temporary folders, and frees it when its process ends however it ends. Whoever finds the
name taken may connect to it and is told who holds it.
Abstract sockets are Linux only; elsewhere every claim is granted.
"""

import asyncio
import errno
import socket
import sys
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path


class Claim:
    """A granted claim. Close it to let another process read the meter."""

    def __init__(self, listener: socket.socket | None) -> None:
        self._listener = listener

    def close(self) -> None:
        """Free the name."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None


def claim(address: str, port: int, holder: str) -> Claim | None:
    """Claim the meter at a resolved address; None when another process has it.

    `holder` is what others are told: the process and how to ask it. Needs a running loop.
    """
    if sys.platform != "linux":
        return Claim(None)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.bind(claim_name(address, port))
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    listener.listen(4)
    text = holder.encode()

    def tell() -> None:
        with suppress(OSError):
            caller, _ = listener.accept()
            with caller:
                caller.setblocking(False)
                caller.send(text)

    asyncio.get_running_loop().add_reader(listener, tell)
    return Claim(listener)


async def holder_of(address: str, port: int) -> str:
    """What the holder of a meter says of itself; a plain sentence when it says nothing in time."""
    try:
        async with asyncio.timeout(0.5):
            reader, writer = await asyncio.open_unix_connection(claim_name(address, port))
            try:
                return (await reader.read(1000)).decode(errors="replace") or "an EMDC process"
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return "an EMDC process that does not answer"


def claim_name(address: str, port: int) -> str:
    """The kernel's name of the claim to a meter at a resolved address, or to a serial line."""
    if address.startswith("/"):
        # A device has many names; the end of one is as good as all of it, which may be too long.
        return f"\0emdc/modbus/{str(Path(address).resolve())[-80:]}"
    ip = ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or ip
    # ::1 and 127.0.0.1 reach the same program as a rule, so they share one name.
    text = "127.0.0.1" if str(mapped) == "::1" else str(mapped)
    return f"\0emdc/modbus/{text}:{port}"
