"""The points of SunSpec models, from the model files of pysunspec2: the only module that knows it.

It is an extra, and only its JSON files are used: nothing of it runs.
"""

from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Final

import msgspec

from emdc.errors import ConfigError, MeterError
from emdc.meters import sunspec
from emdc.meters.register_map import RegisterMap
from emdc.meters.sunspec import Layout, Point, Points

INSTALL: Final = "pip install 'emdc[sunspec]'"


class _Point(msgspec.Struct):
    name: str
    type: str
    size: int
    units: str = ""
    sf: str | int = ""
    label: str = ""


class _Group(msgspec.Struct):
    points: list[_Point]


class _Model(msgspec.Struct):
    group: _Group


@lru_cache(maxsize=1)
def points() -> Points:
    """The points of all models that are read.

    Raises ConfigError when the extra is not installed, or its files are others than expected.
    """
    try:
        folder = resources.files("sunspec2") / "models" / "json"
        return {model: _points(folder / f"model_{model}.json") for model in sunspec.MODELS}
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"map {sunspec.NAME!r} needs the extra of that name, which is not installed "
            f"({error}): {INSTALL}"
        ) from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ConfigError(
            f"map {sunspec.NAME!r}: the model files of pysunspec2 are others than expected "
            f"({error}): {INSTALL}"
        ) from error


@lru_cache(maxsize=1024)
def map_of(layout: Layout) -> RegisterMap:
    """The map of a device with this layout, one for all that are alike.

    Raises ConfigError as `points`, MeterError when the device has models and no value in them.
    """
    found = sunspec.register_map(layout, points())
    if layout.blocks and not found.metrics:
        lengths = ", ".join(f"{block.model} with {block.length}" for block in layout.blocks)
        raise MeterError(
            "not_discovered",
            f"models {lengths} registers from {layout.base}, expected a value in one of them",
        )
    return found


def _points(file: Traversable) -> list[Point]:
    model = msgspec.json.decode(file.read_bytes(), type=_Model)
    found, offset = [], 0
    for one in model.group.points:
        factor = one.sf if isinstance(one.sf, str) else ""
        label = " ".join(one.label.split())
        found.append(Point(one.name, offset, one.size, one.type, one.units, factor, label))
        offset += one.size
    return found
