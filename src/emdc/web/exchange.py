"""What a request asks, read strictly, and the two kinds of answers: JSON and plain text.

Every route says its parameters in `app.ROUTES`; whatever is not said there, is given twice or does
not parse is 400 with what was expected. The framework's own reading is not used because it takes
`5.0` and `1e3` for whole numbers and ignores what it does not know.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

ParameterKind: TypeAlias = Literal["text", "whole", "seconds", "flag", "choice"]

_PATTERNS: Final = {
    "whole": re.compile(r"-?[0-9]+"),
    "seconds": re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?"),
    "flag": re.compile(r"[01]"),
}
LONGEST_TEXT: Final = 1000
"""Characters of a parameter; a topic has at most 512."""

_MOST_FIELDS: Final = 32
_NOTHING: Final = (0.0, -1000)
"""How much a media type is wanted that is not named."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One query parameter of a route: its form, its bounds, and what it means."""

    name: str
    description: str
    kind: ParameterKind = "text"
    """`whole`: ASCII digits; `seconds`: decimal digits, a point allowed; `flag`: 0 or 1; `choice`:
    one of `choices`."""
    default: float | str | None = None
    minimum: int = 0
    maximum: int = 1_000_000_000
    required: bool = False
    by_route: bool = False
    """Its route says that it is missing, with examples of the database."""
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        """The form and the bounds in words."""
        if self.kind == "whole":
            return f"a whole number from {self.minimum} to {self.maximum}"
        if self.kind == "seconds":
            return f"seconds from {self.minimum} to {self.maximum}, such as 30 or 0.5"
        if self.kind == "choice":
            return f"one of {', '.join(self.choices)}"
        return "0 or 1" if self.kind == "flag" else "a text"


@dataclass(frozen=True, slots=True)
class Ask:
    """What a client asks: the value of every parameter of the route, and the form of the answer."""

    given: Mapping[str, Any]
    """str, int, float or bool by the parameter's kind; its default, or None, when not given."""
    wants_json: bool = False
    wants_csv: bool = False
    bare: bool = False
    """The body is not sent: it was asked for by HEAD."""


def refuse(status: int, detail: str) -> HTTPException:
    """An error to raise: `detail` is the sentence that the client reads."""
    return HTTPException(detail=detail, status_code=status)


def quoted(text: str) -> str:
    """`text` in quotes, escaped, at most 80 characters of it: safe to show back to a client."""
    return repr(text if len(text) <= 80 else text[:80] + "…")


def nearest(name: str, known: Iterable[str]) -> str:
    """The names that look most like `name`, as the end of a sentence; empty when none does."""
    spelled = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(name[:100].lower(), spelled, n=3, cutoff=0.6)
    return f"; nearest: {', '.join(spelled[match] for match in close)}" if close else ""


def read_query(raw: bytes, parameters: Sequence[Parameter]) -> dict[str, Any]:
    """The values of `parameters` in the query string `raw`. Raises 400 for anything else."""
    wanted = {parameter.name: parameter for parameter in parameters}
    given: dict[str, str] = {}
    for name, value in _pairs(raw):
        if name not in wanted:
            known = ", ".join(wanted) or "none"
            raise refuse(400, f"unknown parameter {quoted(name)}; this address takes: {known}")
        if name in given:
            raise refuse(400, f"parameter {name} is given more than once; give it once")
        given[name] = value
    return {name: _value(parameter, given.get(name)) for name, parameter in wanted.items()}


def _pairs(raw: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
    except ValueError:
        raise refuse(
            400,
            f"the query string does not parse; expected at most {_MOST_FIELDS} name=value pairs, "
            "joined by &, percent-encoded UTF-8",
        ) from None


def _value(parameter: Parameter, text: str | None) -> str | float | bool | None:
    if not text and parameter.required and not parameter.by_route:
        raise refuse(400, f"parameter {parameter.name} is missing: {parameter.description}")
    if text is None:
        return parameter.default
    if parameter.kind == "text":
        _check(parameter.name, text)
        return text
    if parameter.kind == "choice":
        if text in parameter.choices:
            return text
    elif _PATTERNS[parameter.kind].fullmatch(text) and len(text) < 24:
        number = float(text) if parameter.kind == "seconds" else int(text)
        if parameter.kind == "flag":
            return bool(number)
        if parameter.minimum <= number <= parameter.maximum:
            return number
    raise refuse(400, f"{parameter.name}={quoted(text)}: expected {parameter.expected}")


def _check(name: str, text: str) -> None:
    """Raise 400 for what no database would take for a name."""
    if len(text) > LONGEST_TEXT:
        raise refuse(400, f"{name}={quoted(text)}: expected at most {LONGEST_TEXT} characters")
    if "\0" in text:
        raise refuse(400, f"{name}={quoted(text)}: a NUL character, expected none")


def wants_json(accept: str) -> bool:
    """Whether an Accept header names application/json, and not plain text before it.

    A wildcard names nothing: `*/*`, which every simple client sends, is served with text.
    """
    rank = _ranks(accept)
    text = max(rank.get("text/plain", _NOTHING), rank.get("text/*", _NOTHING))
    json = rank.get("application/json", _NOTHING)
    return json[0] > 0 and json > text


def wants_csv(accept: str) -> bool:
    """Whether an Accept header names text/csv, and not application/json before it."""
    rank = _ranks(accept)
    csv = rank.get("text/csv", _NOTHING)
    return csv[0] > 0 and csv > rank.get("application/json", _NOTHING)


def _ranks(accept: str) -> dict[str, tuple[float, int]]:
    """Media types of an Accept header by how much they are wanted: the greater, the more."""
    rank: dict[str, tuple[float, int]] = {}
    for place, part in enumerate(accept.split(",")[:64]):
        media, *options = (piece.strip().lower() for piece in part.split(";"))
        rank.setdefault(media, (_quality(options), -place))
    return rank


def _quality(options: Iterable[str]) -> float:
    for option in options:
        if option.startswith("q="):
            known = re.fullmatch(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)", option)
            return float(known[1]) if known else 0.0
    return 1.0


def json_response(content: Any, *, status: int = 200) -> Response[bytes]:
    """`content` as JSON; times in UTC end with Z, a number that is not finite is null."""
    return Response(msgspec.json.encode(content), media_type="application/json", status_code=status)


def bytes_response(content: bytes) -> Response[bytes]:
    """JSON that is written already."""
    return Response(content, media_type="application/json")


def text_response(content: str) -> Response[bytes]:
    """`content` as it is, without a line end: what `curl` shows is what a script gets."""
    return Response(content.encode(errors="replace"), media_type="text/plain")
