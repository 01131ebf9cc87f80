"""What the program asks of the system: signals, open files, an address to listen on.

Used by the daemon and the commands. Each refusal of the system becomes an error that says what to
do about it.
"""

import errno
import os
import resource
import signal
import socket

from emdc.errors import EmdcError
from emdc.place import place


def listen(host: str, port: int) -> socket.socket:
    """A listening TCP socket; raises EmdcError that says what to do when the port is taken.

    Its connections send at once: else the body of an answer, which follows the head, waits 40 ms
    for the client to acknowledge that.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family, backlog=128)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except OSError as error:
        number = error.errno or 0  # below 0 where a name does not resolve
        reason = os.strerror(number) if number > 0 else error.strerror
        where = place(host, port)
        raise EmdcError(f"cannot listen on {where}: {reason}; {_advice(error)}") from error


def _advice(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 need a right of their own, choose another with --port"
    if error.errno == errno.EADDRINUSE:
        return "choose another with --port, or end the program that has it"
    return "name an address of this machine with --host"


def ending_signals() -> list[signal.Signals]:
    """What ends the program in good order: Ctrl-C, SIGTERM, and its terminal when that closes.

    A program that was started with nohup stays.
    """
    stays = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if stays else [signal.SIGHUP])]


def allow_connections(meter_count: int) -> None:
    """Raise the limit of open files to what the meters need, or say that it cannot be raised."""
    # A socket and two claims for each, and the rest of the program.
    needed = 3 * meter_count + 64
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return
    if hard < needed:
        raise EmdcError(
            f"{meter_count} meters need {needed} open files and the system allows {hard}: raise "
            "the limit (`ulimit -n`, or LimitNOFILE= in the systemd unit)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
