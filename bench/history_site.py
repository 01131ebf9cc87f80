"""The web server over a filled database, in a process of its own, as the daemon has it.

`python -m bench.history_site URL PORT NOW`; NOW is what time it is said to be, seconds since 1970.
It tells `ready` and serves until it is ended.
"""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime

from bench import rig
from emdc.storage.database import open_engine
from emdc.storage.past.chronicle import Chronicle
from emdc.system import listen
from emdc.web.past import Past
from emdc.web.server import server
from tests.web.site import Site


def main(url: str, port: int, now: float) -> None:
    """Serve until the end."""
    rig.end_with_parent()
    site = Site(())
    site.now = lambda: datetime.fromtimestamp(now, UTC)
    chronicle = Chronicle(open_engine(url), clock=lambda: now)
    service = replace(site.service(), past=Past(chronicle))
    with listen(rig.HOST, port) as listener:
        print("ready", flush=True)
        asyncio.run(server(service).serve([listener]))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
