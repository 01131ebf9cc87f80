"""MyISAM for the old readings: MySQL only, nothing elsewhere.

Revision b6eaa6deed84, after b80fb9e8acd7.
"""

from emdc.storage import steps

revision = "b6eaa6deed84"
down_revision = "b80fb9e8acd7"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the engine of the table data."""
    steps.alter_mysql("data", "ENGINE=MyISAM", "storage engine MyISAM")


def downgrade() -> None:
    """Change the engine back."""
    steps.alter_mysql("data", "ENGINE=InnoDB", "storage engine InnoDB")
