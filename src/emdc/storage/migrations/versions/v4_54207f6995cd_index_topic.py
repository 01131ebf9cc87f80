"""An index for the old readings of one topic. The last revision of the old collector.

Revision 54207f6995cd, after 2534585a9391.
"""

from emdc.storage import steps

revision = "54207f6995cd"
down_revision = "2534585a9391"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Index data by topic_id."""
    steps.announce("data", "index by topic")
    steps.create_index("topic_id_idx", "data", ["topic_id"])


def downgrade() -> None:
    """Drop the index."""
    steps.drop_index("topic_id_idx", "data")
