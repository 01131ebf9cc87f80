"""The tables as they are at the newest revision.

The migrations are the schema's history; this module is its present, and a test holds the two
together. `meter_id` leads every key of what meters produce, so that the data can be split by meter
without a new schema. `ddl` makes a new database of it.
"""

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn

from emdc.storage.columns import LONG_TEXT, MYSQL_TABLE, SECONDS, Instant, SlotValues

OLD_REVISIONS: Final = ("b80fb9e8acd7", "b6eaa6deed84", "2534585a9391", "54207f6995cd")
"""Revisions of the collector that this one replaces, oldest first."""
READINGS_REVISION: Final = "7c1d5e90a2f4"
"""The first one in which a reading is a row; it takes the old collector's rows over."""
REVISIONS: Final = (*OLD_REVISIONS, READINGS_REVISION, "c46b07d2f95e")
HEAD: Final = REVISIONS[-1]

VOLTTRON_TABLES: Final = (
    ("data_table", "data", ""),
    ("meta_table", "meta", ""),
    ("topics_table", "topics", ""),
)

ONLY: Final = "only"
"""In a column's `info`: the kind of engine that has it."""

metadata = MetaData()

meters = Table(
    "meters",
    metadata,
    Column("meter_id", Integer, primary_key=True),
    Column("name", String(512), nullable=False, unique=True),
    **MYSQL_TABLE,
)

meter_settings = Table(
    "meter_settings",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), primary_key=True),
    Column("from_ts", Instant, primary_key=True),
    Column("settings", LONG_TEXT, nullable=False),
    **MYSQL_TABLE,
)
"""What a meter's values depend on (ratios, the map's hash) from `from_ts` on, as a JSON object."""

# No foreign key on meter_id: SQLite could not drop the column again in a downgrade.
topics = Table(
    "topics",
    metadata,
    Column("topic_id", Integer, primary_key=True),
    Column("topic_name", String(512), nullable=False, unique=True),
    Column("meter_id", Integer),
    Column("slot", Integer),
    Index("topics_meter_slot", "meter_id", "slot", unique=True),
    **MYSQL_TABLE,
)
"""A topic's values are at index `slot` of its meter's readings; a slot is never given twice."""

meta = Table(
    "meta",
    metadata,
    Column("topic_id", Integer, primary_key=True, autoincrement=False),
    Column("metadata", LONG_TEXT, nullable=False),
    **MYSQL_TABLE,
)
"""JSON such as `{"units":"V","tz":"UTC","type":"float","kind":"gauge"}`."""

readings = Table(
    "readings",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), nullable=False),
    Column("ts", Instant, nullable=False),
    Column("read_at", Instant, nullable=False),
    Column("scheduled", Boolean, nullable=False),
    Column("vals", SlotValues, nullable=False),
    Column("gaps", LONG_TEXT),
    Column("texts", JSONB, info={ONLY: "postgresql"}),
    UniqueConstraint("meter_id", "ts"),
    # "The newest value of a topic" through a view: PostgreSQL cannot see that one topic is one
    # meter, and would sort all of its readings.
    Index("readings_ts", "ts", info={ONLY: "postgresql"}).ddl_if(dialect="postgresql"),
    **MYSQL_TABLE,
)
"""One row per meter and tick. `vals`: values by slot, null where nothing was read.
`gaps`: JSON object, reason → slots; NULL when complete. Null without a gap: not due.
`texts`: on PostgreSQL, where `vals` holds numbers alone: JSON object, slot → text."""

gaps = Table(
    "gaps",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), nullable=False),
    Column("from_ts", Instant, nullable=False),
    Column("to_ts", Instant, nullable=False),
    Column("reason", String(64), nullable=False),
    UniqueConstraint("meter_id", "from_ts", "to_ts", "reason"),
    **MYSQL_TABLE,
)
"""Ticks from_ts ≤ tick < to_ts without a row in `readings`. A row of length zero with the reason
`daemon_stopped` marks a clean stop and covers no tick. Rows are only ever added."""

schedules = Table(
    "schedules",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), primary_key=True),
    Column("from_ts", Instant, primary_key=True),
    Column("interval_s", SECONDS, primary_key=True),
    Column("slots", LONG_TEXT, nullable=False),
    **MYSQL_TABLE,
)
"""From `from_ts` until the next row with the same meter and interval, each multiple of `interval_s`
since 1970 UTC owes a value or a gap for each of `slots` (JSON array; `[]` ends it)."""

# In the tables of intervals, text of more than one value is a JSON array, `null` where there is
# nothing; `ts` is the start of a quarter hour UTC. They are made of `readings` and can be made
# again, but for what users say in `counter_epochs`.

ARRAYS: Final = (
    *("counts", "minima", "maxima", "means", "firsts", "lasts"),
    *("energies", "dues", "qualities"),
)
"""What is said of quarter hours, as `energy.cells.Cell` names it."""


def _arrays() -> list[Column[str]]:
    return [Column(name, LONG_TEXT, nullable=False) for name in ARRAYS]


interval_rows = Table(
    "interval_rows",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), primary_key=True),
    Column("ts", Instant, primary_key=True),
    *_arrays(),
    Column("states", LONG_TEXT, nullable=False),
    **MYSQL_TABLE,
)
"""Quarter hours of days that are not closed, one row per meter: arrays by slot.
`states`: JSON object, slot → what its counter's sum goes on from at `ts`."""

interval_days = Table(
    "interval_days",
    metadata,
    Column("topic_id", ForeignKey("topics.topic_id"), primary_key=True),
    Column("day", Instant, primary_key=True),
    *_arrays(),
    Column("state", LONG_TEXT),
    **MYSQL_TABLE,
)
"""Closed days, one row per topic and UTC day: arrays of its 96 quarter hours.
`state`: what a counter's sum goes on from at `day`; NULL for other topics. A quarter hour that is
in `interval_rows` too is meant as it is there."""

interval_details = Table(
    "interval_details",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), primary_key=True),
    Column("ts", Instant, primary_key=True),
    Column("vals", LONG_TEXT, nullable=False),
    **MYSQL_TABLE,
)
"""Half minutes of the quarter hours with more than 60 readings. `vals`: by slot null or five
arrays of 30: counts, minima, maxima, means, last values."""

interval_progress = Table(
    "interval_progress",
    metadata,
    Column("meter_id", ForeignKey("meters.meter_id"), primary_key=True),
    Column("next_ts", Instant, nullable=False),
    Column("through_ts", Instant, nullable=False),
    Column("states", LONG_TEXT, nullable=False),
    **MYSQL_TABLE,
)
"""How far a meter's intervals are made: the next ones from `next_ts` on, which whoever stores an
older reading sets back (`lateness`). Readings with ts < `through_ts` have been read; `states`:
JSON object, slot → what its counter's sum goes on from there."""

counter_epochs = Table(
    "counter_epochs",
    metadata,
    Column("topic_id", ForeignKey("topics.topic_id"), primary_key=True),
    Column("from_ts", Instant, primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("before_value", Double),
    Column("after_value", Double),
    Column("source", String(16), primary_key=True),
    Column("note", Text, nullable=False),
    **MYSQL_TABLE,
)
"""Where a counter began anew. `source`: `found` by the program, which makes these again, or said
by a `user`. `before_value`, `after_value`: the register just before and after, in the topic's
unit."""

volttron_table_definitions = Table(
    "volttron_table_definitions",
    metadata,
    Column("table_id", String(512), primary_key=True),
    Column("table_name", String(512), nullable=False),
    Column("table_prefix", String(512)),
    **MYSQL_TABLE,
)

# Alembic's own table: created here too, so that a new database needs no replay of history.
alembic_version = Table(
    "alembic_version",
    metadata,
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
    **MYSQL_TABLE,
)


@compiles(CreateColumn)
def _create_column(element: CreateColumn, compiler: Any, **options: Any) -> str | None:
    """A column that only one kind of engine has is left out by the others."""
    only = element.element.info.get(ONLY, compiler.dialect.name)
    if only != compiler.dialect.name:
        return None
    return str(compiler.visit_create_column(element, **options))
