"""Faults and warnings of one workbook, gathered so that a user mends all of them in one go.

Filled by every module that reads a workbook; `workbook` raises them at the end. A place is a cell
such as `Metrics!D17`, or empty when the whole file is meant.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from emdc.errors import RegisterMapError

SHOWN: Final = 50
"""Faults, and warnings, that are listed; more of them are only counted."""


_Line = TypeVar("_Line")


class Findings:
    """What was found in the workbook called `book`."""

    def __init__(self, book: str) -> None:
        self.book = book
        self.faults: list[tuple[str, str]] = []
        self._warnings: list[str] = []

    def fault(self, place: str, problem: str) -> None:
        """Note what makes the workbook unusable."""
        self.faults.append((place, problem))

    def warn(self, place: str, problem: str) -> None:
        """Note what is strange but usable."""
        self._warnings.append(f"{place}: {problem}" if place else problem)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The first SHOWN warnings, then how many more there are."""
        return tuple(_capped(self._warnings, lambda more: more))

    def error(self) -> RegisterMapError:
        """The first SHOWN faults, then how many more there are, as one error."""
        return RegisterMapError(self.book, _capped(self.faults, lambda more: ("", more)))

    def raise_faults(self) -> None:
        """Raise RegisterMapError when there is any fault."""
        if self.faults:
            raise self.error()


def _capped(lines: list[_Line], count: Callable[[str], _Line]) -> list[_Line]:
    more = len(lines) - SHOWN
    return lines if more <= 0 else [*lines[:SHOWN], count(f"and {more} more")]
