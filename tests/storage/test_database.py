from pathlib import Path

import pytest
from sqlalchemy import URL, Engine

from emdc.errors import ConfigError, StorageError
from emdc.storage.database import connected, is_memory, make_engine, open_engine
from emdc.storage.urls import shown


def pragma(engine: Engine, name: str) -> object:
    with connected(engine) as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def test_sqlite_file_is_opened_with_wal_and_full_sync(engine: Engine) -> None:
    settings = {name: pragma(engine, name) for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert pragma(engine, "foreign_keys") == 1


def test_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    open_engine(f"sqlite:///{path}").dispose()


def test_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no directory .*nowhere, create it"):
        open_engine(f"sqlite:///{tmp_path}/nowhere/emdc.db")


def test_directory_is_no_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        open_engine(f"sqlite:///{tmp_path}")


def test_other_file_is_no_database_and_stays_as_it_is(path: Path) -> None:
    path.write_text("dear diary, " * 100)
    with pytest.raises(StorageError, match="not a database: it is kept as it is"):
        open_engine(f"sqlite:///{path}")
    assert path.read_text() == "dear diary, " * 100


def test_read_only_database_is_an_error_at_start(path: Path) -> None:
    open_engine(f"sqlite:///{path}").dispose()
    with pytest.raises(StorageError, match="readonly"):
        open_engine(f"sqlite:///file:{path}?mode=ro&uri=true")


def test_unknown_engine_names_what_is_known() -> None:
    with pytest.raises(ConfigError, match="oracle is not supported, expected sqlite"):
        open_engine("oracle://scott:tiger@db/emdc")


@pytest.mark.parametrize("url", ["emdc.db", "", "sqlite://secret@:x:y/", "secret://["])
def test_text_that_is_no_url_is_not_shown(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_engine(url)
    assert "secret@" not in str(caught.value)


def test_password_is_never_shown() -> None:
    url = URL.create("postgresql", username="u", password="hunter2", host="db")
    assert shown(url) == "postgresql://u:***@db"


def test_memory_database_is_one_for_all_connections() -> None:
    engine = open_engine("sqlite:///:memory:")
    assert is_memory(engine)
    with connected(engine, write=True) as connection:
        connection.exec_driver_sql("CREATE TABLE t (x)")
    with connected(engine) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM t").scalar() == 0
    engine.dispose()


def test_failed_transaction_leaves_nothing_even_of_ddl(engine: Engine) -> None:
    def half() -> None:
        with connected(engine, write=True) as connection:
            connection.exec_driver_sql("CREATE TABLE t (x)")
            connection.exec_driver_sql("SELECT * FROM missing")

    with pytest.raises(StorageError, match="no such table"):
        half()
    with connected(engine) as connection:
        found = connection.exec_driver_sql("SELECT 1 FROM sqlite_master WHERE name = 't'").first()
    assert found is None


def test_errors_carry_no_values(engine: Engine) -> None:
    with pytest.raises(StorageError) as caught, connected(engine) as connection:
        connection.exec_driver_sql("INSERT INTO meters VALUES (?, ?)", (None, None))
    assert "[SQL" not in str(caught.value)


@pytest.mark.parametrize("url", ["mysql+pymysql://me@db/x", "mysql+mysqlconnector://me@db/x"])
def test_option_that_the_driver_does_not_know_is_named(url: str) -> None:
    with pytest.raises(ConfigError, match=r"'colour', expected only options that .* knows"):
        open_engine(f"{url}?colour=red")


@pytest.mark.parametrize("text", [None, "", "dear diary"])
@pytest.mark.parametrize("driver", ["postgresql+psycopg", "mysql+pymysql", "mysql+mysqlconnector"])
def test_authority_without_a_certificate_is_named(
    driver: str, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=f"tls_ca {file}: .*expected a PEM file"):
        make_engine(f"{driver}://me@db/emdc", tls_ca=file)
