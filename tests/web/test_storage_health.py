from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.web.site import NOW, Site, one_meter


def health(site: Site) -> tuple[int, dict[str, Any]]:
    with site.client() as client:
        answer = client.get("/health")
    return answer.status_code, answer.json()


def test_readings_that_the_database_had_otherwise_are_a_problem() -> None:
    site = one_meter()
    site.storage = replace(site.storage, conflicts=3)
    status, found = health(site)
    assert status == 200
    assert found["problems"][0].startswith("3 readings were left out")


def test_a_database_that_takes_nothing_is_503_with_the_reason() -> None:
    site = one_meter()
    site.storage = replace(site.storage, ok=False, last_error="disk full", queued=3)
    status, found = health(site)
    assert status == 503
    assert "does not take readings (disk full), 3 wait" in found["problems"][0]


def test_a_database_in_memory_is_a_warning_that_says_how_to_keep_samples() -> None:
    site = one_meter()
    site.storage = replace(site.storage, in_memory=True)
    status, found = health(site)
    assert status == 200
    assert "--db_host=emdc.db" in found["problems"][0]


@pytest.mark.parametrize(
    "url", ["mysql://u:s3cret@db/x", "mysql+pymysql://u:s3cret@db", "postgresql://:s3cret@h/x"]
)
def test_a_password_never_shows(url: str) -> None:
    site = one_meter()
    site.storage = replace(site.storage, url=url)
    with site.client() as client:
        assert "s3cret" not in client.get("/health").text + client.get("/state").text


def spooling(**changes: Any) -> Site:
    """A site whose database is away for an hour and whose spool has taken 12 of 100 MB."""
    site = one_meter()
    away = replace(
        site.storage,
        ok=False,
        last_error="connection refused",
        spooled=3600,
        spool_bytes=12_000_000,
        spool_limit_bytes=100_000_000,
        spool_since=NOW - timedelta(hours=1),
        spool_path="/var/lib/emdc/spool.db",
    )
    site.storage = replace(away, **changes)
    return site


def test_readings_that_wait_in_the_spool_are_told_with_the_file_its_room_and_the_reason() -> None:
    status, found = health(spooling())
    assert (status, found["ok"]) == (503, False)
    assert found["problems"] == [
        "the database does not take readings (connection refused): 3600 readings wait in "
        "/var/lib/emdc/spool.db (12 MB of 100 MB, since 11:00 UTC): nothing is lost until it is "
        "full; see that the database runs, is reachable and has room"
    ]
    assert found["database"]["spool"] == {
        "path": "/var/lib/emdc/spool.db",
        "readings": 3600,
        "bytes": 12_000_000,
        "limit_bytes": 100_000_000,
        "oldest_age_s": 3600.0,
        "replayed": 0,
        "dropped": 0,
    }


def test_a_spool_that_began_on_another_day_is_told_with_the_date() -> None:
    site = spooling(spool_since=NOW - timedelta(days=2), spool_bytes=1_234_567)
    assert "(1.2 MB of 100 MB, since 2031-05-02 12:00 UTC)" in health(site)[1]["problems"][0]


def test_a_database_that_is_away_before_anything_is_spooled_counts_what_waits_in_memory() -> None:
    site = spooling(spooled=0, spool_bytes=0, spool_since=None, queued=7)
    status, found = health(site)
    assert status == 503
    assert "(connection refused), 7 wait: see that" in found["problems"][0]
    assert found["database"]["spool"]["oldest_age_s"] is None


def test_readings_that_come_back_from_the_spool_degrade_but_do_not_fail() -> None:
    status, found = health(spooling(ok=True, replayed=1200))
    assert (status, found["ok"], found["degraded"]) == (200, True, True)
    assert found["problems"] == ["3600 readings from 11:00 UTC on come back from the spool"]
    assert found["database"]["spool"]["replayed"] == 1200


def test_a_spool_that_is_empty_again_is_no_problem() -> None:
    drained = spooling(ok=True, spooled=0, spool_bytes=0, spool_since=None, replayed=3600)
    status, found = health(drained)
    assert (status, found["degraded"], found["problems"]) == (200, False, [])


@pytest.mark.parametrize(("megabytes", "status"), [(80, 200), (81, 503)])
def test_a_spool_above_four_fifths_of_its_limit_is_503_even_while_it_drains(
    megabytes: int, status: int
) -> None:
    given, found = health(spooling(ok=True, spool_bytes=megabytes * 1_000_000))
    assert (given, found["ok"]) == (status, status == 200)
    assert any("81 % full; beyond" in each for each in found["problems"]) == (status == 503)


@pytest.mark.parametrize(
    ("filling", "megabytes", "left"),
    [
        (timedelta(hours=4), 90, "27 min"),
        (timedelta(hours=90), 90, "10 h"),
        (timedelta(days=27), 90, "3 days"),
        (timedelta(minutes=2), 99, "1 min"),
    ],
)
def test_a_spool_that_fills_says_how_long_it_lasts(
    filling: timedelta, megabytes: int, left: str
) -> None:
    site = spooling(spool_bytes=megabytes * 1_000_000, spool_since=NOW - filling)
    problem = health(site)[1]["problems"][1]
    assert f"is {megabytes} % full and lasts about {left} more at this rate; beyond" in problem
    assert "database.spool_mb" in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"spool_since": None},
        {"spool_since": NOW - timedelta(seconds=59)},
        {"spool_since": NOW + timedelta(hours=1)},
        {"spool_bytes": 101_000_000},
    ],
)
def test_how_long_the_spool_lasts_is_left_out_when_nobody_can_tell(changes: Any) -> None:
    problem = health(spooling(**{"spool_bytes": 90_000_000, **changes}))[1]["problems"][1]
    assert " % full; beyond its limit" in problem


def test_readings_that_the_spool_dropped_are_told_as_gaps() -> None:
    status, found = health(spooling(ok=True, spooled=0, spool_bytes=0, overflowed=50))
    assert status == 200
    assert found["problems"][0].startswith("50 readings were lost because the spool was full")
    assert "spool_overflow" in found["problems"][0]
    assert found["database"]["spool"]["dropped"] == 50


def test_nobody_is_told_that_nothing_is_lost_after_the_spool_dropped_readings() -> None:
    problems = health(spooling(overflowed=50))[1]["problems"]
    assert "since 11:00 UTC): see that the database runs" in problems[0]
    assert problems[1].startswith("50 readings were lost because the spool was full")


def test_readings_that_the_database_refuses_are_told_with_the_place_where_they_are() -> None:
    status, found = health(spooling(ok=True, spooled=0, spool_bytes=0, refused=2))
    assert (status, found["database"]["refused"]) == (200, 2)
    assert found["problems"] == [
        "2 readings were refused by the database for good and set aside in "
        "/var/lib/emdc/spool.db, table aside: emdc check lists them"
    ]


def test_refused_readings_without_a_spool_are_not_said_to_be_kept() -> None:
    site = one_meter()
    site.storage = replace(site.storage, refused=2)
    assert "are lost: the log says why" in health(site)[1]["problems"][0]


@pytest.mark.parametrize(
    ("limit", "reason"), [(0, "the database was too slow"), (1, "neither the database nor the spo")]
)
def test_lost_readings_are_told_with_what_could_have_taken_them(limit: int, reason: str) -> None:
    site = one_meter()
    site.storage = replace(site.storage, dropped=9, spool_limit_bytes=limit)
    assert f"9 readings were lost because {reason}" in health(site)[1]["problems"][0]


def test_without_a_spool_its_report_is_empty() -> None:
    assert health(one_meter())[1]["database"]["spool"] == {
        "path": "",
        "readings": 0,
        "bytes": 0,
        "limit_bytes": 0,
        "oldest_age_s": None,
        "replayed": 0,
        "dropped": 0,
    }
