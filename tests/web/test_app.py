import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from emdc.web.app import ROUTES, build
from emdc.web.service import Route
from tests.web.site import one_meter, served

MANUAL = Path(__file__).parents[2] / "docs" / "http-api.md"


def sections() -> dict[str, str]:
    parts = re.split(r"^## (.+)$", MANUAL.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_manual_has_a_section_for_each_route_and_no_other() -> None:
    assert set(sections()) == {f"{route.method} {route.path}" for route in ROUTES}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_the_manual_lists_the_parameters_of_each_route_and_shows_a_command(route: Route) -> None:
    section = sections()[f"{route.method} {route.path}"]
    listed = re.findall(r"^\| `(\w+)` \|", section, flags=re.MULTILINE)
    assert listed == [parameter.name for parameter in route.parameters]
    assert re.search(rf"^curl .*http://127\.0\.0\.1:8080{re.escape(route.path)}", section, re.M)


@pytest.mark.parametrize("path", ["/nothing", "/static/../app.py", "/%2e%2e/etc", "/a%00b", "/…"])
def test_an_unknown_address_is_404_as_a_problem(path: str) -> None:
    with one_meter().client() as client:
        answer = client.get(path)
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert "GET /docs" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/metric/?name=W", "//metric?name=W"])
def test_superfluous_slashes_mean_the_same_address(path: str) -> None:
    with one_meter().client() as client:
        assert client.get(f"http://testserver.local{path}").text == "-42.0"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/collect", "OPTIONS, POST"),
        ("DELETE", "/metric", "GET, HEAD, OPTIONS"),
        ("TRACE", "/health", "GET, HEAD, OPTIONS"),
        ("CONNECT", "/", "GET, HEAD, OPTIONS"),
        ("NONSENSE", "/ping", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_405_with_the_right_ones(method: str, path: str, allow: str) -> None:
    with one_meter().client() as client:
        answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allow)


@pytest.mark.parametrize("route", [r for r in ROUTES if r.method == "GET"], ids=lambda r: r.path)
def test_head_is_get_without_the_body(route: Route) -> None:
    with one_meter().client() as client:
        got, head = client.get(route.path), client.head(route.path)
    assert head.content == b""
    assert head.status_code == got.status_code
    assert head.headers["content-type"] == got.headers["content-type"]


def test_options_says_the_methods() -> None:
    with one_meter().client() as client:
        answer = client.options("/metric")
    assert answer.status_code == 204
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_an_unknown_parameter_is_400_everywhere(route: Route) -> None:
    with one_meter().client() as client:
        answer = client.request(route.method, route.path, params={"nonsense": "'; DROP TABLE--"})
    assert answer.status_code == 400


def test_openapi_describes_every_route_with_its_parameters() -> None:
    with one_meter().client() as client:
        described = client.get("/openapi.json").json()
    assert set(described["paths"]) == {route.path for route in ROUTES}
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        names = [parameter["name"] for parameter in operation.get("parameters", [])]
        assert names == [parameter.name for parameter in route.parameters]
        assert {str(status) for status in (200, 400, 401, route.also, *route.errors)} <= set(
            operation["responses"]
        )


def test_openapi_gives_the_bounds_of_a_number() -> None:
    with one_meter().client() as client:
        described = client.get("/openapi.json").json()
    first = described["paths"]["/collect"]["post"]["parameters"][0]
    assert first["schema"] == {"type": "integer", "default": 1, "minimum": 1, "maximum": 3600}


def test_openapi_gives_the_choices_and_the_forms_of_an_answer() -> None:
    with one_meter().client() as client:
        described = client.get("/openapi.json").json()["paths"]["/energy"]["get"]
    schemas = {parameter["name"]: parameter["schema"] for parameter in described["parameters"]}
    assert schemas["format"] == {"type": "string", "enum": ["json", "csv"]}
    assert schemas["per"]["default"] == "day"
    assert list(described["responses"]["200"]["content"]) == ["application/json", "text/csv"]


def test_the_application_can_be_built_twice() -> None:
    site = one_meter()
    assert build(site_service := site.service()) is not build(site_service)


def raw(address: str, request: bytes) -> bytes:
    """All that the server sends back to these bytes."""
    parts = urlsplit(address)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10) as client:
        client.sendall(request)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := client.recv(65536):
            answer += piece
        return answer


@pytest.mark.parametrize(
    "line",
    [
        b"GET /metric?name=\xff HTTP/1.1",
        b"GET /metric?name=%00 HTTP/1.1",
        b"GET /%00 HTTP/1.1",
        b"GET //..//..//etc/passwd HTTP/1.1",
        b"GET /\xff HTTP/1.1",
        b"GET /metric?" + b"a=1&" * 5000 + b" HTTP/1.1",
        b"POST /collect?iterations=" + b"9" * 5000 + b" HTTP/1.1",
        b"TRACE /metric HTTP/1.1",
        b"CONNECT 127.0.0.1:1 HTTP/1.1",
        b"GET * HTTP/1.1",
        b"\x16\x03\x01\x02\x00",
    ],
)
def test_a_real_server_answers_strange_requests_below_500(line: bytes) -> None:
    with served(one_meter().app()) as address:
        answer = raw(address, line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert 400 <= int(answer.split(b" ", 2)[1]) < 500
        assert b"Traceback" not in answer
        assert raw(address, b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")


def test_a_post_by_curl_without_headers_works_on_a_real_server() -> None:
    with served(one_meter().app()) as address:
        line = b"POST /collect?iterations=2&wait_time=0 HTTP/1.1\r\n"
        request = line + b"Host: x\r\nConnection: close\r\n\r\n"
        head, _, body = raw(address, request).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 0" in head.lower()
    assert body == b""
