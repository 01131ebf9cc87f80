from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest
from sqlalchemy import make_url

from emdc.errors import StorageError
from emdc.storage.database import connected, open_engine
from tests.server_programs import Kind
from tests.servers import Certificates, Server, certificates, private

SECRET: Final = "sesame"
ELSEWHERE: Final = "127.0.0.2"
"""To this program another machine: not one of the names of this one."""
LISTEN: Final[dict[Kind, tuple[str, ...]]] = {
    "postgresql": ("-c", f"listen_addresses=127.0.0.1,{ELSEWHERE}"),
    "mariadb": (f"--bind-address=127.0.0.1,{ELSEWHERE}",),
}
CIPHER: Final[dict[Kind, str]] = {
    "postgresql": "SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "mariadb": "SELECT variable_value FROM information_schema.session_status"
    " WHERE variable_name = 'Ssl_cipher'",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def servers(made: Certificates) -> Iterator[dict[tuple[Kind, str], Server]]:
    """By kind: one whose certificate is right, one with another name in it, one without TLS."""
    given = {"right": made.server, "misnamed": made.misnamed, "plain": None}
    with ExitStack() as stack:
        yield {
            (kind, name): stack.enter_context(private(kind, tls=tls, options=options)).server
            for kind, options in LISTEN.items()
            for name, tls in given.items()
        }


@pytest.fixture(params=["postgresql+psycopg", "mysql+pymysql", "mysql+mysqlconnector"])
def driver(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


def kind_of(driver: str) -> Kind:
    return "postgresql" if driver.startswith("postgresql") else "mariadb"


def cipher(server: Server, driver: str, *, ca: Path | None = None, **parts: Any) -> str | None:
    """What a connection is encrypted with; nothing when it is not. `parts` of its URL differ."""
    url = make_url(server.url("postgres" if server.kind == "postgresql" else "mysql"))
    engine = open_engine(url.set(drivername=driver, **parts), tls_ca=ca)
    try:
        with connected(engine) as connection:
            found: str | None = connection.exec_driver_sql(CIPHER[server.kind]).scalar()
            return found
    finally:
        engine.dispose()


Servers: TypeAlias = Mapping[tuple[Kind, str], Server]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_server_with_the_right_certificate_is_spoken_to_in_tls(
    servers: Servers, driver: str, made: Certificates, host: str
) -> None:
    assert cipher(servers[kind_of(driver), "right"], driver, ca=made.ca, host=host)


def test_certificate_of_another_authority_is_refused(
    servers: Servers, driver: str, made: Certificates
) -> None:
    with pytest.raises(StorageError, match=r"(?i)certificate.verify.failed"):
        cipher(servers[kind_of(driver), "right"], driver, ca=made.other_ca)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_certificate_with_another_name_is_refused(
    servers: Servers, driver: str, made: Certificates, host: str
) -> None:
    with pytest.raises(StorageError, match=r"mismatch|does not match"):
        cipher(servers[kind_of(driver), "misnamed"], driver, ca=made.ca, host=host)


def test_server_at_an_address_that_its_certificate_does_not_name_is_refused(
    servers: Servers, driver: str, made: Certificates
) -> None:
    with pytest.raises(StorageError, match=r"mismatch|does not match"):
        cipher(servers[kind_of(driver), "right"], driver, ca=made.ca, host=ELSEWHERE)


def test_server_without_tls_is_refused_when_an_authority_is_given(
    servers: Servers, driver: str, made: Certificates
) -> None:
    with pytest.raises(StorageError, match="SSL"):
        cipher(servers[kind_of(driver), "plain"], driver, ca=made.ca)


WEAKENED: Final[dict[Kind, dict[str, str]]] = {
    "postgresql": {"sslmode": "disable"},
    "mariadb": {"ssl_disabled": "true"},
}


def test_url_cannot_turn_off_what_an_authority_asks_for(
    servers: Servers, driver: str, made: Certificates
) -> None:
    query = WEAKENED[kind_of(driver)]
    assert cipher(servers[kind_of(driver), "right"], driver, ca=made.ca, query=query)
    with pytest.raises(StorageError):
        cipher(servers[kind_of(driver), "misnamed"], driver, ca=made.ca, query=query)


def test_refusal_names_the_address_without_the_password(
    servers: Servers, driver: str, made: Certificates
) -> None:
    server = servers[kind_of(driver), "misnamed"]
    with pytest.raises(StorageError) as raised:
        cipher(server, driver, ca=made.ca, password=SECRET)
    assert f"@127.0.0.1:{server.port}/" in str(raised.value)
    assert SECRET not in str(raised.value)


def test_another_machine_is_spoken_to_in_tls_where_it_can(servers: Servers, driver: str) -> None:
    for name, encrypted in (("right", True), ("misnamed", True), ("plain", False)):
        found = cipher(servers[kind_of(driver), name], driver, host=ELSEWHERE)
        assert bool(found) is encrypted


def test_this_machine_is_spoken_to_in_the_clear_unless_the_url_asks_for_tls(
    servers: Servers, driver: str, made: Certificates
) -> None:
    server = servers[kind_of(driver), "right"]
    key = "sslrootcert" if server.kind == "postgresql" else "ssl_ca"
    assert not cipher(server, driver)
    assert cipher(server, driver, query={key: str(made.ca)})
