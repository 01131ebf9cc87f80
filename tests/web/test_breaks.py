"""Gaps and epochs, asked for by HTTP from a real database."""

import pytest
from litestar import Litestar
from litestar.testing import TestClient

from tests.web.site import EATON, NEXUS, ZONE
from tests.web.stored import (
    EATON_SILENT,
    ENERGY,
    MINUTES,
    SILENT,
    VOLTS,
    minute,
)

Client = TestClient[Litestar]
RESET = f"{EATON}/Wh_received"


def z(number: int) -> str:
    return minute(number).isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("query", "metric"), [(f"meter={NEXUS}", None), (f"topic={VOLTS}", "Voltage_AN")]
)
def test_gaps_of_a_meter_and_of_a_topic(client: Client, query: str, metric: str | None) -> None:
    assert client.get(f"/gaps?{query}&start=-2d").json() == {
        "zone": ZONE,
        "start": z(0),
        "end": z(MINUTES),
        "gaps": [
            {
                "meter": NEXUS,
                "metric": metric,
                "start": z(SILENT.start),
                "end": z(SILENT.stop),
                "ticks": len(SILENT),
                "reason": "read_timeout",
            }
        ],
        "more": False,
    }


def test_the_last_day_is_the_default_and_had_no_gap(client: Client) -> None:
    found = client.get(f"/gaps?meter={NEXUS}").json()
    assert (found["start"], found["gaps"]) == (z(MINUTES - 1440), [])


def test_gaps_beyond_the_limit_are_said_and_follow_from_the_last_start(client: Client) -> None:
    one, other = (z(number) for number in EATON_SILENT)
    first = client.get(f"/gaps?meter={EATON}&limit=1").json()
    assert ([gap["start"] for gap in first["gaps"]], first["more"]) == ([one], True)
    rest = client.get(f"/gaps?meter={EATON}&start={first['gaps'][-1]['start']}").json()
    assert ([gap["start"] for gap in rest["gaps"]], rest["more"]) == ([one, other], False)


@pytest.mark.parametrize(
    ("status", "query", "said"),
    [
        (400, "", "expected one of them"),
        (400, f"meter={NEXUS}&topic={VOLTS}", "expected one of them"),
        (400, f"meter={NEXUS}&start=later", "start='later', expected such as"),
        (400, f"meter={NEXUS}&limit=1001", "expected a whole number from 1 to 1000"),
        (404, "meter=UW/Mercer/nexus_metre", f"nearest: {NEXUS}"),
        (404, f"meter={VOLTS}", "no meter is called"),
        (404, f"topic={NEXUS}/Voltage_AM", f"did you mean {VOLTS}"),
    ],
)
def test_what_has_no_gaps_says_why(client: Client, status: int, query: str, said: str) -> None:
    answer = client.get(f"/gaps?{query}")
    assert answer.status_code == status
    assert said in answer.json()["detail"]


def test_epochs_of_all_counters_and_of_one(client: Client) -> None:
    whole = client.get("/epochs").json()
    assert whole == client.get("/epochs", params={"topic": RESET}).json()
    assert whole == {
        "epochs": [
            {
                "topic": RESET,
                "at": z(MINUTES - 60),
                "kind": "reset",
                "before": 502_819.0,
                "after": 0.0,
                "source": "found",
                "note": "",
            }
        ],
        "more": False,
    }
    assert client.get("/epochs", params={"topic": ENERGY}).json()["epochs"] == []
    assert client.get("/epochs?topic=nonsense").status_code == 404
