"""An HTTP server on a Unix socket that tells what reached it, and can break off."""

import json
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path


class Backend(socketserver.ThreadingUnixStreamServer):
    """`requests` holds method and target of each; the next `cuts` are broken off unanswered."""

    daemon_threads = True

    def __init__(self, path: Path) -> None:
        self.requests: list[tuple[str, str]] = []
        self.cuts = 0
        super().__init__(str(path), _Telling)


class _Telling(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        self.raw_requestline = self.rfile.readline()
        if not self.parse_request():
            return
        backend = self.server
        assert isinstance(backend, Backend)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        backend.requests.append((self.command, self.path))
        if backend.cuts:
            backend.cuts -= 1
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._tell({"headers": self.headers.items(), "body": body.decode("latin-1")})

    def _tell(self, facts: object) -> None:
        text = json.dumps(facts).encode()
        self.send_response(418)
        for name, value in (
            ("Content-Length", str(len(text))),
            ("Content-Type", "application/json"),
            ("X-Own", "kept"),
            ("X-Private", "dropped"),
            ("Connection", "close, X-Private"),
            ("Keep-Alive", "timeout=5"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(path: Path) -> Iterator[Backend]:
    """A backend at `path` that serves in a thread until the block ends."""
    with Backend(path) as backend:
        thread = threading.Thread(target=backend.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield backend
        finally:
            backend.shutdown()
            thread.join()
