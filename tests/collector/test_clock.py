import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from emdc.collector.clock import Clock
from emdc.errors import EmdcError
from tests.program import PATIENCE_S, meter_flags

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRONG = [datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)]


class Times:
    """What both clocks of a machine say."""

    def __init__(self, wall: datetime) -> None:
        self.wall = wall
        self.seconds = 7.0
        self.clock = Clock(lambda: self.wall, lambda: self.seconds)


def test_a_clock_that_can_be_right_is_followed_in_both_directions() -> None:
    times = Times(NOON)
    for wall in (NOON, NOON + timedelta(days=300), NOON - timedelta(days=300)):
        times.wall = wall
        assert times.clock() == wall
    times.clock.check()


@pytest.mark.parametrize("wrong", WRONG)
def test_nothing_starts_while_the_clock_cannot_be_right(wrong: datetime) -> None:
    times = Times(wrong)
    with pytest.raises(EmdcError, match=f"says {wrong.year}-01-01, expected a day from 2025"):
        times.clock.check()
    times.wall = NOON
    times.clock.check()


@pytest.mark.parametrize("wrong", WRONG)
def test_time_goes_on_from_what_was_believed_while_the_clock_is_wrong(
    wrong: datetime, caplog: pytest.LogCaptureFixture
) -> None:
    times = Times(NOON)
    times.clock()
    times.wall = wrong
    with caplog.at_level(logging.ERROR):
        for passed in (1, 2, 90):
            times.seconds = 7.0 + passed
            assert times.clock() == NOON + timedelta(seconds=passed)
    assert [record.getMessage() for record in caplog.records] == [
        "the clock cannot be right and is not followed"
    ]
    times.wall = NOON + timedelta(seconds=91)
    assert times.clock() == times.wall


@pytest.mark.parametrize("wrong", WRONG)
def test_a_daemon_in_a_wrong_century_ends_with_1_and_makes_no_database(
    wrong: datetime, tmp_path: Path
) -> None:
    code = (
        "import datetime, emdc.cli, emdc.daemon\n"
        "from emdc.collector.clock import Clock\n"
        f"wall = datetime.datetime.fromisoformat('{wrong.isoformat()}')\n"
        "emdc.daemon.utc_now = Clock(lambda: wall, lambda: 0.0)\n"
        "emdc.cli.main()"
    )
    flags = ("run", *meter_flags(1, "--port=0", "--db_host=emdc.db", "--panel_interval=1"))
    ended = subprocess.run(
        [sys.executable, "-c", code, *flags],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(f"emdc: the clock of this machine says {wrong.year}-01-01")
    assert list(tmp_path.iterdir()) == []
