"""How stored history is asked: not on the event loop, and what comes of a database that fails."""

import threading
import time
from pathlib import Path

import pytest

from emdc.storage.database import open_engine
from emdc.storage.migrate import prepare
from tests.web.site import NEXUS
from tests.web.stored import ENERGY, VOLTS, fill, opened, spoil, stored_site
from tests.web.test_history import get


@pytest.mark.parametrize(
    "path",
    [
        f"/history?topic={VOLTS}",
        f"/history?topic={VOLTS}&format=csv",
        f"/history?topic={VOLTS}&step=0",
        f"/energy?topic={ENERGY}",
        f"/energy/today?meter={NEXUS}",
        f"/gaps?meter={NEXUS}",
        "/epochs",
        "/topics?search=w",
    ],
)
def test_a_database_that_fails_is_503_with_the_reason(tmp_path: Path, path: str) -> None:
    empty = opened(tmp_path / "emdc.db")
    for name in ("topics", "counter_epochs"):
        spoil(empty, f"ALTER TABLE {name} RENAME TO {name}_elsewhere")
    with stored_site(empty).client() as client:
        answer = client.get(path)
    empty.dispose()
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert "no such table" in answer.json()["detail"]


def test_a_database_in_memory_answers() -> None:
    engine = open_engine("sqlite://")
    prepare(engine)
    fill(engine)
    with stored_site(engine).client() as client:
        assert len(get(client, start="-1h")["rows"]) == 60
        assert client.get(f"/energy?topic={ENERGY}&per=total&start=-1h").json()["periods"][0]
    engine.dispose()


def test_questions_that_wait_hold_up_nothing_else_and_two_are_asked_at_a_time() -> None:
    engine = open_engine("sqlite://")
    prepare(engine)
    fill(engine)
    before = set(threading.enumerate())
    statuses: list[int] = []
    with stored_site(engine).client() as client:
        query = f"/history?topic={VOLTS}&start=-1h"

        def ask() -> None:
            statuses.append(client.get(query).status_code)

        asking = [threading.Thread(target=ask, name="client") for _ in range(5)]
        with engine.connect():  # the one connection: whoever else wants it waits
            for thread in asking:
                thread.start()
            assert [client.get("/ping").status_code for _ in range(5)] == [200] * 5
            deadline = time.monotonic() + 20
            while len(working(before)) < 2 and time.monotonic() < deadline:
                client.get("/ping")
            assert len(working(before)) == 2
            assert statuses == []
        for thread in asking:
            thread.join(20)
    assert statuses == [200] * 5
    engine.dispose()


def working(before: set[threading.Thread]) -> list[threading.Thread]:
    new = set(threading.enumerate()) - before
    return [thread for thread in new if thread.name.startswith("emdc-history")]
