"""The root command: which commands there are, and what a wrong command line is told."""

import difflib
from collections.abc import Sequence
from typing import Any, Final

from cyclopts import (
    App,
    CycloptsError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.help import DefaultFormatter, HelpEntry
from cyclopts.help.specs import ColumnSpec, DescriptionRenderer, NameRenderer
from rich.console import Console, ConsoleOptions

from emdc import __version__
from emdc.cli.terminal import screen
from emdc.errors import ConfigError

COMMANDS: Final = {
    "run": ("emdc.cli.run:command", "Read meters, record every reading, serve them over HTTP."),
    "collect": ("emdc.cli.collect:command", "Read the meters once and print what they say."),
    "probe": ("emdc.cli.probe:command", "Find out how a meter is to be read."),
    "migrate": ("emdc.cli.migrate:command", "Bring a database to this version's schema."),
    "gendata": ("emdc.cli.gendata:command", "Fill a database with sample data."),
    "energy": ("emdc.cli.energy:command", "Print what counters counted."),
    "history": ("emdc.cli.history:command", "Print what a topic was over time."),
    "gaps": ("emdc.cli.gaps:command", "Print where values are missing, and why."),
    "export": ("emdc.cli.export:command", "Write stored values as CSV."),
    "import": ("emdc.cli.importing:command", "Store the values of a CSV file."),
    "intervals": ("emdc.cli.intervals:command", "Make the quarter hours of what is stored."),
    "meter": ("emdc.cli.meter:app", "Say that a meter was swapped, or what a counter did."),
    "check": ("emdc.cli.check:command", "Look whether a database is whole and nothing is missing."),
    "retention": ("emdc.cli.retention:command", "Delete readings older than so many days."),
    "simulate": ("emdc.cli.simulate:command", "Serve a register map as if it were a meter."),
    "demo": ("emdc.cli.demo:command", "Show all of it with two simulated meters."),
    "map": ("emdc.cli.maps:app", "List, show, check and copy register maps."),
}
"""Name → where the command is, and its line of help."""

HELP_COLUMNS: Final = 100
"""Columns of the help where there is no terminal that says how wide it is."""

_SUMMARY: Final = """Read energy meters over Modbus TCP and keep every reading.

`emdc demo` shows it without a meter; `emdc COMMAND --help` explains a command."""


_OF_METER: Final = {
    "--map": "--panel_metrics_workbook",
    "--host": "--panel_host=HOST:PORT",
    "--port": "--panel_host=HOST:PORT",
    "--name": "--panel_topic_prefix",
}
_TWINS: Final = {
    "collect": _OF_METER,
    "run": _OF_METER,
    "probe": {
        "--port": "HOST:PORT without a flag",
        "--host": "HOST without a flag",
        "--panel_host": "HOST without a flag",
        "--panel_metrics_workbook": "--map",
    },
    "map": {"--port": "--host=HOST:PORT"},
    "energy": {"--meter": "--topic"},
    "history": {"--meter": "--topic"},
}
"""Of each command, flags that people know from another one: what they are called here."""

_WORDS: Final = {". Did you mean": ", did you mean", "? Available commands:": ", expected one of"}


def build(asked: str = "") -> App:
    """The program as cyclopts sees it; no command but `asked` will be imported.

    The lines of help stand here; of the command that is asked for, its own docstring is shown.
    """
    app = App(
        name="emdc",
        console=screen(width=HELP_COLUMNS),
        help=_SUMMARY,
        help_format="plaintext",
        help_formatter=DefaultFormatter(column_specs=_columns),
        version=__version__,
        suppress_keyboard_interrupt=False,
    )
    for number, (name, (where, summary)) in enumerate(COMMANDS.items()):
        app.command(where, name=name, help=None if name == asked else summary, sort_key=number)
    return app


def call(tokens: Sequence[str]) -> int:
    """Run the command that `tokens` name; gives its exit code.

    Raises ConfigError for a command line that cannot be understood.
    """
    asked = tokens[0] if tokens else ""
    try:
        code: Any = build(asked)(
            list(tokens), exit_on_error=False, print_error=False, result_action="return_value"
        )
    except CycloptsError as error:
        chain = " ".join(("emdc", *(error.command_chain or ())))
        raise ConfigError(f"{_problem(error, asked)}; see {chain} --help") from error
    return code if isinstance(code, int) else 0


def _columns(
    console: Console, options: ConsoleOptions, entries: list[HelpEntry]
) -> tuple[ColumnSpec, ...]:
    """Columns of the help in which the longest flag stands on one line."""
    longest = max(24, *(len(name) for entry in entries for name in ("", *entry.names)))
    names = ColumnSpec(renderer=NameRenderer(max_width=longest), style="cyclopts.name")
    return (names, ColumnSpec(renderer=DescriptionRenderer(newline_metadata=False)))


def _problem(error: CycloptsError, asked: str) -> str:
    if isinstance(error, UnknownCommandError) and not error.command_chain:
        # The library would import every command to say this.
        return f"unknown command {asked!r}{_nearest(asked)}, expected one of {', '.join(COMMANDS)}"
    if isinstance(error, UnusedCliTokensError) and error.unused_tokens:
        return _stray(error.unused_tokens[0], asked)
    if isinstance(error, UnknownOptionError):
        flag = error.token.keyword or ""
        if twin := _TWINS.get(asked, {}).get(flag):
            return f"unknown option: {flag}, did you mean {twin}"
    text = str(error).strip().rstrip(".?")
    for said, ours in _WORDS.items():
        text = text.replace(said, ours)
    return text[:1].lower() + text[1:]


def _stray(token: str, asked: str) -> str:
    meant = "a flag and its value are --flag=value"
    if asked in {"collect", "run"}:
        flag = "--config" if token.endswith(".toml") else "--panel_host"
        meant = f"did you mean {flag}={token}"
    return f"{token!r} belongs to no flag; {meant}"


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f", did you mean {near[0]}" if near else ""
