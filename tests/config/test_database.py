import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import make_url

from emdc.config.database import Database, check_url, redact, url_password, url_type
from emdc.config.secret import Secret

text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)


@settings(deadline=None, max_examples=50)
@given(user=text, password=text, name=text)
def test_any_password_reaches_the_server_as_it_was_given(
    user: str, password: str, name: str
) -> None:
    database = Database(
        type="postgresql", user=user, password=Secret(password), host="db", port=5, name=name
    )
    url = make_url(database.address())
    assert (url.username, url.password, url.database) == (user, password, name)
    assert (url.drivername, url.host, url.port) == ("postgresql+psycopg", "db", 5)


@settings(deadline=None, max_examples=50)
@given(path=text.filter(lambda path: path != ":memory:"))
def test_any_path_is_the_file_of_sqlite(path: str) -> None:
    assert make_url(Database(host=path).address()).database == path


def test_sqlite_without_a_file_is_in_memory() -> None:
    assert Database().in_memory
    assert Database(url=Secret("sqlite:///:memory:")).in_memory
    assert not Database(host="emdc.db").in_memory
    assert not Database(type="postgresql", host=":memory:").in_memory


def test_an_ipv6_server_stands_in_brackets() -> None:
    url = make_url(Database(type="mysql+pymysql", host="fd00::1", port=3306).address())
    assert (url.host, url.port, url.password) == ("fd00::1", 3306, None)


def test_a_password_beside_a_url_is_put_into_it() -> None:
    url = Secret("postgresql://me@db/energy?sslmode=require")
    address = Database(type="postgresql", url=url, password=Secret("p@:/ß")).address()
    assert make_url(address).password == "p@:/ß"
    assert make_url(address).query == {"sslmode": "require"}


@pytest.mark.parametrize(
    "database",
    [
        Database(type="postgresql", password=Secret("hunter2"), host="db"),
        Database(url=Secret("mysql+pymysql://me:hunter2@db/x")),
        Database(url=Secret("postgresql://me@db/x"), password=Secret("hunter2")),
    ],
)
def test_a_shown_address_has_no_password(database: Database) -> None:
    assert "hunter2" not in database.redacted() + repr(database)
    assert ":***@" in database.redacted()
    assert "hunter2" in database.address()


def test_an_address_without_a_password_is_shown_whole() -> None:
    assert redact("postgresql://me@db:5/x") == "postgresql://me@db:5/x"
    assert Database(host="a.db").redacted() == "sqlite:///a.db"


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///emdc.db",
        "sqlite:////var/lib/emdc/emdc.db?timeout=5",
        "postgresql://me:p%40%2F@db.example.org:5432/energy",
        "postgresql+psycopg://me@[fd00::1]:5432/energy",
        "mysql+mysqlconnector://me:pw@my_db/energy?charset=utf8mb4",
    ],
)
def test_an_address_of_a_known_database_is_taken(url: str) -> None:
    check_url(url)
    assert make_url(Database(url=Secret(url)).address()).database == make_url(url).database


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("hunter2", "no type of database"),
        ("me:hunter2@db/x", "no type of database"),
        ("oracle://me:hunter2@db/x", "'oracle' is no known type"),
        ("postgresql://me:hunter2@db", "no name of a database"),
        ("postgresql://me:hunter2@db/", "no name of a database"),
        ("postgresql:///x", "no host"),
        ("postgresql://me:hunter2@x@db/x", "not readable"),
        ("postgresql://me:hunter2/x@db/x", "not readable"),
        ("postgresql://me:hunter2#x@db/x", "not readable"),
        ("postgresql://me:hunter2?x@db/x", "not readable"),
        ("postgresql://me:hunter2%x@db/x", "not readable"),
        ("postgresql://me:hunter2@db:port/x", "not readable"),
        ("sqlite://hunter2.db", "no file"),
        ("postgresql://me@db/x?password=hunter2", "a password behind the question mark"),
        ("postgresql://me@db/x?a=1&sslPassword=hunter2", "a password behind the question mark"),
    ],
)
def test_another_address_is_refused_without_showing_it(url: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        check_url(url)
    assert "hunter2" not in str(caught.value)


def test_a_url_tells_its_type_and_password() -> None:
    assert url_type("postgresql+psycopg://me@db/x") == "postgresql"
    assert url_type("mysql+pymysql://me@db/x") == "mysql+pymysql"
    assert url_password("postgresql://me:a%40b@db/x") == "a@b"
    assert url_password("postgresql://me@db/x") == ""
