"""`emdc simulate`: a register map served as if it were a meter, for any Modbus client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

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
    asyncio.run(_serve(register_map, place))
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
        raise EmdcError(
            f"cannot listen on {place.host}:{place.port}: {error.strerror or error}; choose "
            "another --port, or end the program that has it"
        ) from error
    try:
        yield server.port
    finally:
        server.close()
        await server.wait_closed()


async def _serve(register_map: RegisterMap, place: Place) -> None:
    stop = asyncio.Event()
    for number in ending_signals():
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving(register_map, place) as port:
        _introduce(register_map, place, port)
        await stop.wait()


def _introduce(register_map: RegisterMap, place: Place, port: int) -> None:
    unit = "" if place.unit is None else f", unit {place.unit}"
    host = f"[{place.host}]" if ":" in place.host else place.host
    say(f"{register_map.name}: {len(register_map.metrics)} metrics at {host}:{port}{unit}")
    flags = [
        f"--panel_host={host}:{port}",
        f"--panel_topic_prefix=demo/{register_map.name}",
        f"--panel_metrics_workbook={register_map.name}",
    ]
    if place.unit is not None:
        flags.append(f"--panel_unit={place.unit}")
    if place.transport != TRANSPORTS[0]:
        flags.append(f"--panel_transport={place.transport}")
    say(f"try: emdc collect {' '.join(flags)}")
