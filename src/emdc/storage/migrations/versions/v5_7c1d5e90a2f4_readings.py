"""A reading is a row: meters, readings, gaps and schedules; `data` becomes a view.

Old rows keep their text in `data_old`, and the zone of their times is in `data_old_zone`. Without
old rows neither table stays. Revision 7c1d5e90a2f4, after 54207f6995cd.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op
from sqlalchemy.dialects import mysql, postgresql

from emdc.errors import SchemaError
from emdc.storage import old_rows, steps
from emdc.storage.columns import LONG_TEXT, MYSQL_TABLE, SECONDS, Instant, SlotValues
from emdc.storage.engines.views import VIEW_NAMES, engine_name, view_statements

revision = "7c1d5e90a2f4"
down_revision = "54207f6995cd"
branch_labels = None
depends_on = None

_TIMESTAMP = sa.TIMESTAMP().with_variant(mysql.TIMESTAMP(fsp=6), *steps.MYSQL)


def upgrade() -> None:
    """Create the new tables, set the old readings aside and put the views in their place."""
    with_old_rows = _set_old_rows_aside()
    for table in ("topics", "meta", "volttron_table_definitions", "alembic_version"):
        change = "ENGINE=InnoDB ROW_FORMAT=DYNAMIC, CONVERT TO CHARACTER SET utf8mb4"
        steps.alter_mysql(table, f"{change} COLLATE utf8mb4_bin", "text in utf8mb4")
    steps.alter_mysql("meta", "MODIFY metadata MEDIUMTEXT NOT NULL", "room for long text")
    _create_meters()
    _create_readings()
    steps.add_column("topics", sa.Column("meter_id", sa.Integer()))
    steps.add_column("topics", sa.Column("slot", sa.Integer()))
    steps.create_index("topics_meter_slot", "topics", ["meter_id", "slot"], unique=True)
    engine = engine_name(op.get_bind().dialect)
    for name, text in view_statements(engine, with_old_rows=with_old_rows).items():
        steps.create_view(name, text)


def _create_meters() -> None:
    steps.create_table(
        "meters",
        [
            sa.Column("meter_id", sa.Integer(), primary_key=True),
            sa.Column("name", sa.String(512), nullable=False, unique=True),
        ],
        **MYSQL_TABLE,
    )
    steps.create_table(
        "meter_settings",
        [
            _meter(primary_key=True),
            sa.Column("from_ts", Instant(), primary_key=True),
            sa.Column("settings", LONG_TEXT, nullable=False),
        ],
        **MYSQL_TABLE,
    )
    steps.create_table(
        "schedules",
        [
            _meter(primary_key=True),
            sa.Column("from_ts", Instant(), primary_key=True),
            sa.Column("interval_s", SECONDS, primary_key=True),
            sa.Column("slots", LONG_TEXT, nullable=False),
        ],
        **MYSQL_TABLE,
    )


def _create_readings() -> None:
    columns: list[sa.Column[Any]] = [
        _meter(),
        sa.Column("ts", Instant(), nullable=False),
        sa.Column("read_at", Instant(), nullable=False),
        sa.Column("scheduled", sa.Boolean(), nullable=False),
        sa.Column("vals", SlotValues(), nullable=False),
        sa.Column("gaps", LONG_TEXT),
    ]
    if op.get_bind().dialect.name == "postgresql":
        columns.append(sa.Column("texts", postgresql.JSONB()))
    steps.create_table("readings", columns, sa.UniqueConstraint("meter_id", "ts"), **MYSQL_TABLE)
    if op.get_bind().dialect.name == "postgresql":
        steps.create_index("readings_ts", "readings", ["ts"])
    steps.create_table(
        "gaps",
        [
            _meter(),
            sa.Column("from_ts", Instant(), nullable=False),
            sa.Column("to_ts", Instant(), nullable=False),
            sa.Column("reason", sa.String(64), nullable=False),
        ],
        sa.UniqueConstraint("meter_id", "from_ts", "to_ts", "reason"),
        **MYSQL_TABLE,
    )


def _meter(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "meter_id",
        sa.Integer(),
        sa.ForeignKey("meters.meter_id"),
        primary_key=primary_key,
        nullable=False,
    )


def _set_old_rows_aside() -> bool:
    """Rename `data`, or drop it when it is empty; gives whether it held rows."""
    if not steps.has_table("data"):
        # An upgrade that was killed has come so far.
        return steps.has_table("data_old")
    rows = old_rows.examine(op.get_bind())
    if not rows.count:
        op.drop_table("data")
        return False
    zone = old_rows.need_zone(rows, _given("data_timezone"))
    for line in old_rows.told(op.get_bind(), rows, zone):
        steps.say(line)
    # The zone first: where the rows are set aside, it must be known what they mean.
    steps.drop_table("data_old_zone")
    zones = sa.Column("zone", sa.String(64), primary_key=True)
    steps.create_table("data_old_zone", [zones], **MYSQL_TABLE)
    steps.insert_missing("data_old_zone", [{"zone": zone}], "zone")
    steps.rename_table("data", "data_old")
    return True


def _given(name: str) -> str:
    found = context.config.attributes.get(name)
    return str(found or context.get_x_argument(as_dictionary=True).get(name, ""))


def downgrade() -> None:
    """Take the new tables away; refuses while there are readings, unless `-x discard=yes`."""
    if steps.has_table("readings"):
        count = op.get_bind().execute(sa.text("SELECT count(*) FROM readings")).scalar_one()
        if count and _given("discard") != "yes":
            raise SchemaError(
                f"a downgrade would drop {count} readings: repeat it with -x discard=yes to do so"
            )
    for view in VIEW_NAMES:
        steps.drop_view(view)
    for table in ("readings", "gaps", "schedules", "meter_settings", "meters"):
        steps.drop_table(table)
    # Before columns go: SQLite drops none while a user's view means a table that is not there.
    _bring_old_rows_back()
    steps.drop_index("topics_meter_slot", "topics")
    steps.drop_column("topics", "slot")
    steps.drop_column("topics", "meter_id")


def _bring_old_rows_back() -> None:
    steps.rename_table("data_old", "data")
    steps.drop_table("data_old_zone")
    steps.create_table(
        "data",
        [
            sa.Column("ts", _TIMESTAMP, nullable=False),
            sa.Column("topic_id", sa.Integer(), nullable=False),
            sa.Column("value_string", sa.Text(), nullable=False),
        ],
    )
    steps.create_index("ts", "data", ["ts", "topic_id"], unique=True)
    steps.create_index("data_idx", "data", ["ts"])
    steps.create_index("topic_id_idx", "data", ["topic_id"])
