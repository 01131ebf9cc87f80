"""The first page, the documentation page and their files, out of this package.

Each file has its own address in ASSETS: no path from a client ever reaches the disk.
"""

from collections.abc import Awaitable, Callable
from functools import cache
from importlib.resources import files
from typing import Final

from litestar import Response

from emdc.web.exchange import Ask
from emdc.web.service import Service

SCRIPTS: Final = (
    *("address", "ask", "calendar", "card", "chart", "dashboard", "dialog", "docs", "dom"),
    *("energy", "format", "meterlist", "past", "picture", "plot", "readout", "series"),
    "sparkline",
)
ASSETS: Final = (
    *((f"/{name}.js", f"{name}.js", "text/javascript") for name in SCRIPTS),
    ("/dashboard.css", "dashboard.css", "text/css"),
    ("/chart.css", "chart.css", "text/css"),
    ("/docs.css", "docs.css", "text/css"),
    ("/favicon.svg", "favicon.svg", "image/svg+xml"),
    # Not in git: hatch_build.py puts them there.
    ("/vendor/uPlot.esm.js", "vendor/uPlot.esm.js", "text/javascript"),
    ("/vendor/uPlot.min.css", "vendor/uPlot.min.css", "text/css"),
)
"""Address, file in static/, media type."""


@cache
def content(name: str) -> bytes:
    """The bytes of a file in static/."""
    return (files("emdc.web") / "static" / name).read_bytes()


def file(name: str, media: str) -> Callable[[Service, Ask], Awaitable[Response[bytes]]]:
    """A route's function that answers with a file of static/."""

    async def answer(service: Service, ask: Ask) -> Response[bytes]:
        return Response(content(name), media_type=media)

    return answer


async def first_page(service: Service, ask: Ask) -> Response[bytes]:
    """All meters with their newest values, states and the last hour, refreshing by itself."""
    return Response(content("index.html"), media_type="text/html")


async def docs_page(service: Service, ask: Ask) -> Response[bytes]:
    """This documentation as a page that needs no network."""
    return Response(content("docs.html"), media_type="text/html")
