import gc
from dataclasses import replace
from datetime import timedelta
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.parser import text_string_to_metric_families

from emdc import __version__
from emdc.reading import MeterProfile, Topic
from emdc.web.metrics import MOST_VALUES, exposition, families
from tests.web.site import EATON, NEXUS, NOW, TOPICS, Site, one_meter, two_meters

FAMILIES = {
    "emdc_build_info": "gauge",
    "emdc_start_time_seconds": "gauge",
    "emdc_ok": "gauge",
    "emdc_meter_up": "gauge",
    "emdc_meter_last_success_timestamp_seconds": "gauge",
    "emdc_meter_readings_total": "counter",
    "emdc_meter_gaps_total": "counter",
    "emdc_link_restarts_total": "counter",
    "emdc_storage_up": "gauge",
    "emdc_storage_last_commit_timestamp_seconds": "gauge",
    "emdc_storage_queued_readings": "gauge",
    "emdc_storage_stored_readings_total": "counter",
    "emdc_storage_conflicts_total": "counter",
    "emdc_storage_dropped_readings_total": "counter",
    "emdc_storage_refused_readings_total": "counter",
    "emdc_spool_readings": "gauge",
    "emdc_spool_bytes": "gauge",
    "emdc_spool_limit_bytes": "gauge",
    "emdc_spool_oldest_timestamp_seconds": "gauge",
    "emdc_spool_oldest_age_seconds": "gauge",
    "emdc_spool_replayed_readings_total": "counter",
    "emdc_spool_dropped_readings_total": "counter",
    "emdc_value": "gauge",
    "emdc_values_left_out": "gauge",
}

Samples = dict[tuple[str, tuple[str, ...]], float]
"""(name of the sample, its label values by the labels' names) → value."""


def parsed(page: str) -> Samples:
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def built(site: Site) -> Samples:
    return parsed(exposition(list(families(site.service()))).decode())


def values(site: Site) -> dict[tuple[str, ...], float]:
    """(meter, metric, unit) → value."""
    return {key[1]: value for key, value in built(site).items() if key[0] == "emdc_value"}


def test_the_page_has_the_content_type_of_the_text_format() -> None:
    with one_meter().client() as client:
        answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers.get_list("content-type") == [CONTENT_TYPE_LATEST]


def test_every_family_has_its_type_and_a_help_text() -> None:
    with one_meter().client() as client:
        lines = client.get("/metrics").text.splitlines()
    types = dict(line.split(" ")[2:] for line in lines if line.startswith("# TYPE "))
    helps = dict(line.split(" ", 3)[2:] for line in lines if line.startswith("# HELP "))
    ours = {name: kind for name, kind in types.items() if not name.startswith("process_")}
    assert ours == FAMILIES
    assert set(helps) == set(types)
    assert all(helps.values())


def test_the_process_is_described_by_the_system() -> None:
    with one_meter().client() as client:
        found = parsed(client.get("/metrics").text)
    assert found["process_resident_memory_bytes", ()] > 0
    assert found["process_open_fds", ()] > 0


def test_the_registry_of_the_library_is_not_touched_by_a_page() -> None:
    before = {family.name for family in REGISTRY.collect()}
    built(one_meter())
    assert {family.name for family in REGISTRY.collect()} == before


def test_no_registry_is_kept_after_its_page() -> None:
    def alive() -> int:
        gc.collect()
        return sum(isinstance(each, CollectorRegistry) for each in gc.get_objects())

    before = alive()
    for _ in range(5):
        built(one_meter())
    assert alive() == before


def test_the_program_is_told_with_version_start_and_health() -> None:
    found = built(one_meter())
    assert found["emdc_build_info", (__version__,)] == 1
    assert found["emdc_start_time_seconds", ()] == (NOW - timedelta(hours=1)).timestamp()
    assert found["emdc_ok", ()] == 1


def test_ok_is_zero_when_health_is_503() -> None:
    site = one_meter()
    site.storage = replace(site.storage, ok=False)
    with site.client() as client:
        status, page = client.get("/health").status_code, client.get("/metrics")
    assert (status, page.status_code) == (503, 200)
    found = parsed(page.text)
    assert (found["emdc_ok", ()], found["emdc_storage_up", ()]) == (0, 0)


def test_a_meter_that_answers_is_up_and_one_that_never_did_is_not() -> None:
    found = built(two_meters())
    assert [found["emdc_meter_up", (name,)] for name in (NEXUS, EATON)] == [1, 0]
    success = "emdc_meter_last_success_timestamp_seconds"
    assert [found[success, (name,)] for name in (NEXUS, EATON)] == [NOW.timestamp(), 0]


def test_readings_and_gaps_of_a_meter_are_counted() -> None:
    site = two_meters()
    site.read(EATON, ago=10, W=1.0, Voltage_AN=None)
    site.read(EATON, W=None, Voltage_AN=None)
    found = built(site)
    assert found["emdc_meter_readings_total", (EATON,)] == 2
    assert found["emdc_meter_gaps_total", (EATON,)] == 3
    assert found["emdc_meter_up", (EATON,)] == 0


def test_each_figure_of_storage_and_spool_is_its_own() -> None:
    site = one_meter()
    site.storage = replace(
        site.storage,
        queued=1,
        stored=2,
        conflicts=3,
        dropped=4,
        refused=5,
        spooled=6,
        spool_bytes=7,
        spool_limit_bytes=8,
        replayed=9,
        overflowed=10,
        spool_since=NOW - timedelta(seconds=11),
        last_commit_at=NOW - timedelta(seconds=12),
    )
    found = built(site)
    assert {name: found[name, ()] for name in FAMILIES if "storage" in name or "spool" in name} == {
        "emdc_storage_up": 1,
        "emdc_storage_queued_readings": 1,
        "emdc_storage_stored_readings_total": 2,
        "emdc_storage_conflicts_total": 3,
        "emdc_storage_dropped_readings_total": 4,
        "emdc_storage_refused_readings_total": 5,
        "emdc_spool_readings": 6,
        "emdc_spool_bytes": 7,
        "emdc_spool_limit_bytes": 8,
        "emdc_spool_replayed_readings_total": 9,
        "emdc_spool_dropped_readings_total": 10,
        "emdc_spool_oldest_timestamp_seconds": NOW.timestamp() - 11,
        "emdc_spool_oldest_age_seconds": 11,
        "emdc_storage_last_commit_timestamp_seconds": NOW.timestamp() - 12,
    }


def test_times_that_do_not_exist_are_zero() -> None:
    site = one_meter()
    site.storage = replace(site.storage, last_commit_at=None)
    found = built(site)
    for name in (
        "emdc_storage_last_commit_timestamp_seconds",
        "emdc_spool_oldest_timestamp_seconds",
        "emdc_spool_oldest_age_seconds",
    ):
        assert found[name, ()] == 0


def test_values_are_the_newest_numbers_rounded_and_without_texts() -> None:
    assert values(one_meter()) == {
        (NEXUS, "Voltage_AN", "V"): 120.123457,
        (NEXUS, "W", "W"): -42.0,
        (NEXUS, "Wh_received", "Wh"): 7_000_000,
    }


def test_a_value_that_the_newest_attempt_missed_is_absent() -> None:
    site = Site(one_meter().profiles)
    site.read(NEXUS, ago=10, W=17.25, Voltage_AN=120.0)
    site.read(NEXUS, W=None, Voltage_AN=121.0)
    assert values(site) == {(NEXUS, "Voltage_AN", "V"): 121.0}


def test_of_two_plans_with_one_metric_the_newer_counts() -> None:
    site = Site(one_meter().profiles)
    site.read(NEXUS, ago=1, W=2.0)
    site.read(NEXUS, ago=5, W=None, Voltage_AN=120.0)
    assert values(site) == {(NEXUS, "W", "W"): 2.0, (NEXUS, "Voltage_AN", "V"): 120.0}


@pytest.mark.parametrize(("ago", "count"), [(30, 1), (31, 0)])
def test_a_value_that_is_older_than_three_intervals_is_absent(ago: float, count: int) -> None:
    site = Site(one_meter(10).profiles)
    site.read(NEXUS, ago=ago, W=17.25)
    assert len(values(site)) == count


def test_a_metric_with_a_longer_interval_of_its_own_stays_for_three_of_those() -> None:
    slow = replace(TOPICS[2], interval_s=900.0)
    site = Site((MeterProfile(NEXUS, (TOPICS[1], slow), 10.0),))
    site.read(NEXUS, ago=600, Wh_received=5)
    site.read(NEXUS, ago=600, W=5.0)
    assert values(site) == {(NEXUS, "Wh_received", "Wh"): 5}


def test_a_meter_without_a_schedule_keeps_its_values() -> None:
    site = Site(one_meter(None).profiles)
    site.read(NEXUS, ago=86400, W=17.25)
    assert values(site) == {(NEXUS, "W", "W"): 17.2}


def test_a_page_of_a_thousand_meters_is_bounded_and_takes_less_than_a_second() -> None:
    topics = tuple(Topic(f"Metric_{n}", "kWh", digits=6) for n in range(100))
    site = Site(tuple(MeterProfile(f"UW/Hall_{n}/meter", topics, 10.0) for n in range(1000)))
    numbers: dict[str, Any] = {topic.name: n / 7 for n, topic in enumerate(topics)}
    for profile in site.profiles:
        site.read(profile.name, **numbers)
    service = site.service()
    begin = process_time()
    page = exposition(list(families(service))).decode()
    assert process_time() - begin < 1.0
    assert page.count("\nemdc_value{") == MOST_VALUES
    assert f"\nemdc_values_left_out {100_000 - MOST_VALUES:.1f}\n" in page
    assert page.count("\nemdc_meter_up{") == 1000


NAMES = st.text(min_size=1, max_size=20)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64 - 1)


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, st.tuples(st.text(), NUMBERS)), max_size=4))
def test_the_page_reads_back_as_what_it_was_made_of(plant: dict[str, Any]) -> None:
    site = Site(
        tuple(
            MeterProfile(meter, tuple(Topic(name, unit) for name, (unit, _) in metrics.items()), 10)
            for meter, metrics in plant.items()
        )
    )
    for meter, metrics in plant.items():
        if metrics:
            site.read(meter, **{name: value for name, (_, value) in metrics.items()})
    assert values(site) == {
        (meter, name, unit): float(value)
        for meter, metrics in plant.items()
        for name, (unit, value) in metrics.items()
    }
    assert {key[1] for key in built(site) if key[0] == "emdc_meter_up"} == {(m,) for m in plant}


def test_a_name_that_utf8_cannot_hold_does_not_take_the_page_with_it() -> None:
    site = Site((MeterProfile("Hall \udcff", TOPICS, 10.0),))
    site.read("Hall \udcff", W=1.0)
    assert values(site) == {("Hall ?", "W", "W"): 1.0}
