"""Answers as CSV: a line of names, then lines as they come from the database, page by page.

However long an answer is, one page of it is in memory. When the database fails on the way the
connection is broken off, so that nobody takes a part for the whole.
"""

import csv
import io
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from typing import Final, TypeAlias

from litestar import Response
from litestar.response import Stream

from emdc.errors import EmdcError
from emdc.web.exchange import Ask, Parameter
from emdc.web.past import History, Past

log = logging.getLogger("emdc.web")

FORMAT: Final = Parameter(
    "format",
    "json or csv. Default: what the Accept header asks for, else json",
    "choice",
    choices=("json", "csv"),
)
MEDIA: Final = "text/csv"

Rows: TypeAlias = Sequence[Sequence[object]]
Pages: TypeAlias = Callable[[History], Iterator[Rows]]
"""Asks stored history for rows; each step may block."""

_UNSAFE: Final = re.compile(r"[^A-Za-z0-9.-]+")


def is_csv(ask: Ask) -> bool:
    """Whether a request wants CSV: by `format`, else by its Accept header."""
    wanted = ask.given["format"]
    return wanted == "csv" or (wanted is None and ask.wants_csv)


async def csv_answer(
    past: Past, header: Sequence[str], pages: Pages, *, name: str, bare: bool
) -> Response[bytes]:
    """The lines of all pages; raises what the first of them raises. `bare`: without any line."""
    rest, first = await past.ask(partial(_begun, pages))
    headers = {"content-disposition": f'attachment; filename="{_UNSAFE.sub("_", name)}.csv"'}
    if bare:
        return Response(b"", media_type=MEDIA, headers=headers)
    lines = _lines(past, encoded([header]) + first, rest)
    return Stream(lines, media_type=MEDIA, headers=headers)  # type: ignore[return-value]


def encoded(rows: Rows) -> bytes:
    """Rows as lines. Texts must be cells already (`csvcells`); None is an empty cell."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerows(rows)  # lines end as RFC 4180 wants it
    return buffer.getvalue().encode(errors="backslashreplace")


def _begun(pages: Pages, history: History) -> tuple[Iterator[Rows], bytes]:
    rest = pages(history)
    return rest, _next(rest) or b""


def _next(rest: Iterator[Rows], _history: History | None = None) -> bytes | None:
    rows = next(rest, None)
    return None if rows is None else encoded(rows)


async def _lines(past: Past, first: bytes, rest: Iterator[Rows]) -> AsyncIterator[bytes]:
    yield first
    try:
        while (lines := await past.ask(partial(_next, rest))) is not None:
            yield lines
    except EmdcError as error:
        log.warning("an answer broke off", extra={"error": str(error)})
        raise
