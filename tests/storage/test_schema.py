from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect

from emdc.storage import ddl, schema
from emdc.storage.database import open_engine
from emdc.storage.layout import ReadingRow
from emdc.storage.migrate import SCRIPTS, current, prepare, upgrade
from tests.storage.plant import execute, rows

ROOT = Path(__file__).parents[2]


@pytest.fixture
def migrated(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/migrated.db")
    upgrade(engine)
    yield engine
    engine.dispose()


def shape(engine: Engine) -> dict[str, object]:
    seen = inspect(engine)
    tables: dict[str, object] = {
        table: (
            [(c["name"], str(c["type"]), c["nullable"]) for c in seen.get_columns(table)],
            seen.get_pk_constraint(table)["constrained_columns"],
            sorted((i["name"], i["column_names"], i["unique"]) for i in seen.get_indexes(table)),
            sorted(c["column_names"] for c in seen.get_unique_constraints(table)),
            sorted(key["constrained_columns"] for key in seen.get_foreign_keys(table)),
        )
        for table in seen.get_table_names()
    }
    return tables | {view: seen.get_view_definition(view) for view in seen.get_view_names()}


def test_new_database_equals_a_migrated_one(engine: Engine, migrated: Engine) -> None:
    assert shape(engine) == shape(migrated)


def test_sql_script_makes_the_same_database(migrated: Engine, tmp_path: Path) -> None:
    path = tmp_path / "script.db"
    execute(path, (ROOT / "sql" / "sqlite.sql").read_text())
    scripted = open_engine(f"sqlite:///{path}")
    assert shape(scripted) == shape(migrated)
    assert current(scripted) == schema.HEAD
    prepare(scripted)
    scripted.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb", "mysql"])
def test_sql_script_is_up_to_date(kind: str) -> None:
    written = (ROOT / "sql" / f"{kind}.sql").read_text()
    assert written == ddl.script(kind), f"run: python -m emdc.storage.ddl {kind} > sql/{kind}.sql"


def test_revisions_are_those_of_the_scripts_in_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("path_separator", "os")
    walked = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert tuple(reversed(walked)) == schema.REVISIONS


def test_columns_stand_in_the_order_in_which_mysql_is_given_their_values() -> None:
    stand = {
        table.name: tuple(c.name for c in table.columns if c.info.get(schema.ONLY) is None)
        for table in (schema.readings, schema.gaps)
    }
    assert stand["readings"] == ReadingRow._fields
    assert stand["gaps"] == ("meter_id", "from_ts", "to_ts", "reason")


def test_new_database_names_the_volttron_tables(engine: Engine, path: Path) -> None:
    named = rows(path, "SELECT * FROM volttron_table_definitions")
    assert sorted(named) == sorted(schema.VOLTTRON_TABLES)
