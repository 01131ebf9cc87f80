"""`emdc gaps`: where values are missing, and why."""

import json
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from emdc.cli import gaps
from emdc.cli.reasons import WORDS, in_words
from emdc.reading import GAP_REASONS, MeterProfile, MeterReading, Topic
from tests.cli.recorded import END, INTERVAL_S, METER, printed, record, refused, table
from tests.storage.plant import open_new, store

pytestmark = pytest.mark.usefixtures("at_end")

OTHER = "UW/Elm/eaton_meter"


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """The database with a second meter, which lacks one value, in another zone."""
    database = record(tmp_path / "emdc.db", reckoned=False)
    engine = open_new(database)
    begin = END.astimezone(UTC) - timedelta(hours=1)
    profile = MeterProfile(OTHER, (Topic("V"), Topic("A")), INTERVAL_S, {"timezone": "Asia/Tokyo"})
    found = [
        MeterReading(OTHER, tick, tick, ("V", "A"), (1.0, None if n == 2 else 2.0), gap)
        for n in range(4)
        for tick in [begin + timedelta(seconds=n * INTERVAL_S)]
        for gap in [{"A": "exception:2"} if n == 2 else {}]
    ]
    store(engine, *found, profiles=[profile], now=begin)
    engine.dispose()
    return database


def test_ticks_with_one_reason_are_one_line_in_words(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title, rows = table(capsys, recorded, "gaps")
    assert title == "Missing values, America/Los_Angeles"
    assert rows == [
        ["meter", "metric", "from", "to", "ticks", "reason"],
        [METER, "all", "2026-03-01 06:00", "2026-03-01 07:00", "12", "no answer in time"],
    ]


def test_span_and_topic_are_taken_into_account(
    recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--topic=W", "--start=2026-03-01T06:30")
    _, rows = table(capsys, recorded, "gaps", *flags)
    assert rows[1][1:] == ["W", "2026-03-01 06:30", "2026-03-01 07:00", "6", "no answer in time"]
    lines, _ = printed(capsys, recorded, "gaps", "--start=-3h")
    assert lines == ["nothing is missing"]


def test_meters_of_several_zones_have_their_offsets(
    two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    title, rows = table(capsys, two, "gaps")
    assert title == "Missing values"
    said = "the meter refused: illegal data address (2)"
    span = ["2026-03-03T04:10:00+09:00", "2026-03-03T04:15:00+09:00"]
    assert rows[1] == [OTHER, "A", *span, "1", said]
    assert rows[2][:3] == [METER, "all", "2026-03-01T06:00:00-08:00"]
    _, rows = table(capsys, two, "gaps", f"--meter={OTHER}")
    assert rows[1][2] == "2026-03-03 04:10"


def test_programs_get_the_reasons_as_they_are(
    two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,), _ = printed(capsys, two, "gaps", f"--meter={OTHER}", "--json")
    assert json.loads(line) == [
        {
            "meter": OTHER,
            "metric": "A",
            "start": "2026-03-03T04:10:00+09:00",
            "end": "2026-03-03T04:15:00+09:00",
            "ticks": 1,
            "reason": "exception:2",
        }
    ]
    lines, _ = printed(capsys, two, "gaps", f"--meter={METER}", "--csv")
    span = "2026-03-01T06:00:00-08:00,2026-03-01T07:00:00-08:00"
    assert lines == ["meter,metric,start,end,ticks,reason", f"{METER},,{span},12,read_timeout"]


def test_the_newest_of_many_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_new(tmp_path / "emdc.db")
    begin = END.astimezone(UTC) - timedelta(hours=1)
    found = [
        MeterReading(OTHER, tick, tick, ("V",), (None if n % 2 else 1.0,), gap)
        for n in range(10)
        for tick in [begin + timedelta(seconds=n * INTERVAL_S)]
        for gap in [{"V": "decode_error"} if n % 2 else {}]
    ]
    store(engine, *found, profiles=[MeterProfile(OTHER, (Topic("V"),), INTERVAL_S)], now=begin)
    engine.dispose()
    monkeypatch.setattr(gaps, "MOST_ROWS", 2)
    lines, noted = printed(capsys, tmp_path / "emdc.db", "gaps")
    assert [line.split()[3] for line in lines[-2:]] == ["19:35", "19:45"]
    assert f"{OTHER}: only the last 2 gaps" in noted


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (("--meter=UW/Mercer/nexus",), f"no meter 'UW/Mercer/nexus', expected one such as {METER}"),
        (("--topic=Watt",), "--topic: no topic is called 'Watt'"),
        (("--topic=W", f"--meter={METER}"), "--meter and --topic: expected one of them"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    flags: tuple[str, ...], problem: str, recorded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert problem in refused(capsys, recorded, "gaps", *flags)


def test_each_reason_has_words() -> None:
    assert WORDS.keys() == GAP_REASONS
    assert in_words("exception:7") == "the meter refused: exception (7)"
    assert in_words("of another version") == "of another version"
