"""UTF-8 for every text: MySQL only, nothing elsewhere.

Revision 2534585a9391, after b6eaa6deed84.
"""

from emdc.storage import steps

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
    for table in ("topics", "meta", "data", "volttron_table_definitions"):
        steps.alter_mysql(table, f"CONVERT TO CHARACTER SET {charset}", f"text in {charset}")
