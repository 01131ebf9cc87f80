"""Quarter hours of every topic: tables of intervals, and the view `intervals`.

They are empty at first; the collector or `emdc intervals` makes them of the readings. Revision
c46b07d2f95e, after 7c1d5e90a2f4.
"""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from emdc.errors import SchemaError
from emdc.storage import steps
from emdc.storage.columns import LONG_TEXT, MYSQL_TABLE, Instant
from emdc.storage.engines.interval_view import VIEW, interval_view
from emdc.storage.engines.views import engine_name

revision = "c46b07d2f95e"
down_revision = "7c1d5e90a2f4"
branch_labels = None
depends_on = None

_ARRAYS = (
    "counts",
    "minima",
    "maxima",
    "means",
    "firsts",
    "lasts",
    "energies",
    "dues",
    "qualities",
)

_LOST = (
    (
        "counter_epochs",
        "{} rows of counter_epochs that users have said",
        "SELECT count(*) FROM counter_epochs WHERE source = 'user'",
    ),
    (
        "interval_progress",
        "the quarter hours of readings that were deleted of {} meters",
        "SELECT count(DISTINCT p.meter_id) FROM interval_progress AS p"
        " JOIN gaps AS g ON g.meter_id = p.meter_id WHERE g.reason = 'retention'",
    ),
)


def upgrade() -> None:
    """Create the tables and the view."""
    steps.create_table(
        "interval_rows",
        [_meter(), _instant("ts"), *_arrays(), sa.Column("states", LONG_TEXT, nullable=False)],
        **MYSQL_TABLE,
    )
    steps.create_table(
        "interval_days",
        [_topic(), _instant("day"), *_arrays(), sa.Column("state", LONG_TEXT)],
        **MYSQL_TABLE,
    )
    steps.create_table(
        "interval_details",
        [_meter(), _instant("ts"), sa.Column("vals", LONG_TEXT, nullable=False)],
        **MYSQL_TABLE,
    )
    steps.create_table(
        "interval_progress",
        [
            _meter(),
            sa.Column("next_ts", Instant(), nullable=False),
            sa.Column("through_ts", Instant(), nullable=False),
            sa.Column("states", LONG_TEXT, nullable=False),
        ],
        **MYSQL_TABLE,
    )
    steps.create_table(
        "counter_epochs",
        [
            _topic(),
            _instant("from_ts"),
            sa.Column("kind", sa.String(16), nullable=False),
            sa.Column("before_value", sa.Double()),
            sa.Column("after_value", sa.Double()),
            sa.Column("source", sa.String(16), primary_key=True),
            sa.Column("note", sa.Text(), nullable=False),
        ],
        **MYSQL_TABLE,
    )
    steps.create_view(VIEW, interval_view(engine_name(op.get_bind().dialect)))


def _meter() -> sa.Column[int]:
    key = sa.ForeignKey("meters.meter_id")
    return sa.Column("meter_id", sa.Integer(), key, primary_key=True)


def _topic() -> sa.Column[int]:
    key = sa.ForeignKey("topics.topic_id")
    return sa.Column("topic_id", sa.Integer(), key, primary_key=True)


def _instant(name: str) -> sa.Column[str]:
    return sa.Column(name, Instant(), primary_key=True)


def _arrays() -> list[sa.Column[Any]]:
    return [sa.Column(name, LONG_TEXT, nullable=False) for name in _ARRAYS]


def downgrade() -> None:
    """Drop them, since they can be made again; refuses when not all of them can.

    With `-x discard=yes` what users have said and what is left of deleted readings goes too.
    """
    if context.get_x_argument(as_dictionary=True).get("discard") != "yes":
        for table, what, lost in _LOST:
            if steps.has_table(table) and (count := op.get_bind().scalar(sa.text(lost))):
                raise SchemaError(
                    f"a downgrade would drop {what.format(count)}: repeat it with -x discard=yes to"
                    " do so"
                )
    steps.drop_view(VIEW)
    for table in (
        "interval_rows",
        "interval_days",
        "interval_details",
        "interval_progress",
        "counter_epochs",
    ):
        steps.drop_table(table)
