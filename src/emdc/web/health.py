"""GET /health: what is wrong and what to do about it, for people and for monitoring.

503 means that this program does not do its work: the database takes nothing, the spool is about to
be full, or a schedule exists and nothing is read. A meter that is down is data, not such a fault:
200 with `degraded`, as while readings come back from the spool. `storage_health.py` has the part of
the database.
"""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from litestar import Response

from emdc.collector.latest import MeterState
from emdc.web.advice import REFUSED, advice
from emdc.web.api import age_s
from emdc.web.exchange import Ask, json_response
from emdc.web.intervals_health import Intervals, intervals, intervals_problems
from emdc.web.service import Service
from emdc.web.storage_health import Database, database, is_draining, is_failing, storage_problems

State: TypeAlias = Literal["ok", "late", "down", "never"]

_MOST_NAMED = 5


class MeterHealth(msgspec.Struct, kw_only=True):
    """How one meter is doing."""

    name: str
    state: State
    """ok; late: no answer for two intervals and 5 s; down: the last try gave nothing; never."""
    last_success: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    age_s: float | None
    """Seconds since it last gave a value."""
    interval_s: float | None
    """Seconds between scheduled readings; null: read only when asked."""
    failures: int
    """Readings without any value since the last success."""
    refused: list[str] = msgspec.field(default_factory=list)
    """Metrics that the meter refuses; they are asked for rarely."""
    learned: list[str] = msgspec.field(default_factory=list)
    """Sentences: which reads the meter did not answer, and when they are asked again."""


class Schedule(msgspec.Struct, kw_only=True):
    """What is read without being asked."""

    meters: int
    shortest_interval_s: float | None
    last_attempt: datetime | None
    """When a scheduled meter last gave an answer or a reason for none."""


class Health(msgspec.Struct, kw_only=True):
    """The whole report."""

    ok: bool
    degraded: bool
    version: str
    started: datetime
    uptime_s: float
    problems: list[str]
    """Sentences: what is wrong, and what to do."""
    schedule: Schedule
    database: Database
    intervals: Intervals | None
    totals: dict[str, int]
    """Meters by state; values read and missed, and links that started anew, since the start."""
    meters: list[MeterHealth]


async def health(service: Service, ask: Ask) -> Response[bytes]:
    """Whether the program does its work: 200 or 503, with the state of every meter.

    `problems` says in sentences what is wrong and what to do. Meters that are down alone leave it
    at 200, with `degraded` true.
    """
    found = report(service)
    return json_response(found, status=200 if found.ok else 503)


def report(service: Service) -> Health:
    """The health of everything, now. No I/O."""
    now = service.clock()
    states = list(service.collector.latest.meters.values())
    meters = [
        meter_health(state, now, service.collector.taught(state.profile.name)) for state in states
    ]
    storage, schedule = service.storage(), _schedule(states)
    stalled = _stalled(schedule, service.started, now)
    if service.collector.clock_back:
        stalled.append(
            "the clock of this computer was set back: nothing is read until it has passed the last "
            "tick again; check the time"
        )
    return Health(
        ok=not is_failing(storage) and not stalled,
        degraded=is_draining(storage) or any(meter.state in {"down", "late"} for meter in meters),
        version=service.version,
        started=service.started,
        uptime_s=age_s(now, service.started),
        problems=[
            *storage_problems(storage, now),
            *intervals_problems(service.intervals(), storage, now),
            *stalled,
            *_meter_problems(states, meters),
        ],
        schedule=schedule,
        database=database(storage, now),
        intervals=intervals(service.intervals()),
        totals=_totals(states, meters) | {"link_restarts": service.link_restarts()},
        meters=meters,
    )


def meter_health(
    state: MeterState, now: datetime, taught: tuple[list[str], list[str]] = ([], [])
) -> MeterHealth:
    """How one meter is doing; `taught`: what it refuses, and the sentences about that."""
    age = age_s(now, state.last_success) if state.last_success else None
    return MeterHealth(
        name=state.profile.name,
        state=_state(state, age),
        last_success=state.last_success,
        last_error=state.last_error,
        last_error_at=state.last_error_at,
        age_s=age,
        interval_s=state.profile.interval_s,
        failures=state.failures,
        refused=taught[0],
        learned=taught[1],
    )


def _state(state: MeterState, age: float | None) -> State:
    if state.failures:
        return "down"
    if age is None:
        return "down" if state.last_error else "never"
    interval = state.profile.interval_s
    return "late" if interval and age > _patience(interval) else "ok"


def _patience(interval_s: float) -> float:
    """Seconds without an answer after which something is wrong."""
    return 2 * interval_s + 5


def _schedule(states: Iterable[MeterState]) -> Schedule:
    scheduled = (state for state in states if state.profile.topics)
    due = [state for state in scheduled if state.profile.interval_s is not None]
    attempts = [attempt for state in due if (attempt := _last_attempt(state))]
    return Schedule(
        meters=len(due),
        shortest_interval_s=min((s.profile.interval_s or 0.0 for s in due), default=None),
        last_attempt=max(attempts, default=None),
    )


def _last_attempt(state: MeterState) -> datetime | None:
    times = [reading.read_at for reading in state.newest.values()]
    times += [time for time in (state.last_success, state.last_error_at) if time]
    return max(times, default=None)


def _stalled(schedule: Schedule, started: datetime, now: datetime) -> list[str]:
    """One sentence when a schedule exists and nothing happens, else nothing."""
    if schedule.shortest_interval_s is None:
        return []
    since = max(schedule.last_attempt or started, started)
    age = age_s(now, since)
    if age <= _patience(schedule.shortest_interval_s):
        return []
    return [
        f"no meter has been read for {age:.0f} s although one is due every "
        f"{schedule.shortest_interval_s:g} s: look into the log, and start the program again"
    ]


def _meter_problems(states: Iterable[MeterState], meters: Iterable[MeterHealth]) -> list[str]:
    """One sentence for each kind of trouble, with the names of the meters that have it."""
    names: dict[tuple[str, str], list[str]] = {}
    for state, meter in zip(states, meters, strict=True):
        trouble = _trouble(state, meter)
        if trouble is not None:
            names.setdefault(trouble, []).append(meter.name)
    return [f"{kind}: {_listed(names[kind, mend])}: {mend}" for kind, mend in sorted(names)]


def _trouble(state: MeterState, meter: MeterHealth) -> tuple[str, str] | None:
    """What to call the trouble of one meter, and what to do; None when it has none."""
    if meter.state == "down":
        reason = meter.last_error or ""
        kind = "held" if reason == "meter_held" else "refused" if reason in REFUSED else "down"
        return kind, advice(reason)
    if meter.state == "late":
        return "late", "its readings come later than its interval allows"
    if refusal := _refusal(state):
        return "refused", advice(refusal)
    return None


def _refusal(state: MeterState) -> str | None:
    """The exception with which a meter answers that is up; None when there is none."""
    for reading in state.newest.values():
        owed = reading.scheduled or state.profile.interval_s is None
        for reason in reading.gaps.values() if owed else ():
            if reason in REFUSED:
                return reason
    return None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _totals(states: Iterable[MeterState], meters: Iterable[MeterHealth]) -> dict[str, int]:
    counts = Counter(meter.state for meter in meters)
    return {
        **{state: counts[state] for state in ("ok", "late", "down", "never")},
        "readings": sum(state.readings for state in states),
        "gaps": sum(state.gaps for state in states),
    }
