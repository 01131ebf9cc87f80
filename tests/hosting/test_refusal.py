import json

from emdc.hosting.refusal import refusal


def test_errors_are_text_where_the_old_collector_gave_text() -> None:
    status, headers, body = refusal(413, "too much", path="/collect", accept="*/*")
    assert (int(status), body) == (413, b"too much")
    assert ("Content-Type", "text/plain; charset=utf-8") in headers


def test_errors_are_problems_elsewhere_and_when_json_is_asked_for() -> None:
    for path, accept in (("/health", "*/*"), ("/collect", "application/json")):
        _, headers, body = refusal(503, "not now", path=path, accept=accept)
        assert ("Content-Type", "application/problem+json") in headers
        assert json.loads(body) == {
            "type": "about:blank",
            "title": "Service Unavailable",
            "status": 503,
            "detail": "not now",
        }


def test_only_a_503_says_when_to_come_back() -> None:
    def names(status: int) -> set[str]:
        return {name for name, _ in refusal(status, "x", path="/", accept="").headers}

    assert "Retry-After" in names(503)
    assert "Retry-After" not in names(400)
