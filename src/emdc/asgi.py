"""EMDC for ASGI servers: `uvicorn emdc.asgi:app`.

The same as `emdc.wsgi`, a relay to the one process that reads the meters: the server's own event
loop stays free of meters and databases, and the number of workers does not matter.
"""

from typing import Any

from a2wsgi import WSGIMiddleware

from emdc.hosting import relay

THREADS = 64
"""Requests that one worker passes on at a time; of these only /collect may take long."""

app: Any = WSGIMiddleware(relay.deployed(), workers=THREADS)
"""The ASGI application. Its threads start with the first request, after any fork."""
