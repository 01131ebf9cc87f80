"""What a client is told when no daemon answers: the form of the daemon's own errors.

Plain text where the old collector gave text, else problem+json (RFC 9457). The module that makes
these in the daemon is not used because it would load the whole framework into every worker.
"""

import json
from http import HTTPStatus
from typing import Final, NamedTuple

RETRY_AFTER_S: Final = 5

_OLD_PATHS: Final = ("/ping", "/metric", "/collect")


class Refusal(NamedTuple):
    """A whole answer."""

    status: HTTPStatus
    headers: list[tuple[str, str]]
    body: bytes


def refusal(status: int, detail: str, *, path: str, accept: str) -> Refusal:
    """The answer to a request for `path` with this Accept header; a 503 says when to come back."""
    known = HTTPStatus(status)
    if path in _OLD_PATHS and "json" not in accept.lower():
        media, body = "text/plain; charset=utf-8", detail
    else:
        problem = {
            "type": "about:blank",
            "title": known.phrase,
            "status": status,
            "detail": detail,
        }
        media, body = "application/problem+json", json.dumps(problem)
    content = body.encode(errors="replace")
    headers = [("Content-Type", media), ("Content-Length", str(len(content)))]
    if known is HTTPStatus.SERVICE_UNAVAILABLE:
        headers.append(("Retry-After", str(RETRY_AFTER_S)))
    return Refusal(known, [*headers, ("Cache-Control", "no-store")], content)
