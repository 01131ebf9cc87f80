"""How the tests of a link ask."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from emdc.modbus import Link, Links, LinkSettings, Request, read_request
from emdc.modbus.exchange import Answer, Exchange
from tests import misbehaving

TIMEOUT_S = 1.0
DEFAULTS = LinkSettings()


@contextmanager
def links(holder: str = "a test", jitter: float = 0.5) -> Iterator[Links]:
    """Links that are closed at the end."""
    opened = Links(jitter=lambda: jitter, holder=lambda: holder)
    try:
        yield opened
    finally:
        opened.close()


@contextmanager
def link_to(meter: misbehaving.Meter, settings: LinkSettings = DEFAULTS) -> Iterator[Link]:
    """The one link to a meter."""
    with links() as opened:
        yield opened.link(meter.host, meter.port, settings)


def read(address: int = 10, count: int = 2, *, unit: int = 1, code: int = 3) -> Request:
    return read_request(unit, code, address, count)


async def ask(link: Link, *requests: Request, timeout_s: float = TIMEOUT_S) -> Sequence[Answer]:
    """The answers to the requests of one exchange."""
    future: asyncio.Future[Sequence[Answer]] = asyncio.get_running_loop().create_future()
    link.exchange(Exchange(requests, timeout_s, lambda done: future.set_result(done.answers)))
    return await future


def right(request: Request) -> bytes:
    """The data that a meter without fault answers."""
    return misbehaving.data(request.unit, request.address, request.count)


def reasons(answers: Sequence[Answer]) -> list[str]:
    """The reason of each error, and `right` for data."""
    return [getattr(answer, "reason", "right") for answer in answers]
