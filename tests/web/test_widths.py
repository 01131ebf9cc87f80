"""Nothing of a page lies beyond its right edge, which is where a scroll bar begins."""

import re
from pathlib import Path
from typing import Any, Final

import pytest
from litestar import Litestar
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import Engine

from emdc.reading import MeterProfile, Topic
from emdc.web import pages
from tests.web.browser import rendered
from tests.web.site import NEXUS, Site, served
from tests.web.stored import NEXUS_PROFILE

LONG: Final = MeterProfile(
    "A campus with a long name/A building with a longer one/meter_of_the_third_feeder_of_all",
    tuple(Topic(f"Wh_delivered_to_the_third_feeder_{n}", "kVARh", "counter") for n in range(60)),
    10.0,
)
MEASURE: Final = b"""
setTimeout(() => {
  const { clientWidth: edge, scrollWidth } = document.documentElement;
  const isBeyond = (one) => one.getBoundingClientRect().right > edge + 0.5;
  const all = [...document.querySelectorAll("body *")];
  const beyond = all.filter(isBeyond).map((one) => `${one.tagName}.${one.className}`);
  if (scrollWidth > edge) beyond.push("the page");
  Object.assign(parent.document.documentElement.dataset, { edge, beyond });
}, 2000);
"""


def framed(app: Litestar, path: str, width: int) -> ASGIApp:
    """The application, whose address /frame shows a page of it so many pixels wide.

    The page notes there what lies beyond its edge. No window of Chromium is narrower than 500.
    """
    frame = f'<iframe src="{path}" width="{width}" height="800" style="border: 0"></iframe>'
    script = b'<script type="module" src="measure.js"></script></head>'
    own = {
        "/frame": (frame.encode(), b"text/html"),
        "/measure.js": (MEASURE, b"text/javascript"),
        "/": (pages.content("index.html").replace(b"</head>", script), b"text/html"),
        "/docs": (pages.content("docs.html").replace(b"</head>", script), b"text/html"),
    }

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and (found := own.get(scope["path"])):
            await _send(send, *found)
        else:
            await app(scope, receive, send)

    return serve


async def _send(send: Send, body: bytes, media: bytes) -> None:
    headers = [(b"content-type", media)]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


@pytest.mark.parametrize("width", [320, 400, 800, 1280])
@pytest.mark.parametrize(
    "path", ["./", "docs", f"./#{NEXUS}?metric=W&span=week", f"./#{NEXUS}?metric=Wh_received"]
)
def test_nothing_lies_beyond_the_edge(
    width: int, path: str, engine: Engine, tmp_path: Path
) -> None:
    site = Site((NEXUS_PROFILE, LONG), engine=engine)
    site.read(NEXUS, Voltage_AN=230.0, W=600.0, Wh_received=7_028_790, Firmware="1.2")
    values: dict[str, Any] = {topic.name: -123_456_789_012.5 for topic in LONG.topics}
    site.read(LONG.name, **values)
    with served(framed(site.app(), path, width)) as address:
        page = rendered(f"{address}/frame", tmp_path)
    found = re.search(r'data-edge="([0-9]+)" data-beyond="([^"]*)"', page)
    assert found, "not measured"
    assert found[2] == ""
    # Behind a chart that fills the window nothing is scrolled; elsewhere the page has a scroll bar.
    assert (int(found[1]) == width) == (width <= 400 and "metric" in path)
