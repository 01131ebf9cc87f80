"""Text for people: harmless whatever a file or a meter put into it; tables as wide as needed."""

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final, NoReturn

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

# Everything that moves the cursor, colours the screen or turns the direction of text around.
_UNSAFE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
PIPE_COLUMNS: Final = 200
"""Whoever reads tables by a program wants whole lines."""


def clean(text: str) -> str:
    """`text` with its control characters spelled out; line ends stay."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str = "") -> None:
    """Print to standard output, at once."""
    print(clean(text), flush=True)


def note(text: str) -> None:
    """Print beside the output proper, to standard error."""
    print(clean(text), file=sys.stderr, flush=True)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; a column named `>name` is aligned to the right, numbers as a rule."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    output = screen()
    output.print(Text(clean(title), "bold"), soft_wrap=True)
    output.print(table)


class _Console(Console):
    """Leaves a closed pipe to whoever ends the program; the library would end it with 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def screen(width: int = PIPE_COLUMNS) -> Console:
    """Standard output for tables and help; `width` holds where it is no terminal."""
    columns = None if sys.stdout.isatty() else width
    return _Console(file=sys.stdout, width=columns, highlight=False, markup=False)
