"""GET /metrics: the state that /health tells, and the newest values, as Prometheus reads them.

The families are built on the event loop, so that they are one moment's picture, and become text on
a thread, because ten thousand lines take longer than many readings. Nothing is kept from one scrape
to the next, and the library's process-wide registry is never used.
To add a figure of the storage: one row in GAUGES or COUNTERS.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, TypeAlias, cast

from litestar import Response
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from emdc.collector.latest import MeterState
from emdc.web.api import age_s, rounded
from emdc.web.exchange import Ask
from emdc.web.health import Health, report
from emdc.web.intervals_health import interval_families
from emdc.web.newest import newest_numbers
from emdc.web.service import Service, StorageStatus

MOST_VALUES: Final = 10_000
"""Values on one page: more would cost whoever keeps them more than they tell."""

Figure: TypeAlias = Callable[[StorageStatus], float]

GAUGES: Final[tuple[tuple[str, str, Figure], ...]] = (
    ("storage_up", "1 when the database took the last write", lambda s: s.ok),
    (
        "storage_last_commit_timestamp_seconds",
        "When readings were last made durable, in seconds since 1970; 0 when never",
        lambda s: _seconds(s.last_commit_at),
    ),
    ("storage_queued_readings", "Readings in memory that are not on disk yet", lambda s: s.queued),
    ("spool_readings", "Readings that wait in the spool for the database", lambda s: s.spooled),
    ("spool_bytes", "What the waiting readings take of the spool", lambda s: s.spool_bytes),
    (
        "spool_limit_bytes",
        "What the spool may hold; 0 when there is none",
        lambda s: s.spool_limit_bytes,
    ),
    (
        "spool_oldest_timestamp_seconds",
        "When the oldest waiting reading was spooled, in seconds since 1970; 0 when none waits",
        lambda s: _seconds(s.spool_since),
    ),
)
"""Name after `emdc_`, meaning, and where it comes from."""

COUNTERS: Final[tuple[tuple[str, str, Figure], ...]] = (
    ("storage_stored_readings", "Readings that the database took", lambda s: s.stored),
    (
        "storage_conflicts",
        "Readings whose place held other values already, which stay",
        lambda s: s.conflicts,
    ),
    ("storage_dropped_readings", "Readings lost as nothing took them in time", lambda s: s.dropped),
    (
        "storage_refused_readings",
        "Readings that the database refuses for good, set aside",
        lambda s: s.refused,
    ),
    (
        "spool_replayed_readings",
        "Readings that came back from the spool into the database",
        lambda s: s.replayed,
    ),
    (
        "spool_dropped_readings",
        "Readings that the limit of the spool dropped, which are gaps",
        lambda s: s.overflowed,
    ),
)
"""As GAUGES; the form adds `_total`, and each counts since the start."""


async def metrics(service: Service, ask: Ask) -> Response[bytes]:
    """State, storage, spool and newest values in the text format of Prometheus.

    Texts and values that the newest attempt did not give are left out, and so is what goes beyond
    10,000 values, which `emdc_values_left_out` counts.
    """
    page = await asyncio.to_thread(exposition, list(families(service)))
    return Response(page, headers={"content-type": CONTENT_TYPE_LATEST})


def exposition(found: Sequence[Metric]) -> bytes:
    """The page that holds `found` and what the system tells about this process."""
    registry = CollectorRegistry()
    registry.register(_Built(found))
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Built(Collector):
    """Gives a registry families that are built already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        return self._found


def families(service: Service) -> Iterator[Metric]:
    """All that is known now. No I/O."""
    states = list(service.collector.latest.meters.values())
    now, storage = service.clock(), service.storage()
    found = report(service)
    yield from _program(found)
    yield from _meters(found, states)
    yield CounterMetricFamily(
        "emdc_link_restarts",
        "Times that a connection to a meter started anew after failing too often or hanging",
        found.totals["link_restarts"],
    )
    yield from _storage(storage, now)
    yield from interval_families(service.intervals())
    yield from _values(states, now)


def _program(found: Health) -> Iterator[Metric]:
    yield InfoMetricFamily("emdc_build", "Version of the program", {"version": found.version})
    yield GaugeMetricFamily(
        "emdc_start_time_seconds",
        "When the program began, in seconds since 1970",
        _seconds(found.started),
    )
    yield GaugeMetricFamily("emdc_ok", "1 when the program does its work, 0 when not", found.ok)


def _meters(found: Health, states: Iterable[MeterState]) -> Iterator[Metric]:
    label = ("meter",)
    up = GaugeMetricFamily("emdc_meter_up", "1 when the meter answers in time", labels=label)
    success = GaugeMetricFamily(
        "emdc_meter_last_success_timestamp_seconds",
        "When the meter last answered, in seconds since 1970; 0 when never",
        labels=label,
    )
    readings = CounterMetricFamily(
        "emdc_meter_readings",
        "Readings tried since the start, with and without an answer",
        labels=label,
    )
    gaps = CounterMetricFamily(
        "emdc_meter_gaps", "Values missing in those readings since the start", labels=label
    )
    for meter, state in zip(found.meters, states, strict=True):
        name = [_label(meter.name)]
        up.add_metric(name, meter.state == "ok")
        success.add_metric(name, _seconds(meter.last_success))
        readings.add_metric(name, state.readings)
        gaps.add_metric(name, state.gaps)
    yield from (up, success, readings, gaps)


def _storage(storage: StorageStatus, now: datetime) -> Iterator[Metric]:
    for name, meaning, figure in GAUGES:
        yield GaugeMetricFamily(f"emdc_{name}", meaning, figure(storage))
    yield GaugeMetricFamily(
        "emdc_spool_oldest_age_seconds",
        "Seconds since the oldest waiting reading was spooled; 0 when none waits",
        age_s(now, storage.spool_since) if storage.spool_since else 0.0,
    )
    for name, meaning, figure in COUNTERS:
        yield CounterMetricFamily(f"emdc_{name}", f"{meaning}, since the start", figure(storage))


def _values(states: Iterable[MeterState], now: datetime) -> Iterator[Metric]:
    values = GaugeMetricFamily(
        "emdc_value",
        "The newest number of each metric, in its unit; absent when the newest attempt gave none",
        labels=("meter", "metric", "unit"),
    )
    count = 0
    for count, (meter, topic, value) in enumerate(newest_numbers(states, now), 1):
        if count <= MOST_VALUES:
            labels = [_label(part) for part in (meter, topic.name, topic.unit)]
            values.add_metric(labels, cast("float", rounded(value, topic.digits)))
    yield values
    yield GaugeMetricFamily(
        "emdc_values_left_out",
        f"Newest numbers beyond the {MOST_VALUES} that are here",
        max(0, count - MOST_VALUES),
    )


def _label(text: str) -> str:
    """`text` as UTF-8 can hold it: a half surrogate becomes a question mark."""
    return text if text.isascii() else text.encode(errors="replace").decode()


def _seconds(time: datetime | None) -> float:
    """Seconds since 1970; 0 when there is no time, so that an age of it is an alarm."""
    return time.timestamp() if time else 0.0
