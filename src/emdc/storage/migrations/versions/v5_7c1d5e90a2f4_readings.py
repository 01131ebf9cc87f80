"""A reading is a row: meters, readings, gaps and schedules; `data` becomes a view.

Old rows keep their text in `data_old`, and the zone of their times is in `data_old_zone`. Without
old rows neither table stays. Revision 7c1d5e90a2f4, after 54207f6995cd.
"""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa
from alembic import context, op

from emdc.errors import ConfigError, SchemaError
from emdc.storage.views import VIEW_NAMES, view_statements

revision = "7c1d5e90a2f4"
down_revision = "54207f6995cd"
branch_labels = None
depends_on = None

_INSTANT = sa.String(26)


def upgrade() -> None:
    """Create the new tables, set the old readings aside and put the views in their place."""
    with_old_rows = _set_old_rows_aside()
    _create_meters()
    _create_readings()
    op.add_column("topics", sa.Column("meter_id", sa.Integer()))
    op.add_column("topics", sa.Column("slot", sa.Integer()))
    op.create_index("topics_meter_slot", "topics", ["meter_id", "slot"], unique=True)
    for statement in view_statements(with_old_rows=with_old_rows).values():
        op.execute(sa.text(statement.replace(":", r"\:")))


def _create_meters() -> None:
    op.create_table(
        "meters",
        sa.Column("meter_id", sa.Integer(), primary_key=True),
        sa.Column("name", sa.String(512), nullable=False, unique=True),
    )
    op.create_table(
        "meter_settings",
        _meter(primary_key=True),
        sa.Column("from_ts", _INSTANT, primary_key=True),
        sa.Column("settings", sa.Text(), nullable=False),
    )
    op.create_table(
        "schedules",
        _meter(primary_key=True),
        sa.Column("from_ts", _INSTANT, primary_key=True),
        sa.Column("interval_s", sa.Float(), primary_key=True),
        sa.Column("slots", sa.Text(), nullable=False),
    )


def _create_readings() -> None:
    op.create_table(
        "readings",
        _meter(),
        sa.Column("ts", _INSTANT, nullable=False),
        sa.Column("read_at", _INSTANT, nullable=False),
        sa.Column("scheduled", sa.Boolean(), nullable=False),
        sa.Column("vals", sa.Text(), nullable=False),
        sa.Column("gaps", sa.Text()),
        sa.UniqueConstraint("meter_id", "ts"),
    )
    op.create_table(
        "gaps",
        _meter(),
        sa.Column("from_ts", _INSTANT, nullable=False),
        sa.Column("to_ts", _INSTANT, nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.UniqueConstraint("meter_id", "from_ts", "to_ts", "reason"),
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
    bind = op.get_bind()
    count, first, last = bind.execute(sa.text("SELECT count(*), min(ts), max(ts) FROM data")).one()
    if not count:
        op.drop_table("data")
        return False
    zone = _zone_of_old_rows(f"{count} old readings from {first} to {last}")
    # Users' own views name `data`: they must mean the new view, not follow the renamed table.
    op.execute("PRAGMA legacy_alter_table=ON")
    op.rename_table("data", "data_old")
    op.execute("PRAGMA legacy_alter_table=OFF")
    table = op.create_table("data_old_zone", sa.Column("zone", sa.String(64), primary_key=True))
    op.bulk_insert(table, [{"zone": zone}])
    return True


def _zone_of_old_rows(what: str) -> str:
    given = context.config.attributes.get("data_timezone")
    zone = str(given or context.get_x_argument(as_dictionary=True).get("data_timezone", ""))
    if not zone:
        raise ConfigError(
            f"{what} have local times without a zone: say it by --data_timezone=ZONE (such as"
            " America/Los_Angeles; plain alembic: -x data_timezone=ZONE), or --data_timezone=keep"
            " to leave it open; their text stays as it is"
        )
    if zone != "keep":
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ConfigError(
                f"--data_timezone={zone}: unknown zone, expected a name of the IANA list such as"
                " America/Los_Angeles, or keep"
            ) from error
    return zone


def downgrade() -> None:
    """Take the new tables away; refuses while there are readings, unless `-x discard=yes`."""
    bind = op.get_bind()
    count = bind.execute(sa.text("SELECT count(*) FROM readings")).scalar_one()
    discard = context.get_x_argument(as_dictionary=True).get("discard") == "yes"
    if count and not discard:
        raise SchemaError(
            f"a downgrade would drop {count} readings: repeat it with -x discard=yes to do so"
        )
    for view in VIEW_NAMES:
        op.execute(f"DROP VIEW {view}")
    for table in ("readings", "gaps", "schedules", "meter_settings", "meters"):
        op.drop_table(table)
    op.drop_index("topics_meter_slot", "topics")
    op.drop_column("topics", "slot")
    op.drop_column("topics", "meter_id")
    _bring_old_rows_back()


def _bring_old_rows_back() -> None:
    if sa.inspect(op.get_bind()).has_table("data_old"):
        op.drop_table("data_old_zone")
        op.rename_table("data_old", "data")
        return
    op.create_table(
        "data",
        sa.Column("ts", sa.TIMESTAMP(), nullable=False),
        sa.Column("topic_id", sa.Integer(), nullable=False),
        sa.Column("value_string", sa.Text(), nullable=False),
    )
    op.create_index("ts", "data", ["ts", "topic_id"], unique=True)
    op.create_index("data_idx", "data", ["ts"])
    op.create_index("topic_id_idx", "data", ["topic_id"])
