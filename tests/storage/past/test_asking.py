"""Connections for questions: what they see, and what their questions cost the server."""

from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import Engine, event

from emdc.errors import ConfigError
from emdc.storage.instants import to_text
from emdc.storage.past.asking import SHORT, Asker, Asking
from emdc.storage.past.cells_read import cells_of
from emdc.storage.past.chronicle import Chronicle
from emdc.storage.past.raw_values import Slot, numbers_of
from tests.storage.filled import KINDS, fill
from tests.storage.past.test_chronicle import at
from tests.storage.plant import METER, reading, store, tick
from tests.storage.reckoned import reckon

TOPIC = f"{METER}/Voltage_AN"
LOOSE = {
    "postgresql": "SET default_transaction_isolation = 'read committed'",
    "mysql": "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
}
"""Makes a transaction see what others commit between two of its statements."""


@pytest.fixture
def server(emptied_server_engine: Engine) -> Engine:
    return emptied_server_engine


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of all questions from now on."""
    statements: list[str] = []
    rows = Asker.rows

    def noted(asker: Asker, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object]]:
        statements.append(sql)
        return rows(asker, sql, parameters)

    monkeypatch.setattr(Asker, "rows", noted)
    return statements


def test_questions_together_see_one_moment_whatever_the_server_is_set_to(server: Engine) -> None:
    store(server, reading(0))

    def loosen(connection: Any, _record: object) -> None:
        with closing(connection.cursor()) as cursor:
            cursor.execute(LOOSE[server.dialect.name])
        connection.commit()

    def counts(asker: Asker) -> list[int]:
        found = [rows_in(asker)]
        store(server, reading(1))
        return [*found, rows_in(asker)]

    server.dispose()
    event.listen(server, "connect", loosen)
    try:
        with closing(Asking(server)) as asking:
            assert asking.together(counts) == [1, 1]
            assert asking.together(rows_in) == asking.ask(rows_in) == 2
    finally:
        event.remove(server, "connect", loosen)
        server.dispose()


def test_question_that_fails_leaves_no_old_moment_behind(server: Engine) -> None:
    store(server, reading(0))

    def fails(asker: Asker) -> None:
        assert rows_in(asker) == 1
        raise ConfigError("cannot be answered")

    with closing(Asking(server)) as asking:
        with pytest.raises(ConfigError, match="cannot"):
            asking.together(fails)
        store(server, reading(1))
        assert asking.together(rows_in) == 2


def rows_in(asker: Asker) -> int:
    return int(asker.ask("SELECT count(*) FROM readings")[0][0])


def test_newest_value_of_a_topic_named_in_full_is_one_statement(
    server: Engine, asked: list[str]
) -> None:
    store(server, *(reading(n, (n, n / 7, "A")) for n in range(5)))
    with Chronicle(server) as chronicle:
        assert chronicle.newest(TOPIC) == (at(4), 4.0)
        assert len(asked) == 1
        assert chronicle.newest("Voltage_AN") == (at(4), 4.0)


@pytest.mark.parametrize("lasting_server_engine", KINDS[2:], indirect=True)
def test_short_cells_are_joined_without_a_table_on_disk(server: Engine) -> None:
    """PostgreSQL does not join them."""
    store(server, *(reading(60 * n, (n, n / 7, "A")) for n in range(60)))
    reckon(server, tick(3000))

    def tables(asker: Asker) -> int:
        return int(asker.ask("SHOW SESSION STATUS LIKE 'Created_tmp_disk_tables'")[0][1])

    def made(asker: Asker) -> int:
        before = tables(asker)
        times, values = numbers_of(asker, Slot(place.meter_id or 0, place.slot or 0), span)
        assert (len(times), sum(values)) == (60, sum(range(60)))
        cells = cells_of(asker, place, (at(0), at(3600)), ["counts", "means"])
        assert cells.columns["counts"] == [15, 15, 15]
        return tables(asker) - before

    span = (to_text(tick(0)), to_text(tick(3600)))
    with Chronicle(server) as chronicle:
        place = chronicle._book.place(TOPIC)
        assert chronicle._asking.ask(made) == 0


@pytest.mark.parametrize("text", ["5" * 450, "5" * SHORT, f"5{' ' * SHORT}V", f"5,5{'0' * SHORT}"])
def test_long_text_among_numbers_is_not_taken_for_the_number_it_begins_with(
    engine: Engine, server: Engine, text: str
) -> None:
    found = []
    for each in (engine, server):
        fill(each, {TOPIC: {0: 1.5, 60: text, 120: 2.5}})
        with Chronicle(each) as chronicle:
            buckets = chronicle.series(TOPIC, at(0), at(600), step_s=0).buckets
            found.append((chronicle.readings(TOPIC, at(0), at(600), 9), buckets))
    assert found[0] == found[1]
    assert [value for _, value in found[1][0]] == [1.5, text, 2.5]
    assert [bucket.last for bucket in found[1][1]] == [1.5, 2.5]
