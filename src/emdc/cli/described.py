"""A device that describes itself, asked what it holds: `emdc map show sunspec --host HOST`."""

import asyncio
import os
from collections.abc import Mapping
from typing import Final

from emdc.cli.lookup import own_values
from emdc.cli.terminal import print_table
from emdc.config.hosts import PORT, split_host
from emdc.config.table import Setting
from emdc.daemon import open_links
from emdc.errors import ConfigError, EmdcError, MeterError
from emdc.meters import discovery, sunspec, sunspec_models
from emdc.meters.register_map import RegisterMap
from emdc.meters.sunspec import Layout
from emdc.place import place
from emdc.web.advice import advice

HOST: Final = Setting(
    "", "host", "host", None, f"Device to ask, host or host:port, with the name {sunspec.NAME}"
)
UNIT: Final = Setting("", "unit", "whole", 1, "Its Modbus unit", 0, 255)


def show(given: Mapping[str, object]) -> RegisterMap:
    """Ask a device, print its models, and give its map.

    Raises ConfigError without a host, EmdcError when the device does not say what it is.
    """
    own = own_values((HOST, UNIT), given)
    sunspec_models.points()  # before anybody is asked
    if own["host"] is None:
        raise ConfigError(
            f"--host: missing, expected that of a device: the map {sunspec.NAME} is what it says "
            "of itself"
        )
    host, port = split_host(own["host"])
    where = f"{place(host, port or PORT)}, unit {own['unit']}"
    try:
        layout = asyncio.run(_ask(host, port or PORT, own["unit"]))
        found = sunspec_models.map_of(layout)
    except MeterError as error:
        raise EmdcError(f"{where}: {error}; {advice(error.reason)}") from error
    rows = [
        (str(block.model), str(block.address), str(block.length), _what(block.model))
        for block in layout.blocks
    ]
    print_table(f"{where}: SunSpec from {layout.base}", (">model", ">address", ">length", ""), rows)
    return found


def _what(model: int) -> str:
    return "read" if model in sunspec.MODELS else "not read"


async def _ask(host: str, port: int, unit: int) -> Layout:
    links = open_links(f"emdc map show, process {os.getpid()}")
    try:
        return await discovery.ask(links, host, port, unit)
    finally:
        links.close()
