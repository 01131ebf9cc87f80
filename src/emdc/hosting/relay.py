"""A WSGI application that passes each request on to the holder, over its Unix socket.

It decides nothing about a request: tokens, methods and parameters are the daemon's. Its own answers
are that of /ping, which asks whether this worker lives, and those of a proxy: 400 and 413 for a
request that cannot be passed on, 503 when nobody answers.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote

from emdc.errors import EmdcError
from emdc.hosting import meeting
from emdc.hosting.refusal import refusal
from emdc.hosting.spawner import Spawner, follow_forks, python_command, python_environment

Environ: TypeAlias = Mapping[str, Any]
StartResponse: TypeAlias = Callable[[str, list[tuple[str, str]]], object]

PATIENCE_S: Final = 15.0
"""How long a request waits for a holder: the start takes two seconds, and so does a take-over."""
LOOK_AGAIN_S: Final = 0.05
ANSWER_S: Final = 60.0
"""How long an answer may take that needs no meter."""
LARGEST_BODY: Final = 65536

_SLOW: Final = ("/collect", "/metric")
_ALIVE: Final = [
    ("Content-Type", "text/plain; charset=utf-8"),
    ("Content-Length", "0"),
    ("Cache-Control", "no-store"),
]
_PIECE: Final = 65536
_CONNECTION_ONLY: Final = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ]
)
"""Headers that concern one connection: RFC 9110 section 7.6.1."""
_NOT_ASKED: Final = _CONNECTION_ONLY | {"content-length", "expect", "host"}
_NOT_ANSWERED: Final = _CONNECTION_ONLY | {"date", "server"}
"""The server outside sends its own."""


class _Refused(Exception):  # noqa: N818 (an answer, no fault)
    """An answer of our own; the arguments are status and reason."""


class Relay:
    """The application. `ensure` is called before each attempt to reach the holder's `socket`."""

    def __init__(
        self, path: Path, ensure: Callable[[], None], *, patience_s: float = PATIENCE_S
    ) -> None:
        self._path = path
        self._ensure = ensure
        self._patience_s = patience_s

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request as PEP 3333 says."""
        if _is_ping(environ):
            return self._alive(start_response)
        try:
            connection, response = self._answer(environ, _body(environ))
        except _Refused as refused:
            status, detail = refused.args
            answer = refusal(
                status,
                detail,
                path=environ.get("PATH_INFO", ""),
                accept=environ.get("HTTP_ACCEPT", ""),
            )
            start_response(f"{answer.status} {answer.status.phrase}", answer.headers)
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]
        start_response(f"{response.status} {response.reason}", _answered(response))
        return _pieces(connection, response)

    def _alive(self, start_response: StartResponse) -> Iterable[bytes]:
        """200 without asking the holder; a keeper that was killed comes back by it."""
        with suppress(EmdcError):
            self._ensure()
        start_response("200 OK", _ALIVE[:])
        return []

    def _answer(self, environ: Environ, body: bytes) -> tuple[HTTPConnection, HTTPResponse]:
        """The beginning of the answer. What changes nothing is asked twice if cut off."""
        attempts = 2 if environ["REQUEST_METHOD"] in {"GET", "HEAD"} else 1
        cause: Exception | None = None
        for _ in range(attempts):
            connection = self._connect()
            try:
                _send(connection, environ, body)
                return connection, connection.getresponse()
            except TimeoutError as error:
                connection.close()
                raise _Refused(
                    503, f"the process that reads the meters gave no answer in {ANSWER_S:g} s"
                ) from error
            except ValueError as error:
                connection.close()
                raise _Refused(400, f"a request that cannot be passed on: {error}") from error
            except (OSError, HTTPException) as error:
                connection.close()
                cause = error
        raise _Refused(
            503,
            "the process that reads the meters ended during this request, which may have been "
            "carried out in part; another one takes over, so ask again",
        ) from cause

    def _connect(self) -> HTTPConnection:
        end = time.monotonic() + self._patience_s
        while True:
            reason = self._start_keeper()
            try:
                return _Connection(self._path)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() >= end:
                    raise _Refused(503, reason) from None
            except OSError as error:
                raise _Refused(
                    503,
                    f"{self._path}: {error.strerror}; the workers of one server must all run as "
                    "the user that loaded the application",
                ) from error
            time.sleep(LOOK_AGAIN_S)

    def _start_keeper(self) -> str:
        """Why there may be no holder, for the client that waits in vain."""
        try:
            self._ensure()
        except EmdcError as error:
            return str(error)
        return (
            f"no process reads the meters after {self._patience_s:g} s of waiting; it is about to "
            "start, or the log of this server says why it cannot"
        )


class _Connection(HTTPConnection):
    """HTTP over a Unix socket, connected at once."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.connect(str(path))
        except BaseException:
            self.sock.close()
            raise


def _is_ping(environ: Environ) -> bool:
    return environ.get("PATH_INFO") == "/ping" and environ["REQUEST_METHOD"] in {"GET", "HEAD"}


def _send(connection: HTTPConnection, environ: Environ, body: bytes) -> None:
    path = environ.get("PATH_INFO", "") or "/"
    assert connection.sock is not None
    connection.sock.settimeout(None if path in _SLOW else ANSWER_S)
    connection.putrequest(
        environ["REQUEST_METHOD"],
        _target(path, environ.get("QUERY_STRING", "")),
        skip_host=True,
        skip_accept_encoding=True,
    )
    for name, value in _asked(environ):
        connection.putheader(name, value.encode("latin-1"))
    connection.putheader("Content-Length", str(len(body)))
    connection.putheader("Connection", "close")
    connection.endheaders(body or None)


def _target(path: str, query: str) -> str:
    """Path and query as they are sent. A WSGI path is decoded, its bytes as Latin-1."""
    target = quote(path.encode("latin-1"), safe="/:@!$&'()*+,;=~")
    # A query is not decoded: only what no request line may hold is.
    return f"{target}?{quote(query.encode('latin-1'), safe=_PRINTABLE)}" if query else target


_PRINTABLE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "#")


def _asked(environ: Environ) -> Iterator[tuple[str, str]]:
    """The client's headers for the holder."""
    yield "Host", environ.get("HTTP_HOST") or environ.get("SERVER_NAME") or "localhost"
    if content_type := environ.get("CONTENT_TYPE"):
        yield "Content-Type", content_type
    named = _names(environ.get("HTTP_CONNECTION", ""))
    for key, value in environ.items():
        name = key.removeprefix("HTTP_").replace("_", "-").lower()
        if key.startswith("HTTP_") and name not in _NOT_ASKED and name not in named:
            yield name.title(), value


def _answered(response: HTTPResponse) -> list[tuple[str, str]]:
    named = _names(response.getheader("Connection", ""))
    return [
        (name, value)
        for name, value in response.getheaders()
        if name.lower() not in _NOT_ANSWERED and name.lower() not in named
    ]


def _names(header: str) -> set[str]:
    return {name.strip().lower() for name in header.split(",")}


def _body(environ: Environ) -> bytes:
    """The whole body, of 64 kB at most."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length and not (length.isascii() and length.isdecimal() and len(length) < 19):
        raise _Refused(400, f"Content-Length {length[:40]!r}, expected a whole number")
    if length and int(length) > LARGEST_BODY:
        raise _too_large()
    # Without a length the body ends with the connection, unless the server sees its end.
    ends = environ.get("wsgi.input_terminated") or environ.get("HTTP_TRANSFER_ENCODING")
    wanted = int(length) if length else LARGEST_BODY + 1 if ends else 0
    try:
        body: bytes = environ["wsgi.input"].read(wanted) if wanted else b""
    except OSError as error:
        raise _Refused(400, "the request's body did not come") from error
    if len(body) > LARGEST_BODY:
        raise _too_large()
    if length and len(body) < wanted:
        raise _Refused(400, f"{len(body)} bytes of a body of {wanted}, expected all of them")
    return body


def _too_large() -> _Refused:
    return _Refused(
        413, "the request body is too large, expected at most 64 kB; it is not used, so send none"
    )


def _pieces(connection: HTTPConnection, response: HTTPResponse) -> Iterator[bytes]:
    try:
        while piece := response.read1(_PIECE):
            yield piece
    finally:
        response.close()
        connection.close()


def deployed() -> Relay:
    """The application of this process's environment; its keeper is started, and in each fork's.

    Raises ConfigError for settings that cannot be used, and EmdcError without an interpreter.
    """
    environment = dict(os.environ)
    folder = Path.cwd()
    place = meeting.meeting(meeting.settings(environment), environment, folder)
    spawner = Spawner(
        [*python_command("emdc.hosting.keeper"), str(place.lock), str(place.socket)],
        environment=python_environment(environment),
        folder=folder,
    )
    follow_forks(spawner.ensure_after_fork)
    spawner.ensure()
    return Relay(place.socket, spawner.ensure)
