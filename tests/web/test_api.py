import pytest

from emdc.errors import BusyError, StorageError
from tests.web.site import EATON, NEXUS, NOW, Site, one_meter, two_meters

JSON = {"Accept": "application/json"}


def get(site: Site, query: str, **headers: str) -> tuple[int, str]:
    with site.client() as client:
        answer = client.get(f"/metric?{query}", headers=headers)
    return answer.status_code, answer.text


def test_ping_is_empty() -> None:
    with one_meter().client() as client:
        answer = client.get("/ping")
    assert (answer.status_code, answer.content) == (200, b"")


def test_metric_is_the_bare_number_rounded_to_its_digits() -> None:
    assert get(one_meter(), "name=Voltage_AN") == (200, "120.123457")


@pytest.mark.parametrize(
    ("name", "text"), [("W", "-42.0"), ("Wh_received", "7000000"), ("Firmware", "1.2 é")]
)
def test_integers_floats_and_texts_are_given_as_they_are(name: str, text: str) -> None:
    assert get(one_meter(), f"name={name}") == (200, text)


def test_metric_is_plain_text_for_a_client_that_takes_anything() -> None:
    with one_meter().client() as client:
        answer = client.get("/metric?name=W", headers={"Accept": "*/*"})
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_metric_as_json_says_unit_times_age_and_quality() -> None:
    site = one_meter()
    site.read(NEXUS, ago=2.5, W=17.25)
    with site.client() as client:
        answer = client.get("/metric?name=W", headers=JSON)
    assert answer.json() == {
        "topic": f"{NEXUS}/W",
        "value": -42.0,
        "unit": "W",
        "timestamp": "2031-05-04T12:00:00Z",
        "read_at": "2031-05-04T12:00:00Z",
        "age": 0.0,
        "quality": "good",
    }


def test_a_value_that_the_newest_attempt_missed_carries_the_reason() -> None:
    site = Site(one_meter().profiles)
    site.read(NEXUS, ago=12, W=17.25)
    site.read(NEXUS, ago=2, W=None)
    with site.client() as client:
        answer = client.get("/metric?name=W", headers=JSON).json()
    assert (answer["value"], answer["age"], answer["quality"]) == (17.2, 12.0, "read_timeout")


def test_a_full_topic_chooses_the_meter() -> None:
    assert get(two_meters(), f"name={NEXUS}/W") == (200, "-42.0")


def test_a_name_of_two_meters_is_400_in_plain_text() -> None:
    status, text = get(two_meters(), "name=W")
    assert status == 400
    assert text.startswith("'W' is a metric of 2 meters")


def test_a_missing_name_is_400_with_the_reason() -> None:
    status, text = get(one_meter(), "")
    assert status == 400
    assert text.startswith("parameter name is missing")


def test_an_error_is_problem_json_when_json_is_asked_for() -> None:
    with one_meter().client() as client:
        answer = client.get("/metric?name=Nope", headers=JSON)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["title"] == "Bad Request"


def test_a_value_older_than_three_intervals_is_503_with_the_reason() -> None:
    site = Site(one_meter(10).profiles)
    site.read(NEXUS, ago=31, W=1.0)
    site.read(NEXUS, ago=1, W=None)
    assert get(site, "name=W") == (
        503,
        f"{NEXUS}/W was last read 31.0 s ago, allowed is 30 s: read_timeout",
    )
    assert get(site, "name=W&max_age=31") == (200, "1.0")
    assert site.collector.asked == []


def test_a_scheduled_metric_that_was_never_read_is_503() -> None:
    status, text = get(two_meters(), f"name={EATON}/W")
    assert status == 503
    assert "has not been read since the start" in text


def test_a_meter_without_a_schedule_is_read_when_its_value_is_old() -> None:
    site = Site(one_meter(None).profiles)
    site.read(NEXUS, ago=61, W=1.0)
    site.collector.answers["W"] = 2.04
    assert get(site, "name=W") == (200, "2.0")
    assert get(site, "name=W&max_age=61") == (200, "1.0")
    assert site.collector.asked == [(NEXUS, "W")]


def test_fresh_reads_the_meter_whatever_is_known() -> None:
    site = one_meter()
    site.collector.answers["W"] = 3.0
    assert get(site, "name=W&fresh=1") == (200, "3.0")


@pytest.mark.parametrize(
    ("reason", "status"),
    [("read_timeout", 502), ("exception:2", 502), ("meter_held", 503), ("backoff_skipped", 503)],
)
def test_a_meter_that_gives_no_value_is_an_error_with_the_gap_reason(
    reason: str, status: int
) -> None:
    site = one_meter(None)
    site.collector.gaps["W"] = reason
    assert get(site, "name=W&fresh=1") == (status, f"{NEXUS}/W could not be read: {reason}")


def test_a_reading_that_cannot_be_stored_is_503() -> None:
    site = one_meter(None)
    site.collector.failure = StorageError("disk full")
    assert get(site, "name=W&fresh=1") == (503, "disk full")


def test_a_fault_of_the_program_is_500_without_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    site = one_meter(None)
    site.collector.failure = RuntimeError("secret /etc/path")
    status, text = get(site, "name=W&fresh=1")
    assert (status, text) == (500, "a fault of this program; its log has the details")
    assert "secret" in caplog.text


def test_collect_answers_with_zero_bytes_after_one_cycle() -> None:
    site = one_meter()
    with site.client() as client:
        answer = client.post("/collect", headers={"Accept": "*/*"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert site.collector.asked == [(1, 1)]


def test_collect_gives_a_summary_of_each_cycle_as_json() -> None:
    site = one_meter()
    with site.client() as client:
        answer = client.post("/collect?iterations=2&wait_time=0", headers=JSON)
    assert site.collector.asked == [(2, 0)]
    assert answer.json() == 2 * [
        {
            "started": NOW.isoformat().replace("+00:00", "Z"),
            "duration_s": 0.5,
            "meters": 2,
            "failed": [EATON],
            "values": 4,
            "gaps": {"read_timeout": 4},
        }
    ]


@pytest.mark.parametrize(
    "query",
    [
        "iterations=0",
        "iterations=3601",
        "iterations=-1",
        "iterations=1000000000",
        "iterations=x",
        "iterations=1.0",
        "wait_time=3601",
        "wait_time=-1",
        "wait_time=0.5",
        "wait_time=",
        "iterations=1&iterations=1",
        "iteration=1",
        "iterations=true",
        "iterations=%225%22",
        "iterations=1e400",
        "iterations=" + "9" * 400,
        "wait_time=-" + "9" * 400,
        "iterations=%EF%BC%95",
    ],
)
def test_collect_refuses_numbers_beyond_its_bounds(query: str) -> None:
    site = one_meter()
    with site.client() as client:
        answer = client.post(f"/collect?{query}")
    assert answer.status_code == 400
    assert site.collector.asked == []


BODIES = {
    "none": b"",
    "object": b"{}",
    "list": b"[]",
    "null": b"null",
    "NaN": b"NaN",
    "double key": b'{"a":1,"a":2}',
    "deep": b"[" * 10_000,
    "long number": b'{"iterations":' + b"9" * 400 + b"}",
    "no JSON": b"iterations=5",
    "no text": bytes(range(256)),
    "64 kB": b"x" * 65536,
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_collect_ignores_a_body_of_up_to_64_kilobytes(body: bytes) -> None:
    with one_meter().client() as client:
        assert client.post("/collect", content=body).status_code == 200


def test_collect_refuses_a_larger_body() -> None:
    site = one_meter()
    with site.client() as client:
        assert client.post("/collect", content=b"x" * 65537).status_code == 413
        assert client.post("/collect", content=iter([b"x" * 40_000] * 2)).status_code == 413
    assert site.collector.asked == []


@pytest.mark.parametrize(
    ("failure", "status"), [(BusyError("a third collection"), 409), (StorageError("away"), 503)]
)
def test_collect_says_when_it_cannot(failure: Exception, status: int) -> None:
    site = one_meter()
    site.collector.failure = failure
    with site.client() as client:
        answer = client.post("/collect")
    assert (answer.status_code, answer.text) == (status, str(failure))
