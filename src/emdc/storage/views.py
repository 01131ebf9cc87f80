"""The SQL of the views: readings, one row per meter and tick, seen as one row per value.

The first revision that creates them and `schema` use the same text. A later revision that changes a
view keeps a copy of the old text in the older revision's file, so that history stays replayable.

Each view starts from `topics` by CROSS JOIN, which SQLite never reorders: a topic is found by its
number or name and its meter's readings by their key, where the other order would read every row.
"""

from collections.abc import Mapping
from typing import Final

VIEW_NAMES: Final = ("data", "samples", "latest")

_LATEST_ROWS: Final = 10_000
"""Readings that `latest` looks back for a topic's value: a metric that never answers ends there,
after 7 ms; one with a value takes 4 µs."""

# `->` keeps the digits of a number as they were written, `->>` would print 15 of them.
_VALUE: Final = "r.vals ->> t.slot"
_TEXT: Final = (
    "CASE typeof(r.vals ->> t.slot) WHEN 'text' THEN r.vals ->> t.slot ELSE r.vals -> t.slot END"
)
_UNIT: Final = "(SELECT m.metadata ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id)"
_READINGS: Final = f"""\
FROM topics AS t CROSS JOIN readings AS r ON r.meter_id = t.meter_id
WHERE {_VALUE} IS NOT NULL"""

_DATA: Final = f"""\
SELECT r.ts AS ts, t.topic_id AS topic_id,
  {_TEXT} AS value_string
{_READINGS}"""

_DATA_OLD: Final = "SELECT ts, topic_id, value_string FROM data_old"

_SAMPLES: Final = f"""\
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, {_VALUE} AS value,
  {_TEXT} AS value_string,
  {_UNIT} AS unit,
  r.read_at AS read_at, r.scheduled AS scheduled, 'UTC' AS zone
{_READINGS}"""

# Text that is no number stays text: a CAST would make it zero.
_SAMPLES_OLD: Final = f"""\
SELECT t.topic_id, t.topic_name, o.ts,
  CASE WHEN NOT json_valid(o.value_string) THEN o.value_string
    WHEN json_type(o.value_string) IN ('integer', 'real') THEN o.value_string ->> '$'
    ELSE o.value_string END,
  o.value_string,
  {_UNIT},
  NULL, NULL, (SELECT zone FROM data_old_zone)
FROM topics AS t CROSS JOIN data_old AS o ON o.topic_id = t.topic_id"""  # noqa: S608 (constants only)

# SQLite walks the inner query in its order and stops at the first value; a second ORDER BY outside
# would make it look at all of those readings for every topic.
_LATEST: Final = f"""\
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts, {_VALUE} AS value,
  {_TEXT} AS value_string,
  {_UNIT} AS unit,
  r.read_at AS read_at
FROM topics AS t CROSS JOIN readings AS r ON r.meter_id = t.meter_id AND r.ts = (
  SELECT b.ts FROM (
    SELECT n.ts, n.vals FROM readings AS n WHERE n.meter_id = t.meter_id
    ORDER BY n.ts DESC LIMIT {_LATEST_ROWS}) AS b
  WHERE b.vals ->> t.slot IS NOT NULL LIMIT 1)"""  # noqa: S608 (constants only)


def view_statements(*, with_old_rows: bool) -> Mapping[str, str]:
    """CREATE VIEW statements by view name, for SQLite.

    `with_old_rows`: a table `data_old` holds rows of the old collector, which `data` and `samples`
    show too.
    """
    data = f"{_DATA_OLD}\nUNION ALL\n{_DATA}" if with_old_rows else _DATA
    samples = f"{_SAMPLES}\nUNION ALL\n{_SAMPLES_OLD}" if with_old_rows else _SAMPLES
    bodies = dict(zip(VIEW_NAMES, (data, samples, _LATEST), strict=True))
    return {name: f"CREATE VIEW {name} AS\n{body}" for name, body in bodies.items()}
