"""One line per collection cycle, for whoever watches the daemon on a terminal."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from emdc.cli.terminal import say
from emdc.collector.latest import MeterState
from emdc.collector.ticker import Ticker
from emdc.reading import MeterReading, Value
from emdc.web.service import Service

LOOK_S: Final = 0.05
TELLING: Final = {"W": (1e-3, "kW"), "Wh_delivered": (1e-3, "kWh")}
"""Metric → factor and unit in which a line shows it."""


async def print_lines(service: Service, running: Sequence[Ticker]) -> None:
    """Print a line as soon as every meter has answered for a tick, or the next tick is there."""
    states = list(service.collector.latest.meters.values())
    waiting: datetime | None = None
    printed: datetime | None = None
    while True:
        tick = max((one.last_tick for one in running if one.last_tick), default=None)
        done = tick is not None and all(newest(state, tick) for state in states)
        ended = tick if done else waiting if waiting != tick else None
        if ended is not None and ended != printed:
            say(line(states, ended))
            printed = ended
        waiting = tick
        await asyncio.sleep(LOOK_S)


def newest(state: MeterState, tick: datetime) -> MeterReading | None:
    """The scheduled reading of this tick, if it is the newest of its plan."""
    readings = (one for one in state.newest.values() if one.scheduled and one.tick == tick)
    return next(readings, None)


def line(states: Iterable[MeterState], tick: datetime) -> str:
    """Local time, how many meters and values came, and what they say."""
    readings = [(state, newest(state, tick)) for state in states]
    answered = [one for _, one in readings if one and one.answered]
    values = sum(len(one.metrics) - len(one.gaps) for one in answered)
    told = "   ".join(f"{_short(state)} {_telling(one)}" for state, one in readings)
    at = tick.astimezone().strftime("%H:%M:%S")
    return f"{at}  {len(answered)} of {len(readings)} meters  {values} values   {told}"


def _short(state: MeterState) -> str:
    """`Mercer` of `UW/Mercer/nexus_meter`."""
    parts = state.profile.name.split("/")
    return parts[-2] if len(parts) > 1 else parts[0]


def _telling(reading: MeterReading | None) -> str:
    if reading is None:
        return "no answer"
    values = dict(zip(reading.metrics, reading.values, strict=True))
    shown = [_scaled(values.get(name), *TELLING[name]) for name in TELLING]
    return ", ".join(text for text in shown if text) or next(
        iter(reading.gaps.values()), "no value"
    )


def _scaled(value: Value, factor: float, unit: str) -> str:
    return f"{value * factor:,.1f} {unit}" if isinstance(value, int | float) else ""
