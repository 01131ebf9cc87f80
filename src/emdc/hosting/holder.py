"""What the process with the lock does: run the daemon on a Unix socket beside the lock.

While the daemon cannot start, every client is told why, and the start is tried again: the cause is
often mended from outside, by a migration or by a spreadsheet that is put in its place.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Final

from emdc import daemon, logs
from emdc.config import Settings
from emdc.errors import EmdcError
from emdc.hosting import meeting
from emdc.hosting.refusal import refusal

log = logging.getLogger(__name__)

RETRY_S: Final = 5.0
"""Between two attempts to start."""
CLIENT_S: Final = 1.0
"""A client that is slower than this to send its request is not told why."""
LARGEST_BODY: Final = 65536
IN_LOG: Final = "the log of this server says why"

_AS_JSON: Final = {"auto": None, "text": False, "json": True}


def serve(path: Path, environment: Mapping[str, str]) -> None:
    """Run the daemon on a socket at `path` until SIGTERM, however often its start must be tried."""
    logs.configure("WARNING")
    # One listener over all attempts: who has come during one that fails is told why, not cut off.
    listener = listen(path)
    while (reason := attempt(listener, environment)) is not None:
        if listener.fileno() < 0:  # the server had begun and closed it
            listener = listen(path)
        apologise(listener, f"the collector does not run: {reason}", RETRY_S)
    listener.close()


def attempt(listener: socket.socket, environment: Mapping[str, str]) -> str | None:
    """Why the daemon does not run, as clients may know it; None when it was told to end."""
    guarded, mask = True, logs.Mask(())
    try:
        settings = meeting.settings(environment)
        guarded, mask = settings.http.token is not None, logs.Mask(settings.secrets())
        _start_log(settings)
        daemon.run(settings, listener)
    except EmdcError as error:
        log.error("cannot start", extra={"reason": str(error), "retry_in_s": RETRY_S})
        # Whoever asks has not shown the token yet.
        return IN_LOG if guarded else mask(str(error))
    except Exception:
        log.exception("the daemon failed", extra={"retry_in_s": RETRY_S})
        return IN_LOG
    return None


def _start_log(settings: Settings) -> None:
    logs.configure(
        settings.log_level, json=_AS_JSON[settings.log_format], secrets=settings.secrets()
    )
    for warning in settings.warnings:
        log.warning("setting", extra={"found": warning})
    log.info("reading the meters for all workers", extra={"pid": os.getpid()})


def listen(path: Path) -> socket.socket:
    """A listening Unix socket for this user alone; what a dead holder left there is replaced."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(mask)
    listener.listen(128)
    return listener


def apologise(listener: socket.socket, reason: str, seconds: float) -> None:
    """Answer every request with 503 and the reason, for some time."""
    end = time.monotonic() + seconds
    while (left_s := end - time.monotonic()) > 0:
        listener.settimeout(left_s)
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            return
        with connection:
            connection.settimeout(CLIENT_S)
            try:
                _Apology(connection, reason)
            except OSError as error:
                log.debug("client left", extra={"reason": str(error)})


class _Apology(BaseHTTPRequestHandler):
    """One request and its 503. The server's place in the constructor is taken by the reason."""

    protocol_version = "HTTP/1.1"

    def __init__(self, connection: socket.socket, reason: str) -> None:
        self._reason = reason
        super().__init__(connection, ("", 0), None)  # type: ignore[arg-type]

    def handle(self) -> None:
        """Read the request, whatever its method, and refuse it."""
        self.raw_requestline = self.rfile.readline(LARGEST_BODY)
        if not self.raw_requestline or not self.parse_request():
            return
        length = self.headers.get("Content-Length", "0")
        self.rfile.read(min(int(length), LARGEST_BODY) if length.isdecimal() else 0)
        status, headers, body = refusal(
            503,
            self._reason,
            path=self.path.partition("?")[0],
            accept=self.headers.get("Accept", ""),
        )
        self.send_response(status)
        for name, value in [*headers, ("Connection", "close")]:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing: the reason is in the log already."""
