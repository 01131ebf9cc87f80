"""UTF-8 for every text: MySQL only, nothing elsewhere.

Revision 2534585a9391, after b6eaa6deed84.
"""

from alembic import op

revision = "2534585a9391"
down_revision = "b6eaa6deed84"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Convert the four tables to utf8."""
    _convert("utf8")


def downgrade() -> None:
    """Convert them back to latin1."""
    _convert("latin1")


def _convert(charset: str) -> None:
    if op.get_bind().dialect.name in {"mysql", "mariadb"}:
        for table in ("topics", "meta", "data", "volttron_table_definitions"):
            op.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET {charset}")
