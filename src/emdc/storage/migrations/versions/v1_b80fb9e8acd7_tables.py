"""The tables of the old collector, after VOLTTRON's historian.

Revision b80fb9e8acd7, the first.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from emdc.storage import steps

revision = "b80fb9e8acd7"
down_revision = None
branch_labels = None
depends_on = None

_MYSQL: dict[str, Any] = {
    f"{name}_{key}": value
    for name in sorted(steps.MYSQL)
    for key, value in {"engine": "InnoDB", "charset": "latin1"}.items()
}
_TIMESTAMP = sa.TIMESTAMP().with_variant(mysql.TIMESTAMP(fsp=6), *steps.MYSQL)


def upgrade() -> None:
    """Create topics, meta, data and the table that names them."""
    steps.create_table(
        "topics",
        [
            sa.Column("topic_id", sa.Integer(), primary_key=True),
            sa.Column("topic_name", sa.String(512), nullable=False, unique=True),
        ],
        **_MYSQL,
    )
    steps.create_table(
        "meta",
        [
            sa.Column("topic_id", sa.Integer(), primary_key=True, autoincrement=False),
            sa.Column("metadata", sa.Text(), nullable=False),
        ],
        **_MYSQL,
    )
    steps.create_table(
        "data",
        [
            sa.Column("ts", _TIMESTAMP, nullable=False),
            sa.Column("topic_id", sa.Integer(), nullable=False),
            sa.Column("value_string", sa.Text(), nullable=False),
        ],
        **_MYSQL,
    )
    steps.create_index("ts", "data", ["ts", "topic_id"], unique=True)
    steps.create_index("data_idx", "data", ["ts"])
    _name_the_tables()


def _name_the_tables() -> None:
    steps.create_table(
        "volttron_table_definitions",
        [
            sa.Column("table_id", sa.String(512), primary_key=True),
            sa.Column("table_name", sa.String(512), nullable=False),
            sa.Column("table_prefix", sa.String(512)),
        ],
        **_MYSQL,
    )
    rows = [
        {"table_id": f"{name}_table", "table_name": name, "table_prefix": ""}
        for name in ("data", "meta", "topics")
    ]
    steps.insert_missing("volttron_table_definitions", rows, "table_id")


def downgrade() -> None:
    """Drop the four tables."""
    for name in ("volttron_table_definitions", "data", "meta", "topics"):
        steps.drop_table(name)
