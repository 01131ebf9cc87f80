from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.errors import ConfigError, SchemaError, StorageError
from emdc.storage.database import connected
from emdc.storage.existing import open_existing, require_head
from tests.storage.plant import execute, rows


@pytest.mark.parametrize("write", [False, True])
def test_a_file_that_is_not_there_is_not_made(write: bool, path: Path) -> None:
    with pytest.raises(ConfigError, match=r"emdc\.db: no such file"):
        open_existing(f"sqlite:///{path}", write=write)
    assert not path.exists()


@pytest.mark.parametrize("name", ["plain.db", "a?b#c%41 d.db"])
def test_a_file_is_read_and_cannot_be_written(name: str, engine: Engine, path: Path) -> None:
    engine.dispose()
    named = path.rename(path.with_name(name))
    opened = open_existing(str(engine.url.set(database=str(named), query={})))
    require_head(opened, "sqlite:///x")
    with (
        pytest.raises(StorageError, match=r"^sqlite:///.*readonly"),
        connected(opened) as connection,
    ):
        connection.exec_driver_sql("INSERT INTO meters VALUES (1, 'a')")
    opened.dispose()


def test_for_writing_it_can_be_written(engine: Engine, path: Path) -> None:
    opened = open_existing(f"sqlite:///{path}", write=True)
    with connected(opened, write=True) as connection:
        connection.exec_driver_sql("INSERT INTO meters VALUES (1, 'a')")
    opened.dispose()
    assert rows(path, "SELECT name FROM meters") == [("a",)]


@pytest.mark.parametrize(
    ("revision", "said"),
    [("54207f6995cd", "run emdc migrate with the same flags"), ("abc", "a newer version made")],
)
def test_another_revision_says_what_to_run(
    revision: str, said: str, engine: Engine, path: Path
) -> None:
    execute(path, f"UPDATE alembic_version SET version_num = '{revision}'")
    with pytest.raises(SchemaError, match=f"revision {revision}.*{said}"):
        require_head(engine, f"sqlite:///{path}")


def test_a_file_that_is_no_database_is_an_error(path: Path) -> None:
    path.write_bytes(b"these are my notes " * 100)
    opened = open_existing(f"sqlite:///{path}")
    with pytest.raises(StorageError, match="not a database"):
        require_head(opened, f"sqlite:///{path}")
    opened.dispose()


def test_a_file_that_is_no_database_is_named_as_it_was_given(path: Path) -> None:
    path.write_bytes(b"these are my notes " * 100)
    opened = open_existing(f"sqlite:///{path}")
    with pytest.raises(StorageError) as error, connected(opened):
        pass
    expected = "not a database of SQLite, expected one that EMDC has written"
    assert str(error.value) == f"database {path}: {expected}"
    opened.dispose()


def test_a_file_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "my meters.db"
    with pytest.raises(ConfigError, match="--db_host") as error:
        open_existing(f"sqlite:///{path}")
    assert str(error.value).endswith(f"; emdc run --db_host='{path}' makes one")


def test_a_server_is_read_and_waited_for(server_url: str) -> None:
    opened = open_existing(server_url)
    with connected(opened) as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar() == 1
    with pytest.raises(SchemaError, match="revision none"):
        require_head(opened, server_url)
    opened.dispose()
