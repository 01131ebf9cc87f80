"""From a command line to settings, with the log set up: how every command on meters begins."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from emdc import config, logs
from emdc.config import Settings
from emdc.config.table import CONFIG, PANEL

log = logging.getLogger("emdc")

_AS_JSON = {"text": False, "json": True}


def load(
    given: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
    *,
    serves: bool = False,
) -> Settings:
    """The settings of flags, environment (None: this process's) and file; what is strange about
    them has been logged. Raises ConfigError with every fault.

    `serves`: the log is what the command has to say, and a program may read it; else it is only
    beside the answer, and for people.
    """
    file = given.get(CONFIG.flag)
    settings = config.load(
        flags=given,
        environment=os.environ if environment is None else environment,
        config_file=Path(str(file)).expanduser() if file else None,
    )
    start_log(settings, auto=None if serves else False)
    return settings


def without_meters() -> dict[str, str]:
    """This process's environment without what it says of a meter: for commands that ask none, to
    which a half described one is no matter.
    """
    meters = {name for row in PANEL for name in row.names}
    return {name: value for name, value in os.environ.items() if name not in meters}


def start_log(settings: Settings, *, auto: bool | None = None) -> logs.LogHandler:
    """Log to stderr as the settings say; `auto`: as JSON where they do not, None by the stream."""
    as_json = _AS_JSON.get(settings.log_format, auto)
    handler = logs.configure(settings.log_level, json=as_json, secrets=settings.secrets())
    for warning in settings.warnings:
        log.warning("setting", extra={"found": warning})
    return handler
