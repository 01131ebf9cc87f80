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
WIDE_COLUMNS: Final = 120
_FOLDED: Final = 24
"""A longer text is folded to about that before a whole column makes room for it."""
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


def print_table(
    title: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    spare: Sequence[str] = (),
) -> None:
    """A table; a column named `>name` is aligned to the right, numbers as a rule.

    The first column holds what people copy: it stays on one line while it takes half the width at
    most. Columns of `spare` are left out, the first of them first, on a screen too narrow for all;
    the line below the table says so.
    """
    output = screen()
    cells = [[Text(clean(cell)) for cell in row] for row in rows]
    wide = [_needed(name, cells, index) for index, name in enumerate(columns)]
    kept = list(range(len(columns)))
    left = []
    for name in spare if is_screen() else ():
        if sum(wide[index] for index in kept) < output.width:
            break
        kept.remove(columns.index(name))
        left.append(name.lstrip(">"))
    output.print(Text(clean(title), "bold"), soft_wrap=True)
    output.print(_table(columns, cells, kept, output))
    if left:
        said = f"{output.width} columns have no room for {', '.join(left)}"
        output.print(f"{said}: widen the window, or add | less -S", soft_wrap=True)


def _needed(name: str, rows: Sequence[Sequence[Text]], index: int) -> int:
    """Characters that a column asks for, with the two between it and the next."""
    longest = max((row[index].cell_len for row in rows), default=0)
    return max(len(name.lstrip(">")), min(longest, _FOLDED) if index else longest) + 2


def _table(
    columns: Sequence[str], rows: Sequence[Sequence[Text]], kept: Sequence[int], output: Console
) -> Table:
    table = Table(box=box.SIMPLE_HEAD, collapse_padding=is_screen())
    first = max((row[0].cell_len for row in rows), default=0)
    for index in kept:
        name = columns[index]
        table.add_column(
            name.lstrip(">"),
            justify="right" if name.startswith(">") else "left",
            overflow="fold",
            no_wrap=index == 0 and first <= output.width // 2,
        )
    for row in rows:
        table.add_row(*(row[index] for index in kept))
    return table


def is_screen() -> bool:
    """Whether people look at the output, and not a program."""
    return sys.stdout.isatty()


class _Console(Console):
    """Leaves a closed pipe to whoever ends the program; the library would end it with 1."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


def screen(width: int = PIPE_COLUMNS) -> Console:
    """Standard output for tables and help; `width` holds where it is no terminal."""
    columns = None if is_screen() else width
    return _Console(file=sys.stdout, width=columns, highlight=False, markup=False)


def is_narrow() -> bool:
    """Whether long texts would make tables hard to read."""
    return screen().width < WIDE_COLUMNS
