import logging

import pytest
from sqlalchemy import Engine

from tests.storage.plant import profile, reading, store


def test_conflict_is_logged_with_its_tick_and_the_head_of_both_rows(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = tuple(f"V{n}" for n in range(100))
    for volts in (120.5, 121.5):
        written = reading(0, (volts,) * 100, metrics=metrics)
        with caplog.at_level(logging.WARNING, "emdc.storage.store"):
            store(engine, written, profiles=[profile(metrics=metrics)])
    (record,) = (r for r in caplog.records if r.msg == "reading differs from the stored one")
    facts = vars(record)
    assert facts["tick"] == "2026-03-01 12:00:00.000000"
    assert [len(facts["kept"]), len(facts["new"])] == [200, 200]
    assert facts["kept"].startswith("[120.5,")
    assert facts["new"].startswith("[121.5,")
