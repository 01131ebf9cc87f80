"""What stands before every route: the token, other sites' POSTs, HEAD, and the security headers.

It wraps the whole application and not single routes, so that an address nobody thought of is
behind the token as well.
"""

import base64
import binascii
import hmac
from typing import Final
from urllib.parse import urlsplit

from litestar.enums import HttpMethod, ScopeType
from litestar.exceptions import LitestarException
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from emdc.web import problems

HEADERS: Final = (
    (
        b"content-security-policy",
        b"default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

BARE: Final = "emdc_bare"
"""In the state of a request's scope: its body will not be sent."""

_OPEN: Final = "/ping"


class Gate:
    """An ASGI application that lets through to `inner` what may pass.

    With a token, everything but /ping needs it, as `Authorization: Bearer TOKEN` or as the password
    of Basic with any user name (which is what a browser can ask its user for).
    """

    def __init__(self, inner: ASGIApp, token: str | None) -> None:
        self._inner = inner
        self._token = token.encode() if token is not None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == ScopeType.HTTP:
            await self._serve(scope, receive, send)
        else:
            await self._inner(scope, receive, send)

    async def _serve(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        head = scope["method"] == HttpMethod.HEAD
        guarded = _Guarded(send, bare=head)
        if refusal := self._refusal(scope):
            await _refuse(scope, guarded, *refusal)
            return
        if head:
            scope["method"] = HttpMethod.GET
            scope.setdefault("state", {})[BARE] = True
        try:
            await self._inner(scope, receive, guarded)
        except LitestarException as error:
            # Whoever wrote the answer has logged why; the server breaks the connection off.
            if not problems.is_broken_off(error):
                raise

    def _refusal(self, scope: HTTPScope) -> tuple[int, str] | None:
        path = scope["path"].removeprefix(scope.get("root_path") or "")
        if self._token is not None and path != _OPEN and not self._knows(scope):
            return 401, "a token is needed: Authorization: Bearer TOKEN, or as a Basic password"
        if scope["method"] not in {"GET", "HEAD", "OPTIONS"} and _is_foreign(scope):
            return 403, "a page of another site may not do this; send no Origin header, or this one"
        return None

    def _knows(self, scope: HTTPScope) -> bool:
        assert self._token is not None
        given = _credentials(_header(scope, b"authorization"))
        return hmac.compare_digest(given, self._token)


class _Guarded:
    """Sends with the security headers, and without a body when the request was HEAD."""

    def __init__(self, send: Send, *, bare: bool) -> None:
        self._send = send
        self._bare = bare

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *HEADERS]
        elif message["type"] == "http.response.body" and self._bare:
            message["body"] = b""
        await self._send(message)


def _header(scope: HTTPScope, name: bytes) -> bytes:
    """The value of a header; empty when it is missing, or double: nobody can say which counts."""
    values = [value for key, value in scope["headers"] if key.lower() == name]
    return values[0] if len(values) == 1 else b""


def _credentials(header: bytes) -> bytes:
    """The token in an Authorization header; empty when there is none, which equals no token."""
    scheme, _, rest = header.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() != b"basic":
        return b""
    try:
        return base64.b64decode(rest.strip(), validate=True).partition(b":")[2]
    except binascii.Error:
        return b""


def _is_foreign(scope: HTTPScope) -> bool:
    """Whether a page of another host sent this; programs such as curl send no Origin at all."""
    if not any(key.lower() == b"origin" for key, _ in scope["headers"]):
        return False
    try:
        origin = urlsplit(_header(scope, b"origin").decode("latin-1")).netloc
    except ValueError:
        return True
    return not origin or origin.lower() != _header(scope, b"host").decode("latin-1").lower()


async def _refuse(scope: HTTPScope, send: "_Guarded", status: int, detail: str) -> None:
    accept = _header(scope, b"accept").decode("latin-1")
    content, media = problems.body(status, detail, plain=problems.is_plain(scope["path"], accept))
    headers = [(b"content-type", media.encode()), (b"content-length", b"%d" % len(content))]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="EMDC", charset="UTF-8"'))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content, "more_body": False})
