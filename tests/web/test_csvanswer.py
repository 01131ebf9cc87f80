"""Answers as CSV, by HTTP from a real database."""

import csv
import io
import logging

import httpx
import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from emdc.cli.csvfile import instant_of, topic_of, value_of
from emdc.storage.instants import to_text
from emdc.storage.past import chronicle
from emdc.web import history
from tests.web.site import served
from tests.web.stored import FIRMWARE, MINUTES, SILENT, TEXT, VOLTS, minute, spoil, stored_site
from tests.web.test_history import COLUMNS, get

CSV = {"Accept": "text/csv"}

Client = TestClient[Litestar]


def table(client: Client, query: str, **headers: str) -> list[list[str]]:
    answer = client.get(f"/history?{query}", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text.count("\r\n") == answer.text.count("\n")
    return list(csv.reader(io.StringIO(answer.text, newline="")))


def test_csv_has_the_rows_of_all_pages(client: Client) -> None:
    query = f"topic={VOLTS}&start=-2d&step=10min"
    header, *rows = table(client, f"{query}&limit=7", **CSV)
    assert header == COLUMNS
    assert rows == table(client, f"{query}&format=csv")[1:]
    whole = get(client, start="-2d", step="10min")["rows"]
    assert [[at, int(n), *map(float, rest)] for at, n, *rest in rows] == whole
    assert table(client, f"topic={VOLTS}&format=csv")[1:] == [
        list(map(str, row)) for row in get(client)["rows"]
    ]


def test_csv_of_readings_is_what_export_writes_and_import_reads(client: Client) -> None:
    header, *rows = table(client, f"topic={TEXT}&start=-2d&step=0&format=csv")
    assert header == ["ts", "topic", "value"]
    assert rows[0][2] == f"'{FIRMWARE}"
    there = [n for n in range(MINUTES) if n not in SILENT]
    assert [
        (instant_of(at), topic_of(topic), value_of(value, is_text=True))
        for at, topic, value in rows
    ] == [(to_text(minute(n)), TEXT, FIRMWARE) for n in there]


def test_format_is_stronger_than_the_accept_header(client: Client) -> None:
    query = f"topic={VOLTS}&start=-1h"
    both = {"Accept": "text/csv;q=0.5, application/json"}
    assert client.get(f"/history?{query}", headers=both).json()["topic"] == VOLTS
    assert client.get(f"/history?{query}&format=json", headers=CSV).json()["topic"] == VOLTS
    named = client.get(f"/history?{query}", headers=CSV).headers["content-disposition"]
    assert named == 'attachment; filename="UW_Mercer_nexus_meter_Voltage_AN.csv"'


@pytest.mark.parametrize("form", ["json", "csv"])
def test_head_has_the_status_and_type_of_get(client: Client, form: str) -> None:
    address = f"/history?topic={VOLTS}&format={form}"
    got, head = client.get(address), client.head(address)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == got.headers["content-type"]


def test_csv_breaks_off_when_the_database_fails_on_the_way(
    own: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(history, "_LINES_AT_ONCE", 100)
    monkeypatch.setattr(chronicle, "PAGE_ROWS", 100)
    spoil(own, f"UPDATE readings SET vals = '[1,' WHERE ts = '{to_text(minute(2000))}'")
    came: list[bytes] = []
    with served(stored_site(own).app()) as address:
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)
        whole = f"{address}/history?topic={VOLTS}&start=-2d&step=0&format=csv"
        with httpx.stream("GET", whole, trust_env=False) as answer:
            assert answer.status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                came.extend(answer.iter_raw())
        assert httpx.get(f"{address}/ping", trust_env=False).status_code == 200
    assert b"".join(came).count(b"\r\n") >= 1900
    assert [record.message for record in caplog.records if record.name == "emdc.web"] == [
        "an answer broke off"
    ]
    assert not any(record.exc_info for record in caplog.records)


def test_head_of_a_csv_reads_no_further_than_its_first_page(
    own: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(history, "_LINES_AT_ONCE", 100)
    monkeypatch.setattr(chronicle, "PAGE_ROWS", 100)
    spoil(own, f"UPDATE readings SET vals = '[1,' WHERE ts = '{to_text(minute(2000))}'")
    with stored_site(own).client() as client:
        answer = client.head(f"/history?topic={VOLTS}&start=-2d&step=0&format=csv")
    assert answer.status_code == 200
    assert caplog.records == []


def test_a_long_csv_leaves_in_pieces_and_ends_with_the_client(
    own: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history, "_LINES_AT_ONCE", 10)
    with served(stored_site(own).app()) as address:
        whole = f"{address}/history?topic={VOLTS}&start=-2d&step=0&format=csv"
        with httpx.stream("GET", whole, trust_env=False) as answer:
            first = next(answer.iter_raw())
        assert first.startswith(b"ts,topic,value\r\n")
        assert first.count(b"\r\n") < MINUTES / 2
        assert httpx.get(whole, trust_env=False).text.count("\r\n") == MINUTES + 1 - len(SILENT)
