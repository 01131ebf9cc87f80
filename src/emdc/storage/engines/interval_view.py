"""The SQL of the view `intervals`: one row per topic and quarter hour, of both tables of intervals.

As in `views`, the revision that creates it and `ddl` use the same text, and each engine starts from
`topics`, also where a query joins the view: a topic's days are then found by their key, where the
other order would take every day apart. A quarter hour that is in both tables is the row's.
"""

from collections.abc import Callable
from typing import Final

from emdc.energy.answers import CELL_S, DAY_CELLS, Quality
from emdc.storage.schema import ARRAYS

VIEW: Final = "intervals"

_MINUTES: Final = CELL_S // 60
_NUMBERS: Final = {
    "minima": "minimum",
    "maxima": "maximum",
    "means": "mean",
    "firsts": "first_value",
    "lasts": "last_value",
    "energies": "consumption",
}


def interval_view(engine: str) -> str:
    """The CREATE VIEW statement for one `views.engine_name`."""
    return f"CREATE VIEW {VIEW} AS\n{_BODIES[engine]()}"


def _there(array: Callable[[str], str]) -> str:
    """Something was read, counted or due in it."""
    return f"COALESCE({', '.join(map(array, ('counts', 'energies', 'dues')))}) IS NOT NULL"


def _quality(value: str, quote: str = "") -> str:
    whens = (f"WHEN {quote}{one.value}{quote} THEN '{one.name.lower()}'" for one in Quality)
    return f"CASE {value} {' '.join(whens)} END AS quality"


# SQLite


def _sqlite() -> str:
    clock = f"printf('%02d:%02d:00.000000', k.key * {_MINUTES} / 60, k.key * {_MINUTES} % 60)"
    # Where the columns of both halves have one affinity, SQLite looks for a topic in each half.
    of_day = f"CAST(substr(d.day, 1, 11) || {clock} AS TEXT)"
    days = _sqlite_half(of_day, _in_day)
    rows = _sqlite_half("CAST(r.ts AS TEXT)", _in_row)
    # SQLite never reorders a CROSS JOIN.
    return f"""\
{days}
FROM topics AS t CROSS JOIN interval_days AS d ON d.topic_id = t.topic_id
  CROSS JOIN json_each(d.counts) AS k
WHERE {_there(_in_day)}
  AND NOT EXISTS (SELECT 1 FROM interval_rows AS x
    WHERE x.meter_id = t.meter_id AND x.ts = {of_day})
UNION ALL
{rows}
FROM topics AS t CROSS JOIN interval_rows AS r ON r.meter_id = t.meter_id
WHERE {_there(_in_row)}"""  # noqa: S608 (constants only)


def _in_day(column: str) -> str:
    return "k.value" if column == "counts" else f"d.{column} ->> k.key"


def _in_row(column: str) -> str:
    return f"r.{column} ->> t.slot"


def _sqlite_half(ts: str, array: Callable[[str], str]) -> str:
    numbers = "".join(f"  {array(column)} AS {name},\n" for column, name in _NUMBERS.items())
    count = f"COALESCE({array('counts')}, 0)"
    return f"""\
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, {ts} AS ts,
  {count} AS n_values,
{numbers}\
  min(100.0, 100.0 * {count} / NULLIF({array("dues")}, 0)) AS completeness,
  {_quality(array("qualities"))},
  (SELECT m.metadata ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit"""  # noqa: S608


# PostgreSQL


def _postgresql() -> str:
    names = ", ".join(ARRAYS)
    numbers = "".join(f"  c.{column}::float8 AS {name},\n" for column, name in _NUMBERS.items())
    taken_apart = ",\n    ".join(f"json_array_elements_text(d.{name}::json)" for name in ARRAYS)
    of_row = ", ".join(f"r.{name}::json ->> t.slot" for name in ARRAYS)
    of_day = f"d.day + (k.n - 1) * interval '{_MINUTES} minutes'"
    # A UNION beside the topics instead of below them would be read whole by a join.
    return f"""\
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, c.ts AS ts,
  COALESCE(c.counts::float8, 0)::integer AS n_values,
{numbers}\
  CASE WHEN c.dues::float8 > 0
    THEN LEAST(100, 100 * COALESCE(c.counts::float8, 0) / c.dues::float8) END AS completeness,
  {_quality("c.qualities", "'")},
  (SELECT m.metadata::json ->> 'units' FROM meta AS m WHERE m.topic_id = t.topic_id) AS unit
FROM topics AS t CROSS JOIN LATERAL (
  SELECT {of_day} AS ts, {", ".join(f"k.{name}" for name in ARRAYS)}
  FROM interval_days AS d CROSS JOIN LATERAL ROWS FROM (
    {taken_apart}
  ) WITH ORDINALITY AS k ({names}, n)
  WHERE d.topic_id = t.topic_id AND NOT EXISTS (SELECT 1 FROM interval_rows AS x
    WHERE x.meter_id = t.meter_id AND x.ts = {of_day})
  UNION ALL
  SELECT r.ts, {of_row}
  FROM interval_rows AS r WHERE r.meter_id = t.meter_id
) AS c
WHERE {_there(lambda column: f"c.{column}")}"""  # noqa: S608 (constants only)


# MySQL and MariaDB


def _mysql() -> str:
    # A JSON null is a value to JSON_EXTRACT.
    return _merged("NULLIF(JSON_UNQUOTE(JSON_EXTRACT({document}, {path})), 'null')")


def _mariadb() -> str:
    # Three times as quick; MySQL's JSON_VALUE takes no path that is not written out.
    return _merged("JSON_VALUE({document}, {path})")


def _merged(value: str) -> str:
    """One SELECT without a UNION or a query among its columns: such a view becomes part of the
    query that uses it, where another is made whole first.
    """

    def array(column: str) -> str:
        document = f"COALESCE(d.{column}, r.{column})"
        return value.format(
            document=document, path="CONCAT('$[', COALESCE(a.n + b.n, t.slot), ']')"
        )

    def number(column: str) -> str:
        return f"CAST({array(column)} AS DOUBLE)"

    count = f"COALESCE({number('counts')}, 0)"
    numbers = "".join(f"  {number(column)} AS {name},\n" for column, name in _NUMBERS.items())
    of_day = f"d.day + INTERVAL {_MINUTES} * (a.n + b.n) MINUTE"
    return f"""\
SELECT t.topic_id AS topic_id, t.topic_name AS topic_name, COALESCE({of_day}, r.ts) AS ts,
  CAST({count} AS SIGNED) AS n_values,
{numbers}\
  LEAST(100, 100 * {count} / NULLIF({number("dues")}, 0)) AS completeness,
  {_quality(array("qualities"), "'")},
  JSON_UNQUOTE(JSON_EXTRACT(m.metadata, '$.units')) AS unit
FROM topics AS t JOIN ({_numbers(0, 2, 1)}) AS p
  LEFT JOIN meta AS m ON m.topic_id = t.topic_id
  LEFT JOIN (interval_days AS d
    STRAIGHT_JOIN ({_numbers(0, DAY_CELLS, 8)}) AS a
    STRAIGHT_JOIN ({_numbers(0, 8, 1)}) AS b) ON p.n = 0 AND d.topic_id = t.topic_id
  LEFT JOIN interval_rows AS r ON p.n = 1 AND r.meter_id = t.meter_id
WHERE {_there(array)}
  AND NOT EXISTS (SELECT 1 FROM interval_rows AS x
    WHERE x.meter_id = t.meter_id AND x.ts = {of_day})"""  # noqa: S608 (constants only)


def _numbers(start: int, end: int, step: int) -> str:
    first, *others = range(start, end, step)
    return " UNION ALL ".join((f"SELECT {first} AS n", *(f"SELECT {n}" for n in others)))


_BODIES: Final = {
    "sqlite": _sqlite,
    "postgresql": _postgresql,
    "mysql": _mysql,
    "mariadb": _mariadb,
}
