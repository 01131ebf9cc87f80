"""What a server's administrator has set changes nothing in what is kept; what is wrong is named."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import URL, make_url

from emdc.errors import StorageError
from emdc.reading import MeterReading
from emdc.storage.database import connected, open_engine
from emdc.storage.migrate import prepare
from emdc.storage.past.history import latest_readings
from tests.program import free_port
from tests.servers import fresh, private
from tests.storage.plain import ask
from tests.storage.plant import NOON, profile, reading, store

SECRET = "correct-horse"
DRIVERS = ["mysql+pymysql", "mysql+mysqlconnector"]


def kept(url: str | URL, *readings: MeterReading) -> list[MeterReading]:
    """What the last of these readings is after it was stored."""
    engine = open_engine(url)
    try:
        prepare(engine)
        store(engine, *readings)
        return latest_readings(engine, [profile()])
    finally:
        engine.dispose()


@contextmanager
def setting(url: str, name: str, value: str) -> Iterator[None]:
    """A setting of a MariaDB server that new connections get."""
    before = ask(url, f"SELECT @@GLOBAL.{name}")[0][0]
    ask(url, f"SET GLOBAL {name} = '{value}'")
    try:
        yield
    finally:
        ask(url, f"SET GLOBAL {name} = '{before}'")


@pytest.fixture(scope="module")
def own_mariadb() -> Iterator[str]:
    """A MariaDB server with a small packet, whose settings are nobody else's."""
    with (
        private("mariadb", options=["--max-allowed-packet=1M"]) as started,
        fresh(started.server) as url,
    ):
        yield url


@pytest.fixture(params=DRIVERS)
def own_url(request: pytest.FixtureRequest, own_mariadb: str) -> Iterator[str]:
    """An empty database of it, through each driver."""
    server = make_url(own_mariadb)
    name = f"{server.database}_own"
    ask(own_mariadb, f"CREATE DATABASE {name}")
    url = server.set(drivername=request.param, database=name)
    yield url.render_as_string(hide_password=False)
    ask(own_mariadb, f"DROP DATABASE {name}")


@pytest.mark.parametrize("server_url", ["postgresql"], indirect=True)
def test_settings_of_a_postgresql_database_change_nothing(server_url: str) -> None:
    name = make_url(server_url).database
    ask(server_url, f"ALTER DATABASE {name} SET timezone = 'Australia/Lord_Howe'")
    ask(server_url, f"ALTER DATABASE {name} SET datestyle = 'German, DMY'")
    ask(server_url, f"ALTER DATABASE {name} SET extra_float_digits = -5")
    ask(server_url, f"ALTER DATABASE {name} SET synchronous_commit = off")
    ask(server_url, f"ALTER DATABASE {name} SET client_encoding = 'LATIN1'")
    ask(server_url, f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    written = reading(0, (120.123456, 7, "A1 ☃"))
    assert kept(server_url, written) == [written]
    assert ask(server_url, "SELECT ts FROM readings")[0][0] == NOON
    engine = open_engine(server_url)
    with connected(engine) as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"
    engine.dispose()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time_zone", "+10:30"),
        ("sql_mode", "ANSI,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT"),
        ("sql_mode", "ORACLE"),
        ("sql_mode", ""),
        ("tx_isolation", "SERIALIZABLE"),
        ("tx_isolation", "READ-UNCOMMITTED"),
        ("character_set_server", "latin1"),
        ("collation_connection", "latin1_swedish_ci"),
    ],
)
def test_setting_of_a_mariadb_server_changes_nothing(own_url: str, name: str, value: str) -> None:
    written = reading(0, (120.5, 7, "a\\b\"c'☃\U0001f50c"))
    with setting(own_url, name, value):
        assert kept(own_url, written) == [written]
    assert ask(own_url, "SELECT ts FROM readings")[0][0] == NOON.replace(tzinfo=None)


def test_many_readings_go_in_several_statements_where_packets_are_small(own_url: str) -> None:
    metrics = tuple(f"V{n}" for n in range(100))
    values = tuple(100.123456 + n for n in range(100))
    written = [reading(at, values, metrics=metrics) for at in range(3000)]
    engine = open_engine(own_url)
    prepare(engine)
    status = store(engine, *written, profiles=[profile(metrics=metrics)])
    assert (status.stored, status.conflicts, status.ok) == (3000, 0, True)
    status = store(engine, *written, profiles=[profile(metrics=metrics)])
    assert (status.stored, status.conflicts) == (0, 0)
    engine.dispose()
    assert ask(own_url, "SELECT count(*) FROM readings") == [(3000,)]


def test_reading_longer_than_a_packet_is_refused_alone(own_url: str) -> None:
    engine = open_engine(own_url)
    prepare(engine)
    longest = reading(1, (1.0, 7, "x" * 2_000_000))
    with pytest.raises(StorageError, match="max_allowed_packet"):
        store(engine, reading(0), longest, reading(2))
    engine.dispose()
    assert ask(own_url, "SELECT count(*) FROM readings") == [(2,)]
    assert ask(own_url, "SELECT count(*) FROM gaps WHERE reason = 'poison_row'") == [(1,)]


@pytest.mark.parametrize("fill", ["\\", "'", "☃", "\0"])
def test_reading_of_nearly_a_packet_is_taken_whatever_its_characters(
    own_url: str, fill: str
) -> None:
    # Each may take two to six bytes in the statement.
    written = reading(0, (1.0, 7, fill * 80_000))
    assert kept(own_url, written) == [written]


@pytest.mark.parametrize("server_url", DRIVERS, indirect=True)
def test_password_may_have_any_characters(server_url: str) -> None:
    role, password = f"emdc_speaker_{free_port()}", "pä ☃:@/%\U0001f50c"
    ask(server_url, f"CREATE USER {role}@'%' IDENTIFIED BY '{password}'")
    try:
        open_engine(
            make_url(server_url).set(username=role, password=password, database="")
        ).dispose()
    finally:
        ask(server_url, f"DROP USER {role}@'%'")


def test_password_that_is_wrong_is_an_error_without_it(server_url: str) -> None:
    role = f"emdc_stranger_{free_port()}"
    url = make_url(server_url)
    postgresql = server_url.startswith("postgresql")
    if postgresql:
        made, dropped = f"CREATE ROLE {role}", f"DROP ROLE {role}"  # without LOGIN
    else:
        made, dropped = f"CREATE USER {role}@'%' IDENTIFIED BY 'other'", f"DROP USER {role}@'%'"
    ask(url, made)
    try:
        with pytest.raises(StorageError) as caught:
            open_engine(url.set(username=role, password=SECRET))
    finally:
        ask(url, dropped)
    said = str(caught.value)
    assert f"{role}:***@127.0.0.1:{url.port}/{url.database}: " in said
    assert ("not permitted to log in" if postgresql else "Access denied") in said
    assert SECRET not in said


def test_database_that_is_missing_is_an_error_that_names_it(server_url: str) -> None:
    url = make_url(server_url).set(database="emdc_nowhere")
    with pytest.raises(StorageError, match=r"(?i)emdc_nowhere.*(does not exist|unknown database)"):
        open_engine(url)


def test_port_without_a_server_is_an_error_that_names_the_address(server_url: str) -> None:
    port = free_port()
    url = make_url(server_url).set(password=SECRET, port=port)
    with pytest.raises(StorageError) as caught:
        open_engine(url)
    assert f"***@127.0.0.1:{port}/" in str(caught.value)
    assert "refused" in str(caught.value)
    assert SECRET not in str(caught.value)
