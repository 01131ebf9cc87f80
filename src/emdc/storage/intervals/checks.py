"""Whether the tables of quarter hours hold what they may hold: a part of `integrity`.

What is wrong here is no loss while the readings are there, of which they are made again.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Annotated, Any, Final

import msgspec
from sqlalchemy import Connection, Row, func, select

from emdc.energy.answers import DAY_CELLS, Quality
from emdc.storage.schema import (
    counter_epochs,
    interval_days,
    interval_details,
    interval_progress,
    interval_rows,
    meters,
    topics,
)

_EXAMPLES: Final = 3
_AT_ONCE: Final = 500

_counts: Final = msgspec.json.Decoder(list[Annotated[int, msgspec.Meta(ge=0)] | None]).decode
_energies: Final = msgspec.json.Decoder(list[Annotated[float, msgspec.Meta(ge=0)] | None]).decode
_qualities: Final = msgspec.json.Decoder(list[Quality | None]).decode


def strays(connection: Connection) -> Iterator[str]:
    """Rows of meters and topics that do not exist."""
    of_meters = (interval_rows, interval_details, interval_progress)
    of_topics = (interval_days, counter_epochs)
    for tables, key in ((of_meters, meters.c.meter_id), (of_topics, topics.c.topic_id)):
        for table in tables:
            mine = table.c[key.name]
            query = select(mine).where(mine.not_in(select(key))).distinct().limit(_EXAMPLES)
            for number in connection.execute(query).scalars():
                what = key.name.removesuffix("_id")
                yield f"table {table.name}: rows of {what} {number}, which does not exist"


def contents(connection: Connection) -> Iterator[str]:
    """Quarter hours that cannot be, a few of each table, and how they are mended."""
    for where, ts in (*_days(connection), *_rows(connection)):
        yield (
            f"quarter hours of {where} at {ts}: expected counts, energies of 0 and more, and a"
            f" quality for each; emdc intervals --start={ts[:10]} makes them again"
        )


def _days(connection: Connection) -> list[tuple[str, str]]:
    table = interval_days.c
    columns = (table.counts, table.energies, table.qualities)
    query = select(topics.c.topic_name, table.day, *columns).join(
        topics, topics.c.topic_id == table.topic_id
    )
    with connection.execute(query.execution_options(yield_per=_AT_ONCE)) as rows:
        wrong = ((row.topic_name, row.day) for row in rows if _width(row) != DAY_CELLS)
        return list(islice(wrong, _EXAMPLES))


def _rows(connection: Connection) -> list[tuple[str, str]]:
    slots = select(topics.c.meter_id, func.max(topics.c.slot) + 1).group_by(topics.c.meter_id)
    widths = {meter_id: count or 0 for meter_id, count in connection.execute(slots)}
    table = interval_rows.c
    columns = (table.counts, table.energies, table.qualities)
    query = select(meters.c.name, table.meter_id, table.ts, *columns).join(
        meters, meters.c.meter_id == table.meter_id
    )
    with connection.execute(query.execution_options(yield_per=_AT_ONCE)) as rows:
        wrong = (
            (row.name, row.ts)
            for row in rows
            if not 0 <= _width(row) <= widths.get(row.meter_id, 0)
        )
        return list(islice(wrong, _EXAMPLES))


def _width(row: Row[*tuple[Any, ...]]) -> int:
    """How long the arrays are; -1 when they are none, or not as long as each other."""
    try:
        counts, energies = _counts(row.counts), _energies(row.energies)
        qualities = _qualities(row.qualities)
    except msgspec.MsgspecError:
        return -1
    alike = len(counts) == len(energies) == len(qualities)
    known = all((e is None) == (q is None) for e, q in zip(energies, qualities, strict=False))
    return len(counts) if alike and known else -1
