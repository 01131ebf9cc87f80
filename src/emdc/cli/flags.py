"""Flags out of rows of settings: the signature that the command line is parsed by, and its help.

The daemon's flags are the rows of `config.table`; a command's own are rows of the same kind, so all
of them are checked by the same rules and complain in the same words. Every flag is None when it was
not given. Both spellings work, `--panel_host` and `--panel-host`.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, TypeAlias

from cyclopts import Group, Parameter

from emdc.config.table import CONFIG, SETTINGS, Setting
from emdc.config.values import Read, from_text, limits
from emdc.errors import ConfigError

Command: TypeAlias = Callable[..., int]

DATABASE: Final = tuple(row for row in SETTINGS if row.key.startswith("database."))
LOG: Final = tuple(row for row in SETTINGS if row.flag in {"log_level", "log_format", "debug"})
DEBUG: Final = Setting("debug", "debug", "switch", False, "Show the trace of an unexpected error")
MAPS_DIR: Final = next(row for row in SETTINGS if row.flag == "maps_dir")

_GROUPS: Final = {
    name: Group(title, sort_key=number)
    for number, (name, title) in enumerate(
        {
            "": "Options",
            "meters": "Meter",
            "database": "Database",
            "http": "HTTP",
            "files": "Files",
            "log": "Log",
        }.items()
    )
}
_METAVARS: Final = {
    **dict.fromkeys(("whole", "number", "ratio"), "NUMBER"),
    **{"path": "PATH", "host": "HOST"},
}


def takes(*rows: Setting, argument: Setting | None = None) -> Callable[[Command], Command]:
    """Let a command take these flags as keywords, and one value without a flag before them.

    That value may be left out when the row has a default.
    """

    def described(command: Command) -> Command:
        parameters = [_parameter(row, inspect.Parameter.KEYWORD_ONLY) for row in rows]
        if argument is not None:
            parameters.insert(0, _parameter(argument, inspect.Parameter.POSITIONAL_ONLY))
        described: Any = command
        described.__signature__ = inspect.Signature(parameters)
        described.__annotations__ = {one.name: one.annotation for one in parameters}
        return command

    return described


def checked(
    rows: tuple[Setting, ...], given: Mapping[str, object], environment: Mapping[str, str]
) -> dict[str, Read | None]:
    """Values of a command's own flags: given, else from the environment, else their default.

    Only rows with a key are looked for in `environment`. Raises ConfigError with every fault.
    """
    values: dict[str, Read | None] = {}
    faults = []
    for row in rows:
        named = [name for name in row.names if row.key and environment.get(name, "").strip()]
        where, text = f"--{row.flag}", given.get(row.flag)
        if text is None and named:
            where, text = named[0], environment[named[0]]
        try:
            values[row.flag] = row.default if text is None else from_text(row, str(text))
        except ValueError as error:
            faults.append(f"{where}: {error}")
    if faults:
        raise ConfigError("\n  ".join(faults))
    return values


def _parameter(row: Setting, kind: Any) -> inspect.Parameter:
    positional = kind is inspect.Parameter.POSITIONAL_ONLY
    plain: Any = bool if row.kind == "switch" else str
    hint: Any = Annotated[
        plain if positional else plain | None,
        Parameter(
            name=row.flag.upper() if positional else f"--{row.flag}",
            group=None if positional else _GROUPS[_group(row)],
            help=_help(row),
            metavar=None if row.kind == "switch" else _METAVARS.get(row.kind, "TEXT"),
            negative=(),
        ),
    ]
    needed = inspect.Parameter.empty if row.default is None else row.default
    default = needed if positional else None
    return inspect.Parameter(row.flag, kind, default=default, annotation=hint)


def _group(row: Setting) -> str:
    if row in LOG or row is DEBUG:
        return "log"
    if row in (CONFIG, MAPS_DIR):
        return "files"
    return row.key.partition(".")[0] if row in SETTINGS else ""


def _help(row: Setting) -> str:
    """Its meaning, then what is allowed and what holds without it."""
    shown = [limits(row), ", ".join(row.choices)]
    if row.default:
        shown.append(f"default {row.default}")
    extra = "; ".join(part for part in shown if part)
    return f"{row.help} ({extra})" if extra else row.help
