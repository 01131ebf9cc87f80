"""The SQL of the views: readings, one row per meter and tick, seen as one row per value.

The first revision that creates them and `ddl` use the same text. A later revision that changes a
view keeps a copy of the old text in the older revision's file, so that history stays replayable.

A view is one frame for all engines; what they say differently are the phrases of `_Phrases`. Each
starts from `topics`, so that a topic is found by its number or name and its meter's readings by
their key, where the other order would read every row.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Dialect

VIEW_NAMES: Final = ("data", "samples", "latest")

_LATEST_ROWS: Final = 10_000
"""Readings that `latest` looks back for a topic's value: a metric that never answers ends there,
after 7 ms; one with a value takes 4 µs."""


@dataclass(frozen=True, slots=True)
class _Phrases:
    """How one engine says it. `{row}` is the name of the reading's row."""

    join: str
    """Joins readings to topics in this order."""
    there: str
    """There is a value."""
    value: str
    text: str
    unit: str
    old_value: str
    """Text of an old row as a number where it is one. Text that is none stays, or is NULL."""
    newest: str
    """The instant of the newest of the meter's newest readings that has the topic's value."""
    alike: str = "{column}"
    """A column of one half of a union, so that it is of one kind with that of the other half."""


# `->` keeps the digits of a number as they were written, `->>` would print 15 of them.
_SQLITE: Final = _Phrases(
    # Only where both halves' columns have one affinity does SQLite look for a topic in each half
    # instead of reading both whole. Source: SQLite, src/select.c, flattening of compound queries.
    alike="CAST({column} AS TEXT)",
    # SQLite never reorders a CROSS JOIN.
    join="CROSS JOIN",
    there="{row}.vals ->> t.slot IS NOT NULL",
    value="{row}.vals ->> t.slot",
    text="CASE typeof({row}.vals ->> t.slot) WHEN 'text' THEN {row}.vals ->> t.slot"
    " ELSE {row}.vals -> t.slot END",
    unit="m.metadata ->> 'units'",
    # Text that is no number stays text: a CAST would make it zero.
    old_value="""\
CASE WHEN NOT json_valid(o.value_string) THEN o.value_string
    WHEN json_type(o.value_string) IN ('integer', 'real') THEN o.value_string ->> '$'
    ELSE o.value_string END""",
    # SQLite walks the inner query in its order and stops at the first value; a second ORDER BY
    # outside would make it look at all of those readings for every topic.
    newest=f"""\
  SELECT b.ts FROM (
    SELECT n.ts, n.vals FROM readings AS n WHERE n.meter_id = t.meter_id
    ORDER BY n.ts DESC LIMIT {_LATEST_ROWS}) AS b
  WHERE b.vals ->> t.slot IS NOT NULL LIMIT 1""",  # noqa: S608 (constants only)
)

_FIGURE: Final = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$"
_POSTGRESQL: Final = _Phrases(
    join="JOIN",
    there="({row}.vals[t.slot + 1] IS NOT NULL OR {row}.texts ? t.slot::text)",
    value="{row}.vals[t.slot + 1]",
    text="COALESCE({row}.vals[t.slot + 1]::text, {row}.texts ->> t.slot::text)",
    unit="m.metadata::json ->> 'units'",
    old_value=f"CASE WHEN o.value_string ~ '{_FIGURE}' THEN o.value_string::float8 END",
    newest=f"""\
  SELECT b.ts FROM (
    SELECT n.ts, n.vals, n.texts FROM readings AS n WHERE n.meter_id = t.meter_id
    ORDER BY n.ts DESC LIMIT {_LATEST_ROWS}) AS b
  WHERE b.vals[t.slot + 1] IS NOT NULL OR b.texts ? t.slot::text
  ORDER BY b.ts DESC LIMIT 1""",  # noqa: S608 (constants only)
)

_PATH: Final = "CONCAT('$[', t.slot, ']')"
_NUMBER: Final = "REGEXP '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]{1,3})?$'"
_EXTRACT: Final = f"JSON_EXTRACT({{row}}.vals, {_PATH})"


def _mysql(*, there: str, text: str) -> _Phrases:
    """What MySQL and MariaDB say alike."""
    return _Phrases(
        join="STRAIGHT_JOIN",
        there=there,
        value=f"CASE WHEN JSON_TYPE({_EXTRACT}) <> 'STRING' THEN CAST({text} AS DOUBLE) END",
        text=text,
        unit="JSON_UNQUOTE(JSON_EXTRACT(m.metadata, '$.units'))",
        old_value=f"CASE WHEN o.value_string {_NUMBER} THEN CAST(o.value_string AS DOUBLE) END",
        # An inner FROM cannot see the topic here. The newest reading nearly always has the value;
        # only where it has none are those before it walked.
        newest=f"""\
  SELECT COALESCE(
    (SELECT n.ts FROM readings AS n
      WHERE n.meter_id = t.meter_id
      AND n.ts = (SELECT MAX(x.ts) FROM readings AS x WHERE x.meter_id = t.meter_id)
      AND {there.format(row="n")}),
    (SELECT n.ts FROM readings AS n
      WHERE n.meter_id = t.meter_id AND {there.format(row="n")}
      AND n.ts >= COALESCE((SELECT x.ts FROM readings AS x WHERE x.meter_id = t.meter_id
        ORDER BY x.ts DESC LIMIT 1 OFFSET {_LATEST_ROWS - 1}), '1970-01-01')
      ORDER BY n.ts DESC LIMIT 1))""",  # noqa: S608 (constants only)
    )


# A JSON null is a value to JSON_EXTRACT, which only JSON_TYPE tells from the text "null".
_MYSQL: Final = _mysql(there=f"JSON_TYPE({_EXTRACT}) <> 'NULL'", text=f"JSON_UNQUOTE({_EXTRACT})")
# One look instead of two; MySQL's JSON_VALUE takes no path that is not written out.
_MARIADB: Final = _mysql(
    there=f"JSON_VALUE({{row}}.vals, {_PATH}) IS NOT NULL",
    text=f"JSON_VALUE({{row}}.vals, {_PATH})",
)

_PHRASES: Final[Mapping[str, _Phrases]] = {
    "sqlite": _SQLITE,
    "postgresql": _POSTGRESQL,
    "mysql": _MYSQL,
    "mariadb": _MARIADB,
}


def engine_name(dialect: Dialect) -> str:
    """Which views a database has: MariaDB answers as `mysql` to the drivers of both."""
    return "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name


def view_statements(engine: str, *, with_old_rows: bool) -> Mapping[str, str]:
    """CREATE VIEW statements by view name, for one `engine_name`.

    `with_old_rows`: a table `data_old` holds rows of the old collector, which `data` and `samples`
    show too.
    """
    phrases = _PHRASES[engine]
    samples = _samples(phrases)
    if with_old_rows:
        data = f"{_data_old(phrases)}\nUNION ALL\n{_data(phrases, phrases.alike)}"
        samples = f"{samples}\nUNION ALL\n{_samples_old(phrases)}"
    else:
        data = _data(phrases)
    bodies = dict(zip(VIEW_NAMES, (data, samples, _latest(phrases)), strict=True))
    return {name: f"CREATE VIEW {name} AS\n{body}" for name, body in bodies.items()}


def _readings(say: _Phrases) -> str:
    return f"""\
FROM topics AS t {say.join} readings AS r ON r.meter_id = t.meter_id
WHERE {say.there.format(row="r")}"""


def _unit(say: _Phrases) -> str:
    return f"(SELECT {say.unit} FROM meta AS m WHERE m.topic_id = t.topic_id)"  # noqa: S608


def _data(say: _Phrases, text: str = "{column}") -> str:
    return f"""\
SELECT r.ts AS ts, t.topic_id AS topic_id,
  {text.format(column=say.text.format(row="r"))} AS value_string
{_readings(say)}"""


def _data_old(say: _Phrases) -> str:
    ts = say.alike.format(column="ts")
    return f"SELECT {ts} AS ts, topic_id, value_string FROM data_old"  # noqa: S608 (constants only)


def _samples(say: _Phrases) -> str:
    return f"""\
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts,\
 {say.value.format(row="r")} AS value,
  {say.text.format(row="r")} AS value_string,
  {_unit(say)} AS unit,
  r.read_at AS read_at, r.scheduled AS scheduled, 'UTC' AS zone
{_readings(say)}"""


def _samples_old(say: _Phrases) -> str:
    return f"""\
SELECT t.topic_id, t.topic_name, o.ts,
  {say.old_value},
  o.value_string,
  {_unit(say)},
  NULL, NULL, (SELECT zone FROM data_old_zone)
FROM topics AS t {say.join} data_old AS o ON o.topic_id = t.topic_id"""  # noqa: S608 (constants only)


def _latest(say: _Phrases) -> str:
    return f"""\
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, r.ts AS ts,\
 {say.value.format(row="r")} AS value,
  {say.text.format(row="r")} AS value_string,
  {_unit(say)} AS unit,
  r.read_at AS read_at
FROM topics AS t {say.join} readings AS r ON r.meter_id = t.meter_id AND r.ts = (
{say.newest})"""  # noqa: S608 (constants only)
