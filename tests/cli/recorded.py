"""A database with days of a meter, for tests of what commands say of the past."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

import pytest

from emdc.cli import execute
from emdc.reading import MeterProfile, MeterReading, Topic
from tests.storage.plant import open_new, store
from tests.storage.reckoned import reckon

METER: Final = "UW/Mercer/nexus_meter"
WH, WATTS, SERIAL = (f"{METER}/{name}" for name in ("Wh_received", "W", "Serial"))
ZONE: Final = ZoneInfo("America/Los_Angeles")
BEGIN: Final = datetime(2026, 2, 28, tzinfo=ZONE)
END: Final = datetime(2026, 3, 2, 12, tzinfo=ZONE)
INTERVAL_S: Final = 300.0
TOPICS: Final = (
    Topic("Wh_received", "Wh", "counter"),
    Topic("W", "W"),
    Topic("Serial", "", "text"),
)
OUTAGE: Final = (datetime(2026, 3, 1, 6, tzinfo=ZONE), datetime(2026, 3, 1, 7, tzinfo=ZONE))
"""The meter does not answer: start ≤ tick < end."""
RESET: Final = datetime(2026, 3, 1, 14, tzinfo=ZONE)
"""The register begins at 0 again."""


def reading(at: datetime) -> MeterReading:
    """600.25 W, and 50 Wh more than the tick before."""
    tick, names = at.astimezone(UTC), tuple(topic.name for topic in TOPICS)
    if OUTAGE[0] <= at < OUTAGE[1]:
        gaps = dict.fromkeys(names, "read_timeout")
        return MeterReading(METER, tick, tick, names, (None, None, None), gaps)
    since, register = (BEGIN, 1_000_000.0) if at < RESET else (RESET, 0.0)
    register += 50 * round((at - since).total_seconds() / INTERVAL_S)
    return MeterReading(METER, tick, tick, names, (register, 600.25, "A1"), {})


def record(path: Path, *, reckoned: bool = True, zone: str = ZONE.key) -> Path:
    """Two and a half days of a meter; unless it says otherwise with its quarter hours."""
    engine = open_new(path)
    profile = MeterProfile(METER, TOPICS, INTERVAL_S, {"timezone": zone, "max_power": 100.0})
    ticks = round((END - BEGIN).total_seconds() / INTERVAL_S)
    found = [reading(BEGIN + timedelta(seconds=n * INTERVAL_S)) for n in range(ticks)]
    store(engine, *found, profiles=[profile], now=BEGIN.astimezone(UTC))
    if reckoned:
        reckon(engine, END.astimezone(UTC) + timedelta(seconds=20))
    engine.dispose()
    return path


def printed(
    capsys: pytest.CaptureFixture[str], database: Path, *tokens: str
) -> tuple[list[str], str]:
    """Lines of a command's output without those that are blank, and what it noted."""
    assert execute([*tokens, f"--db_host={database}"]) == 0
    out, err = capsys.readouterr()
    return [line.strip() for line in out.splitlines() if line.strip()], err


def table(
    capsys: pytest.CaptureFixture[str], database: Path, *tokens: str
) -> tuple[str, list[list[str]]]:
    """The title of a table and its rows, cells apart; the first row has the names."""
    (title, names, _, *rows), _ = printed(capsys, database, *tokens)
    return title, [cells(names), *map(cells, rows)]


def cells(line: str) -> list[str]:
    """The cells of a line that are not empty."""
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def refused(capsys: pytest.CaptureFixture[str], database: Path, *tokens: str) -> str:
    """What a command says that cannot be done; nothing is printed."""
    assert execute([*tokens, f"--db_host={database}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err
