import base64

import pytest

from emdc.web.app import ROUTES
from emdc.web.pages import ASSETS
from tests.web.site import Site, one_meter

TOKEN = "correct horse é"


def locked() -> Site:
    site = one_meter()
    site.token = TOKEN
    return site


def basic(pair: str) -> bytes:
    return b"Basic " + base64.b64encode(pair.encode())


@pytest.mark.parametrize(
    "path",
    [
        *(route.path for route in ROUTES if route.path != "/ping"),
        *(path for path, *_ in ASSETS),
        "/unknown",
        "//ping",
        "/ping/../health",
        "/collect?token=" + TOKEN,
    ],
)
def test_every_address_but_ping_needs_the_token(path: str) -> None:
    with locked().client() as client:
        answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_ping_needs_no_token() -> None:
    with locked().client() as client:
        assert client.get("/ping").status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {TOKEN}".encode(),
        f"bearer  {TOKEN}".encode(),
        basic(f":{TOKEN}"),
        basic(f"me:{TOKEN}"),
    ],
)
def test_the_token_is_taken_as_bearer_or_as_a_password(header: bytes) -> None:
    with locked().client() as client:
        answer = client.get("/health", headers={b"Authorization": header})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer wrong",
        b"Basic",
        b"Basic !!!",
        b"Basic \xff",
        basic("correct horse"),
        basic(TOKEN),
        basic(f"{TOKEN}:"),
        b"Digest " + TOKEN.encode(),
        TOKEN.encode(),
    ],
)
def test_anything_else_is_401(header: bytes) -> None:
    with locked().client() as client:
        answer = client.get("/health", headers={b"Authorization": header})
    assert answer.status_code == 401


def test_a_refused_post_collects_nothing() -> None:
    site = locked()
    with site.client() as client:
        assert client.post("/collect").status_code == 401
    assert site.collector.asked == []


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", "http://[", "testserver"])
def test_a_post_from_a_page_of_another_host_is_403(origin: str) -> None:
    site = one_meter()
    with site.client() as client:
        assert client.post("/collect", headers={"Origin": origin}).status_code == 403
    assert site.collector.asked == []


def test_a_post_from_a_page_of_this_host_is_taken() -> None:
    with one_meter().client() as client:
        answer = client.post("/collect", headers={"Origin": "http://testserver.local"})
    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs", "/health", "/metric", "/unknown", "/ping"])
def test_every_answer_carries_the_security_headers(path: str) -> None:
    with one_meter().client() as client:
        headers = client.get(path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
