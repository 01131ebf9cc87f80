"""The part of /health and /metrics about quarter hours, which are made of stored readings."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric

from emdc.web.service import IntervalsStatus, StorageStatus
from emdc.web.storage_health import is_draining, is_failing


class Intervals(msgspec.Struct, kw_only=True):
    """How far the quarter hours are."""

    made_until: datetime | None
    """Those of all meters that ended by then are made; null: not known yet."""
    waiting: int
    """Meters that are still to be looked at since the last one ended."""
    last_error: str | None


def intervals(status: IntervalsStatus | None) -> Intervals | None:
    """The state as /health gives it."""
    if status is None:
        return None
    return Intervals(
        made_until=status.made_until, waiting=status.waiting, last_error=status.last_error
    )


def intervals_problems(
    status: IntervalsStatus | None, storage: StorageStatus, now: datetime
) -> list[str]:
    """Sentences: what is wrong with them; nothing while readings themselves wait."""
    if status is None or status.last_error is None or is_failing(storage) or is_draining(storage):
        return []
    since = f" since {_shown(status.made_until, now)}" if status.made_until else ""
    return [
        f"quarter hours are not made{since} for {status.waiting} meters ({status.last_error}): "
        "no reading is lost by that, and it is tried again; look into the log"
    ]


def interval_families(status: IntervalsStatus | None) -> Iterator[Metric]:
    """The figures for Prometheus."""
    if status is None:
        return
    yield GaugeMetricFamily(
        "emdc_intervals_made_until_timestamp_seconds",
        "Quarter hours that ended by then are made, in seconds since 1970; 0 when not known yet",
        status.made_until.timestamp() if status.made_until else 0.0,
    )
    yield GaugeMetricFamily(
        "emdc_intervals_waiting_meters",
        "Meters whose last quarter hours are still to be made",
        status.waiting,
    )


def _shown(then: datetime, now: datetime) -> str:
    """A time of today as `HH:MM UTC`, any other with its date."""
    day = "" if then.date() == now.date() else "%Y-%m-%d "
    return then.strftime(f"{day}%H:%M UTC")
