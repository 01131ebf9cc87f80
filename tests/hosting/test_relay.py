import io
import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from emdc.errors import EmdcError
from emdc.hosting.relay import LARGEST_BODY, Relay
from tests.hosting.backend import Backend, serving


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(self.body)
        return facts

    @property
    def received(self) -> dict[str, str]:
        """Headers as the backend received them, names in lower case."""
        return {name.lower(): value for name, value in self.facts["headers"]}


@pytest.fixture
def path() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="emdc-"))
    yield folder / "s.sock"
    shutil.rmtree(folder)


@pytest.fixture
def backend(path: Path) -> Iterator[Backend]:
    with serving(path) as backend:
        yield backend


def ask(
    path: Path,
    method: str = "GET",
    target: str = "/health",
    *,
    ensure: Callable[[], None] = lambda: None,
    **environ: Any,
) -> Answer:
    """One request through a relay, checked by the validator of PEP 3333."""
    body = environ.pop("body", b"")
    given: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": target,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "wsgi.input": io.BytesIO(body),
        **({"CONTENT_LENGTH": str(len(body))} if body else {}),
        **environ,
    }
    setup_testing_defaults(given)
    said: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc: Any = None) -> Any:
        said.extend([status, headers])
        return lambda _data: None

    chunks = validator(Relay(path, ensure, patience_s=0.0))(given, start_response)
    try:
        content = b"".join(chunks)
    finally:
        chunks.close()  # type: ignore[attr-defined]
    return Answer(int(said[0][:3]), {name.lower(): text for name, text in said[1]}, content)


def test_method_path_query_and_body_reach_the_holder(path: Path, backend: Backend) -> None:
    answer = ask(path, "POST", "/collect", QUERY_STRING="iterations=2&x=%C3%A9", body=b"a\x00b")
    assert backend.requests == [("POST", "/collect?iterations=2&x=%C3%A9")]
    assert answer.facts["body"] == "a\x00b"
    assert answer.received["content-length"] == "3"


def test_a_decoded_path_is_encoded_again(path: Path, backend: Backend) -> None:
    ask(path, target="/ä b/\x00%/é?#".encode().decode("latin-1"))
    assert backend.requests == [("GET", "/%C3%A4%20b/%00%25/%C3%A9%3F%23")]


def test_a_query_cannot_break_the_request_line(path: Path, backend: Backend) -> None:
    ask(path, QUERY_STRING="a=1 HTTP/1.1\r\nX: y\xff")
    assert backend.requests == [("GET", "/health?a=1%20HTTP/1.1%0D%0AX:%20y%FF")]


def test_an_empty_path_is_the_first_page(path: Path, backend: Backend) -> None:
    ask(path, target="", SCRIPT_NAME="/emdc")
    assert backend.requests == [("GET", "/")]


def test_headers_pass_except_those_of_the_connection(path: Path, backend: Backend) -> None:
    answer = ask(
        path,
        HTTP_HOST="meters.example:8080",
        HTTP_AUTHORIZATION="Bearer abc",
        HTTP_X_FORWARDED_FOR="192.0.2.1",
        HTTP_CONNECTION="keep-alive, X-Mine",
        HTTP_X_MINE="1",
        HTTP_TE="trailers",
        HTTP_EXPECT="100-continue",
    )
    assert answer.received == {
        "host": "meters.example:8080",
        "authorization": "Bearer abc",
        "x-forwarded-for": "192.0.2.1",
        "content-length": "0",
        "connection": "close",
    }


def test_status_and_headers_come_back_except_those_of_the_connection(
    path: Path, backend: Backend
) -> None:
    answer = ask(path)
    assert answer.status == 418
    assert answer.headers["x-own"] == "kept"
    assert not {"x-private", "connection", "keep-alive", "date", "server"} & set(answer.headers)
    assert answer.headers["content-length"] == str(len(answer.body))


def test_head_has_the_headers_of_get_and_no_body(path: Path, backend: Backend) -> None:
    answer = ask(path, "HEAD")
    assert answer.body == b""
    assert int(answer.headers["content-length"]) > 0


def test_a_body_of_64_kilobytes_passes_and_a_longer_one_is_refused(
    path: Path, backend: Backend
) -> None:
    assert ask(path, "POST", body=b"x" * LARGEST_BODY).status == 418
    assert ask(path, "POST", body=b"x" * (LARGEST_BODY + 1)).status == 413
    assert len(backend.requests) == 1


def test_a_body_without_a_length_is_bounded_too(path: Path, backend: Backend) -> None:
    for length, status in ((LARGEST_BODY, 418), (LARGEST_BODY + 1, 413)):
        chunked: dict[str, Any] = {
            "wsgi.input": io.BytesIO(b"x" * length),
            "HTTP_TRANSFER_ENCODING": "chunked",
        }
        assert ask(path, "POST", "/collect", **chunked).status == status
    assert len(backend.requests) == 1


def test_a_body_that_may_never_end_is_not_read(path: Path, backend: Backend) -> None:
    endless: dict[str, Any] = {"wsgi.input": io.BytesIO(b"xyz")}
    answer = ask(path, "POST", "/collect", **endless)
    assert answer.facts["body"] == ""


@pytest.mark.parametrize("length", ["-1", "ten", "٣", "1" * 30])
def test_a_length_that_is_no_number_is_refused(path: Path, backend: Backend, length: str) -> None:
    said: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/collect",
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(),
    }
    Relay(path, lambda: None)(environ, lambda status, _headers: said.append(status))
    assert said == ["400 Bad Request"]
    assert backend.requests == []


def test_a_body_that_was_cut_short_is_refused(path: Path, backend: Backend) -> None:
    assert ask(path, "POST", "/collect", body=b"abc", CONTENT_LENGTH="4").status == 400
    assert backend.requests == []


def test_a_get_that_is_cut_off_is_asked_again(path: Path, backend: Backend) -> None:
    backend.cuts = 1
    assert ask(path).status == 418
    assert len(backend.requests) == 2


def test_a_get_that_is_cut_off_twice_is_not_asked_a_third_time(
    path: Path, backend: Backend
) -> None:
    backend.cuts = 5
    assert ask(path).status == 503
    assert len(backend.requests) == 2


def test_a_post_that_is_cut_off_is_not_repeated(path: Path, backend: Backend) -> None:
    backend.cuts = 1
    answer = ask(path, "POST", "/collect")
    assert answer.status == 503
    assert b"carried out in part" in answer.body
    assert len(backend.requests) == 1


def test_without_a_holder_the_answer_says_so_and_when_to_come_back(path: Path) -> None:
    answer = ask(path)
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert "no process reads the meters" in answer.facts["detail"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_is_200_and_empty_without_a_holder_or_a_keeper(path: Path, method: str) -> None:
    def ensure() -> None:
        raise EmdcError("no python3.11 in /opt/bin")

    answer = ask(path, method, "/ping", ensure=ensure)
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == "0"


def test_ping_does_not_touch_the_holder_and_starts_a_missing_keeper(
    path: Path, backend: Backend
) -> None:
    wanted = threading.Event()
    assert ask(path, target="/ping", ensure=wanted.set).status == 200
    assert wanted.is_set()
    assert backend.requests == []


def test_ping_by_another_method_is_for_the_holder_to_refuse(path: Path, backend: Backend) -> None:
    assert ask(path, "POST", "/ping").status == 418
    assert backend.requests == [("POST", "/ping")]


def test_a_keeper_that_cannot_start_is_the_reason_that_is_given(path: Path) -> None:
    def ensure() -> None:
        raise EmdcError("no python3.11 in /opt/bin")

    answer = ask(path, target="/collect", ensure=ensure)
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.body == b"no python3.11 in /opt/bin"


def test_a_request_waits_for_a_holder_that_is_about_to_serve(path: Path) -> None:
    wanted = threading.Event()
    said: list[str] = []
    relay = Relay(path, wanted.set, patience_s=30.0)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/health", "wsgi.input": io.BytesIO()}
    client = threading.Thread(
        target=lambda: [*relay(environ, lambda status, _headers: said.append(status))]
    )
    client.start()
    wanted.wait()
    with serving(path):
        client.join()
    assert said == ["418 I'm a Teapot"]


def test_a_socket_of_another_user_is_an_error_that_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path.parent / "file").touch()
    answer = ask(path.parent / "file" / "s.sock")
    assert answer.status == 503
    assert "must all run as the user" in answer.facts["detail"]
