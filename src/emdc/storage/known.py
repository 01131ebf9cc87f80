"""Layouts of the meters that a database knows already, as it has them.

For readings that an earlier run spooled and never registered itself: `delivery` restores them
under the places that their topics have. Their values are rounded already.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from emdc.storage import downtime
from emdc.storage.layout import MeterLayout
from emdc.storage.schema import meters, topics


def layouts(connection: Connection, names: Iterable[str]) -> dict[str, MeterLayout]:
    """By name, those of these meters that are there."""
    wanted = set(names)
    ids = {
        row.meter_id: row.name for row in connection.execute(select(meters)) if row.name in wanted
    }
    slots: dict[int, dict[str, int]] = {meter_id: {} for meter_id in ids}
    for row in connection.execute(select(topics)):
        if row.meter_id in ids:
            slots[row.meter_id][row.topic_name[len(ids[row.meter_id]) + 1 :]] = row.slot
    ticks = downtime.open_schedules(connection)
    return {
        name: MeterLayout(
            name,
            meter_id,
            slots[meter_id],
            dict.fromkeys(slots[meter_id]),
            frozenset(group.interval_s for group in ticks.get(meter_id, ())),
        )
        for meter_id, name in ids.items()
    }
