import sqlite3

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from emdc.storage.urls import reason, shown


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("sqlite:////var/lib/emdc/emdc.db", "sqlite:////var/lib/emdc/emdc.db"),
        ("postgresql+psycopg://u:hunter2@db/emdc", "postgresql+psycopg://u:***@db/emdc"),
        ("mysql+pymysql://u:a%40b%2Fc@[::1]:3307/emdc", "mysql+pymysql://u:***@[::1]:3307/emdc"),
        ("mysql+pymysql://u@db/emdc", "mysql+pymysql://u@db/emdc"),
    ],
)
def test_address_is_shown_without_its_password(address: str, expected: str) -> None:
    assert shown(make_url(address)) == expected


def test_reason_is_what_the_driver_said_in_one_line() -> None:
    said = sqlite3.OperationalError("disk  I/O\n\terror\n")
    wrapped = OperationalError("INSERT INTO t VALUES (?)", ("secret",), said)
    assert reason(wrapped) == "disk I/O error"
    assert reason(ValueError("no\nmore")) == "no more"


def test_reason_of_an_error_that_says_nothing_is_empty() -> None:
    assert reason(TimeoutError()) == ""
