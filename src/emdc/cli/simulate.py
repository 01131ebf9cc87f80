"""`emdc simulate`: a register map served as if it were a meter, for any Modbus client."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from emdc import place as places
from emdc.cli.flags import DEBUG, MAPS_DIR, takes
from emdc.cli.lookup import find_map, own_values
from emdc.cli.terminal import say
from emdc.config.table import RTU_OVER_TCP, TRANSPORTS, Setting
from emdc.errors import ConfigError, EmdcError
from emdc.meters import sunspec
from emdc.meters.register_map import RegisterMap
from emdc.meters.sunspec_models import points
from emdc.synthetic import sunspec as simulated
from emdc.synthetic.simulator import simulate
from emdc.system import ending_signals

MAP: Final = Setting("", "map", "text", None, "Register map: name or path of a spreadsheet")
OWN: Final = (
    MAP,
    Setting("", "host", "bind", "127.0.0.1", "Address to listen on"),
    Setting("", "port", "whole", 5020, "Port to listen on; 0 takes a free one", 0, 65535),
    Setting("", "latency", "number", 0.0, "Milliseconds until an answer", 0, 60000),
    Setting("", "unit", "whole", None, "Only Modbus unit that answers; all do without", 0, 255),
    Setting("", "transport", "text", "tcp", "How requests come", choices=TRANSPORTS),
)


@dataclass(frozen=True)
class Place:
    """Where a simulated meter listens, and how it behaves."""

    host: str
    port: int
    latency_s: float = 0.0
    unit: int | None = None
    transport: str = TRANSPORTS[0]


@takes(*OWN, MAPS_DIR, DEBUG)
def command(**given: Any) -> int:
    """Serve a register map as if it were a meter.

    Three phases that add up, loads that change over the day, counters that
    grow. Ctrl-C ends it.

        emdc simulate --map nexus-1272 --port 5020

    With --map sunspec it is a device that describes itself.
    """
    own: dict[str, Any] = own_values(OWN, given)
    if own["map"] is None:
        raise ConfigError("--map: missing, expected a name of `emdc map list` or a path")
    described = own["map"] == sunspec.NAME
    register_map = simulated.device(points()) if described else find_map(own["map"], given)
    place = Place(own["host"], own["port"], own["latency"] / 1000, own["unit"], own["transport"])
    named = {"panel_metrics_workbook": own["map"], "maps_dir": given.get("maps_dir")}
    asyncio.run(_serve(register_map, place, named))
    return 0


@asynccontextmanager
async def serving(register_map: RegisterMap, place: Place) -> AsyncIterator[int]:
    """The port of a simulated meter that answers until the block ends.

    Raises EmdcError when the port cannot be had.
    """
    try:
        server = await simulate(
            register_map,
            place.host,
            place.port,
            latency_s=place.latency_s,
            unit=place.unit,
            rtu=place.transport == RTU_OVER_TCP,
        )
    except OSError as error:
        where = places.place(place.host, place.port)
        raise EmdcError(
            f"cannot listen on {where}: {error.strerror or error}; choose another --port, or end "
            "the program that has it"
        ) from error
    try:
        yield server.port
    finally:
        server.close()
        await server.wait_closed()


async def _serve(register_map: RegisterMap, place: Place, named: Mapping[str, object]) -> None:
    stop = asyncio.Event()
    for number in ending_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(register_map, place) as port:
        _introduce(register_map, place, port, named)
        await stop.wait()


def _introduce(
    register_map: RegisterMap, place: Place, port: int, named: Mapping[str, object]
) -> None:
    """Say what is served, and how to read it; `named` are the flags that find its map."""
    unit = "" if place.unit is None else f", unit {place.unit}"
    where = places.place(place.host, port)
    count = sum(not metric.hidden for metric in register_map.metrics)
    say(f"{register_map.name}: {count} metrics at {where}{unit}")
    flags: dict[str, object] = {
        "panel_host": where,
        "panel_topic_prefix": f"demo/{register_map.name}",
        **named,
        "panel_unit": place.unit,
        "panel_transport": None if place.transport == TRANSPORTS[0] else place.transport,
    }
    told = [f"--{flag}={value}" for flag, value in flags.items() if value is not None]
    say(f"try: emdc collect {shlex.join(told)}")
