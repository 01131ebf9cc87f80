import asyncio
from datetime import timedelta
from typing import Any

import pytest

from emdc.reading import Gap, MeterProfile
from tests.web.site import EATON, NEXUS, NOW, TOPICS, Site, one_meter, two_meters


def health(site: Site) -> tuple[int, dict[str, Any]]:
    with site.client() as client:
        answer = client.get("/health")
    return answer.status_code, answer.json()


def test_a_meter_that_was_just_read_is_ok() -> None:
    status, found = health(one_meter())
    assert (status, found["ok"], found["degraded"], found["problems"]) == (200, True, False, [])
    assert found["uptime_s"] == 3600.0
    assert found["meters"] == [
        {
            "name": NEXUS,
            "state": "ok",
            "last_success": "2031-05-04T12:00:00Z",
            "last_error": None,
            "last_error_at": None,
            "age_s": 0.0,
            "interval_s": 10.0,
            "failures": 0,
            "refused": [],
            "learned": [],
        }
    ]


def test_what_a_meter_does_not_have_is_no_error_of_it() -> None:
    site = one_meter()
    site.read(NEXUS, why="not_available", W=None, Voltage_AN=120.0)
    (meter,) = health(site)[1]["meters"]
    assert (meter["state"], meter["last_error"], meter["last_error_at"]) == ("ok", None, None)


def test_what_a_meter_refuses_is_told_with_when_it_is_asked_again() -> None:
    site = one_meter()
    site.collector.lessons[NEXUS] = (["W"], ["W: a read of 2 from 7 gave exception:2"])
    status, found = health(site)
    assert (status, found["ok"]) == (200, True)
    (meter,) = found["meters"]
    assert meter["refused"] == ["W"]
    assert meter["learned"] == ["W: a read of 2 from 7 gave exception:2"]


def test_a_meter_that_is_down_degrades_but_does_not_fail() -> None:
    site = two_meters()
    site.read(EATON, W=None, Voltage_AN=None)
    status, found = health(site)
    assert (status, found["ok"], found["degraded"]) == (200, True, True)
    assert found["meters"][1]["state"] == "down"
    assert found["meters"][1]["last_error"] == "read_timeout"
    assert found["problems"] == [
        f"down: {EATON}: see that it has power, and that host, port and unit are right; "
        "a converter of a serial line may need another transport"
    ]


def test_a_meter_that_another_process_reads_has_a_sentence_of_its_own() -> None:
    site = two_meters()
    site.read(EATON, why="meter_held", W=None)
    assert health(site)[1]["problems"] == [
        f"held: {EATON}: another process reads it: end that one, or ask it"
    ]


@pytest.mark.parametrize("voltage", [None, 120.0])
@pytest.mark.parametrize("code", [1, 2, 3])
def test_a_meter_that_refuses_registers_is_asked_about_its_map_and_not_its_power(
    code: int, voltage: float | None
) -> None:
    site = two_meters()
    site.read(EATON, why=f"exception:{code}", W=None, Voltage_AN=voltage)
    assert health(site)[1]["problems"] == [
        f"refused: {EATON}: it answers but refuses these registers: "
        "is this the right map and unit? emdc probe finds out"
    ]


def test_meters_with_the_same_trouble_share_a_sentence_of_five_names_at_most() -> None:
    site = Site(tuple(MeterProfile(f"m{n}", TOPICS, 10.0) for n in range(7)))
    for n in range(7):
        site.read(f"m{n}", W=None)
    (problem,) = health(site)[1]["problems"]
    assert problem.startswith("down: m0, m1, m2, m3, m4 and 2 more: see that it has power")


def test_a_meter_that_was_not_read_yet_is_never() -> None:
    _, found = health(two_meters())
    assert found["meters"][1]["state"] == "never"
    assert found["totals"]["never"] == 1
    assert found["totals"]["link_restarts"] == 7


def test_a_meter_is_late_after_two_intervals_and_five_seconds() -> None:
    site = two_meters(10)
    site.read(EATON, ago=25, W=1.0)
    assert health(site)[1]["meters"][1]["state"] == "ok"
    late = two_meters(10)
    late.read(EATON, ago=26, W=1.0)
    assert health(late)[1]["meters"][1]["state"] == "late"


def test_a_schedule_that_reads_nothing_is_503() -> None:
    site = Site(one_meter(10).profiles)
    site.read(NEXUS, ago=26, W=1.0)
    status, found = health(site)
    assert (status, found["ok"]) == (503, False)
    assert found["problems"][0].startswith(
        "no meter has been read for 26 s although one is due every 10 s"
    )


def test_meters_that_are_tried_in_vain_are_not_a_stalled_schedule() -> None:
    site = Site(one_meter(10).profiles)
    site.read(NEXUS, ago=90, W=1.0)
    site.read(NEXUS, ago=60, W=None)
    recent = NOW - timedelta(seconds=10)
    site.latest.meters[NEXUS].last_error = "backoff_skipped"
    site.latest.meters[NEXUS].last_error_at = Gap(NEXUS, recent, NOW, "backoff_skipped").from_ts
    assert health(site)[0] == 200


def test_a_schedule_has_time_to_begin() -> None:
    site = Site(one_meter(10).profiles, started=NOW - timedelta(seconds=20))
    assert health(site)[0] == 200
    site = Site(one_meter(10).profiles, started=NOW - timedelta(seconds=26))
    assert health(site)[0] == 503


def test_without_a_schedule_nothing_is_due() -> None:
    site = Site(one_meter(None).profiles)
    assert health(site)[0] == 200


def test_a_clock_that_was_set_back_is_503_as_nothing_is_read() -> None:
    site = one_meter()
    site.collector.clock_back = True
    status, found = health(site)
    assert (status, found["ok"]) == (503, False)
    assert "set back" in found["problems"][0]


def test_a_meter_whose_metrics_are_not_known_yet_is_down_and_no_fault_of_this_program() -> None:
    site = Site((MeterProfile(EATON, (), 1.0),))
    at = NOW - timedelta(seconds=60)
    asyncio.run(site.latest.write_gaps([Gap(EATON, at, at, "not_discovered")]))
    status, found = health(site)
    assert (status, found["ok"], found["degraded"]) == (200, True, True)
    (problem,) = found["problems"]
    assert EATON in problem
    assert "SunSpec" in problem
