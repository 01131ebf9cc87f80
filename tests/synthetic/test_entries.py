import json
from datetime import UTC, datetime
from importlib import resources

import pytest

from emdc.errors import ConfigError
from emdc.synthetic.entries import Entry, parse, topics

WHEN = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z"}
W = "UW/Mercer/nexus_meter/W"


def one(text: str) -> Entry:
    (entry,) = parse(text, "file", replaced={})
    return entry


def entry(**fields: object) -> Entry:
    return one(json.dumps([WHEN | {"topic_name": W} | fields]))


def faults(*entries: object, **replaced: object) -> list[str]:
    """The lines of the error, without the name of the file."""
    with pytest.raises(ConfigError) as caught:
        parse(json.dumps(entries), "waves.json", replaced=replaced)
    lines = str(caught.value).splitlines()
    if len(lines) > 1:
        assert lines[0] == f"waves.json: {len(lines) - 1} faults"
    return [line.strip().removeprefix("waves.json: ") for line in lines[-len(lines) + 1 :]]


def test_defaults_are_those_of_the_collector_before_this_one() -> None:
    found = entry()
    assert (found.sample_rate, found.period, found.spread) == (0.01, 86400.0, 0.05)
    assert (found.amplitude_cos, found.amplitude_sin, found.amplitude_offset) == (0.0, 0.0, 0.0)
    assert found.count == 864


def test_comments_end_with_their_line_and_do_not_begin_inside_a_text() -> None:
    found = one(
        """// first "line
        [{"start": "2026-03-01", // when it begins
          "end": "2026-03-02", "topic_name": "a//b" // not "this"
        }] // last line"""
    )
    assert found.topic_name == "a//b"


@pytest.mark.parametrize(
    "text",
    ["2026-03-01", "2026-03-01T00:00:00", "2026-03-01T00:00:00Z", "2026-02-28T16:00:00-08:00"],
)
def test_a_time_without_a_zone_is_utc(text: str) -> None:
    assert entry(start=text).start == datetime(2026, 3, 1, tzinfo=UTC)


def test_every_fault_is_told_with_its_entry_field_value_and_what_was_expected() -> None:
    assert faults(
        WHEN | {"topic_name": W, "sample_rate": 0, "sampel_rate": 1},
        {"start": "yesterday", "topic_name": W, "spread": "0.1"},
        7,
        WHEN,
    ) == [
        "entry 1, sampel_rate: unknown field, did you mean sample_rate",
        "entry 1, sample_rate: 0, expected samples per second, above 0 and at most 1000",
        'entry 2, start: "yesterday", expected a time as ISO 8601, such as 2026-03-01T00:00:00Z '
        "(UTC when it names no zone), from 1970 to 2199",
        'entry 2, spread: "0.1", expected a number from 0 to 1e+15',
        "entry 2, end: missing, expected a time as ISO 8601, such as 2026-03-01T00:00:00Z "
        "(UTC when it names no zone), from 1970 to 2199",
        "entry 3: 7, expected an object {…}",
        "entry 4, topic_name: missing, expected a text such as UW/Mercer/nexus_meter/W, "
        "without a slash or space at its ends",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"start": 1772323200},
        {"start": "1969-12-31T23:59:59Z"},
        {"end": "0001-01-01T00:00:00+14:00"},
        {"end": WHEN["start"]},
        {"sample_rate": 1000.5},
        {"sample_rate": -1},
        {"sample_rate": True},
        {"period": 0},
        {"amplitude_sin": 1e16},
        {"amplitude_offset": None},
        {"spread": -0.1},
        {"topic_id": 0},
        {"topic_id": 1.5},
        {"topic_id": None, "topic_name": None},
        {"topic_name": ""},
        {"topic_name": "/W"},
        {"topic_name": "a/"},
        {"topic_name": " a/b"},
        {"topic_name": "a\nb"},
        {"topic_name": "a/\ud800"},
        {"topic_name": "x" * 513},
    ],
)
def test_what_cannot_be_meant_is_a_fault(fields: dict[str, object]) -> None:
    (fault,) = faults(WHEN | {"topic_name": W} | fields)
    assert fault.startswith(f"entry 1, {list(fields)[-1]}: ")
    assert "expected " in fault


def test_more_samples_than_anybody_means_are_a_fault_that_says_how_many() -> None:
    long = {"start": "2000-01-01", "end": "2004-01-01", "topic_name": W, "sample_rate": 1}
    assert faults(long) == ["126230400 samples in all, expected at most 100000000"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[]", "0 entries, expected a list of 1 to 10000 objects"),
        ("{}", "{}, expected a list"),
        ('[{"start": 1,}]', "line 1, column 14: "),
        ('// no comma\n[{"start": 1\n"end": 2}]', "line 3, column 1: expecting ',' delimiter"),
        ("[1e3", "line 1, column 5: "),
        ("[NaN]", "NaN is no number of JSON"),
        ('[{"end": 1, "end": 2}]', "end stands twice in one object"),
        ("[" * 100_000, "recursion"),
    ],
)
def test_what_is_no_list_in_json_is_told_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "waves.json", replaced={})
    assert str(caught.value).startswith("waves.json: ")
    assert problem in str(caught.value)


def test_flags_stand_instead_of_every_entry() -> None:
    raw = [WHEN | {"topic_name": "a/b", "spread": 3}, WHEN | {"topic_id": 7, "sample_rate": 2}]
    found = parse(json.dumps(raw), "file", replaced={"topic_name": W, "spread": 0.5})
    assert [(e.topic_id, e.topic_name, e.sample_rate, e.spread) for e in found] == [
        (None, W, 0.01, 0.5),
        (None, W, 2.0, 0.5),
    ]


def test_entries_of_one_topic_may_name_it_by_number_or_by_name() -> None:
    a, b, c = entry(topic_name="a/b"), entry(topic_name=None, topic_id=7), entry(topic_name=W)
    assert topics([a, b, c], "file", {7: "a/b"}) == {"a/b": [a, b], W: [c]}


def test_a_new_number_has_its_name_from_any_entry() -> None:
    number, both = entry(topic_name=None, topic_id=7), entry(topic_id=7)
    assert topics([number, both], "file", {}) == {W: [number, both]}


def test_a_number_without_a_name_or_with_two_is_a_fault() -> None:
    entries = [entry(topic_name=None, topic_id=8), entry(topic_id=7), entry(topic_id=9)]
    with pytest.raises(ConfigError) as caught:
        topics(entries, "waves.json", {7: "a/b"})
    assert str(caught.value).splitlines() == [
        "waves.json: 2 faults",
        "  entry 2, topic_id: 7 is the topic a/b, expected the number of "
        "UW/Mercer/nexus_meter/W, or no topic_id",
        "  entry 1, topic_id: no topic has the number 8, expected a topic_name beside it",
    ]


@pytest.mark.parametrize("name", ["cos", "square", "sawtooth"])
def test_shipped_files_have_one_topic_of_one_meter_over_a_week(name: str) -> None:
    file = resources.files("emdc.synthetic") / "samples" / f"sample-{name}.json"
    found = parse(file.read_text(encoding="utf-8"), file.name, replaced={})
    (topic,) = topics(found, file.name, {})
    assert topic.startswith("UW/Mercer/nexus_meter/")
    assert all((entry.end - entry.start).days == 7 for entry in found)
