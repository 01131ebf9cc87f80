"""Register maps and own flags of the commands that need no meter."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from emdc.cli.flags import MAPS_DIR, checked
from emdc.config.table import Setting
from emdc.errors import RegisterMapError
from emdc.meters import library, sunspec
from emdc.meters.register_map import RegisterMap


def own_values(rows: tuple[Setting, ...], given: Mapping[str, object]) -> dict[str, Any]:
    """Checked values of a command's own flags; raises ConfigError with every fault."""
    return checked(rows, given, {})


def maps_dir(given: Mapping[str, object]) -> Path:
    """The folder of a user's own maps: the flag, the environment, or the usual one."""
    folder = checked((MAPS_DIR,), given, os.environ)[MAPS_DIR.flag]
    return folder if isinstance(folder, Path) else library.default_maps_dir()


def find_map(name: str, given: Mapping[str, object], *, unverified: bool = False) -> RegisterMap:
    """The map of this name or path; raises RegisterMapError.

    `unverified`: with the metrics that nothing verifies.
    """
    if name == sunspec.NAME:
        problem = "each device has its own: emdc map show sunspec --host HOST asks one"
        raise RegisterMapError(name, [("", problem)])
    return library.find(name, maps_dir=maps_dir(given), unverified=unverified)
