"""MyISAM for the old readings: MySQL only, nothing elsewhere.

Revision b6eaa6deed84, after b80fb9e8acd7.
"""

from alembic import op

revision = "b6eaa6deed84"
down_revision = "b80fb9e8acd7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the engine of the table data."""
    _execute("ALTER TABLE data ENGINE=MyISAM")


def downgrade() -> None:
    """Change the engine back."""
    _execute("ALTER TABLE data ENGINE=InnoDB")


def _execute(statement: str) -> None:
    if op.get_bind().dialect.name in {"mysql", "mariadb"}:
        op.execute(statement)
