"""The server of the HTTP application; the daemon starts it on the event loop that reads meters."""

from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from emdc.web.app import build
from emdc.web.service import Service


class Server(uvicorn.Server):
    """uvicorn without its own signal handlers; the daemon has one for all of its parts."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def server(service: Service) -> Server:
    """A server of all routes, not started."""
    return Server(
        uvicorn.Config(
            build(service),
            access_log=False,
            http="h11",
            lifespan="off",
            log_config=None,
            loop="none",
            server_header=False,
            timeout_graceful_shutdown=3,
            ws="none",
        )
    )
