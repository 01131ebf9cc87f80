"""What to say of a file that is no TOML: where, the line itself, and the usual mend. Pure."""

import re
from typing import Final

_PLACE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")
_PAIR: Final = re.compile(r"\s*([A-Za-z0-9_.-]+)\s*=\s*([^#]*?)\s*(?:#.*)?")
_HEADING: Final = re.compile(r"\s*\[[A-Za-z_\[\] ]*(?:#.*)?")
_SECRET: Final = re.compile("password|token|url", re.IGNORECASE)
"""Words in a line that may hold a secret, which no message shows."""
_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+")
_LONGEST: Final = 80


def described(problem: str, text: str) -> str:
    """`problem` as tomllib words it, of the file's content `text`: place, problem, line, mend."""
    found = _PLACE.search(problem)
    if found is None:
        return f"not TOML: {problem}"
    number, column = int(found[1]), found[2]
    lines = text.split("\n")
    line = lines[number - 1] if number <= len(lines) else ""
    said = f"line {number}, column {column}: not TOML: {problem[: found.start()]}"
    return said + _of_line(line)


def _of_line(line: str) -> str:
    """The line and its mend. One that is no pair may be part of a longer text: it is not shown."""
    pair = _PAIR.fullmatch(line)
    if pair is None:
        return f": {line.strip()[:_LONGEST]}" if _HEADING.fullmatch(line) else ""
    mend = _mend(pair[2])
    if _SECRET.search(line):
        return mend.partition(":")[0]
    return f": {line.strip()[:_LONGEST]}{mend}"


def _mend(value: str) -> str:
    if _COMMA.fullmatch(value):
        return f", expected the decimals after a point: {value.replace(',', '.')}"
    if value[:1] in {'"', "'"} and (len(value) == 1 or value[0] != value[-1]):
        return f", expected {value[0]} at the end of the text too"
    if not value or value[0] in "\"'[{" or value in {"true", "false"} or _is_number(value):
        return ""
    return f", expected the text in quotes: '{value}'"


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
