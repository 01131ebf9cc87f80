"""Errors as answers: problem+json, or one plain sentence where the old collector gave text.

Every error of the program that a request can meet is in STATUS; anything else is a fault of this
program: logged with its trace, and answered without one.
Source of the form: RFC 9457.
"""

import logging
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from emdc.errors import BusyError, EmdcError, StorageError
from emdc.web.exchange import wants_json

log = logging.getLogger("emdc.web")

STATUS: Final[tuple[tuple[type[EmdcError], int], ...]] = (
    (BusyError, 409),
    (StorageError, 503),
)

NOT_NOW: Final = frozenset({"meter_held", "queue_full", "overrun", "backoff_skipped"})
"""Gap reasons that say nothing against the meter, so that asking again may help."""

OLD_PATHS: Final = frozenset({"/ping", "/metric", "/collect"})
"""Where clients of the old collector expect errors as text, unless they ask for JSON."""

_WORDS: Final = {
    404: "nothing is served at this address; GET /docs lists the addresses",
    405: "this address does not take this method; the Allow header says which",
    413: "the request body is too large, expected at most 64 kB; it is not used, so send none",
    500: "a fault of this program; its log has the details",
}


class Problem(msgspec.Struct, kw_only=True):
    """An error as RFC 9457 wants it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str


def body(status: int, detail: str, *, plain: bool) -> tuple[bytes, str]:
    """The bytes of an error and their media type."""
    if plain:
        return detail.encode(errors="replace"), "text/plain; charset=utf-8"
    problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail)
    return msgspec.json.encode(problem), "application/problem+json"


def is_plain(path: str, accept: str) -> bool:
    """Whether errors at `path` are text for a client with this Accept header."""
    asks_problem = "application/problem+json" in accept.lower()
    return path in OLD_PATHS and not asks_problem and not wants_json(accept)


def answer(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The answer to a request that met `error`."""
    status, detail = _say(error)
    if status == 500:
        log.error("request failed", extra={"path": request.scope["path"]}, exc_info=error)
    content, media = body(
        status, detail, plain=is_plain(request.scope["path"], request.headers.get("accept", ""))
    )
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    return Response(content, status_code=status, media_type=media, headers=_allow(headers))


def is_broken_off(error: Exception) -> bool:
    """Whether an answer that had begun met an error of the program, such as a database's."""
    cause = error.__cause__
    return isinstance(cause, ExceptionGroup) and cause.split(EmdcError)[1] is None


def meter_status(reason: str) -> int:
    """The status of a meter that gave no value, by the gap reason."""
    return 503 if reason in NOT_NOW else 502


def _say(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException) and error.status_code != 500:
        status = error.status_code
        default = HTTPStatus(status).phrase
        return status, error.detail if error.detail != default else _WORDS.get(status, default)
    for kind, status in STATUS:
        if isinstance(error, kind):
            return status, str(error) or HTTPStatus(status).phrase
    return 500, _WORDS[500]


def _allow(headers: dict[str, str]) -> dict[str, str]:
    """The headers, with HEAD allowed wherever GET is."""
    if "allow" not in headers:
        return headers
    methods = set(headers["allow"].split(", "))
    methods |= {"HEAD"} & {"HEAD" if "GET" in methods else ""}
    return {**headers, "allow": ", ".join(sorted(methods))}
