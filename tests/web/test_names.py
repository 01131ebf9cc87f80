import pytest
from litestar.exceptions import HTTPException

from emdc.reading import MeterProfile, Topic
from emdc.web.names import Names
from tests.web.site import EATON, NEXUS, TOPICS

BOTH = (MeterProfile(NEXUS, TOPICS, 10.0), MeterProfile(EATON, (*TOPICS, Topic("VA")), None))


def refusal(names: Names, name: str) -> str:
    with pytest.raises(HTTPException) as caught:
        names.find(name)
    assert caught.value.status_code == 400
    return caught.value.detail


def test_a_metric_name_means_the_one_meter_that_has_it() -> None:
    assert Names(BOTH).find("VA").full == f"{EATON}/VA"


def test_a_full_topic_means_its_meter() -> None:
    found = Names(BOTH).find(f"{NEXUS}/W")
    assert (found.meter, found.topic.unit, found.interval_s) == (NEXUS, "W", 10.0)


def test_full_topics_are_known_and_nothing_else() -> None:
    names = Names(BOTH)
    assert names.knows(f"{NEXUS}/W")
    assert names.knows(f"{EATON}/VA")
    for other in ("W", f"{NEXUS}/VA", NEXUS, f"x/{NEXUS}/W", f"{NEXUS}/W/", ""):
        assert not names.knows(other)


def test_a_topic_of_a_meter_without_a_schedule_has_no_interval() -> None:
    profile = MeterProfile(NEXUS, (Topic("W", interval_s=5.0),), None)
    assert Names([profile]).find("W").interval_s is None


def test_an_interval_of_the_metric_wins_over_the_meters() -> None:
    profile = MeterProfile(NEXUS, (Topic("W", interval_s=60.0),), 10.0)
    assert Names([profile]).find("W").interval_s == 60.0


def test_an_ambiguous_name_is_refused_with_the_topics_it_could_mean() -> None:
    said = refusal(Names(BOTH), "W")
    assert said == (f"'W' is a metric of 2 meters; name one of them in full: {NEXUS}/W, {EATON}/W")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    said = refusal(Names(BOTH), "Voltage_NA")
    assert said == ("no metric is called 'Voltage_NA'; nearest: Voltage_AN; GET /topics lists all")


def test_an_unknown_prefix_is_refused_with_the_nearest_meter() -> None:
    assert f"nearest: {NEXUS}" in refusal(Names(BOTH), "UW/Mercer/nexus_metre/W")


def test_a_metric_name_may_hold_a_slash() -> None:
    profile = MeterProfile(NEXUS, (Topic("I/O"),), None)
    assert Names([profile]).find("I/O").full == f"{NEXUS}/I/O"
    assert Names([profile]).find(f"{NEXUS}/I/O").full == f"{NEXUS}/I/O"


def test_a_name_is_shown_back_escaped_and_short() -> None:
    said = refusal(Names(BOTH), "\x00\n" + "x" * 10_000)
    assert "\\x00\\n" in said
    assert len(said) < 200


def test_an_unknown_meter_is_404() -> None:
    with pytest.raises(HTTPException) as caught:
        Names(BOTH).meter("UW/Mercer/nexus")
    assert caught.value.status_code == 404
    assert NEXUS in caught.value.detail
