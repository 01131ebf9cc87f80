"""`emdc demo`: two simulated meters, the daemon and a SQLite file, with nothing to prepare.

The meters live on a thread with an event loop of their own, so that the daemon runs just as it does
beside real ones.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from emdc import daemon
from emdc.cli import cycles
from emdc.cli.flags import DEBUG, takes
from emdc.cli.foreground import foreground
from emdc.cli.lookup import own_values
from emdc.cli.run import address
from emdc.cli.settings import start_log
from emdc.cli.simulate import Place, serving
from emdc.cli.terminal import say
from emdc.collector.ticker import Ticker
from emdc.config import Http, MeterSettings, Settings
from emdc.config.database import Database
from emdc.config.table import Setting
from emdc.errors import EmdcError
from emdc.meters import library
from emdc.system import listen
from emdc.web.service import Service

HOST: Final = "127.0.0.1"
PLACE: Final = Place(HOST, 0, latency_s=0.005)
METERS: Final = {"UW/Mercer/nexus_meter": "nexus-1272", "UW/Alder/eaton_meter": "eaton-pxm-4000"}
"""Name of each meter → its map."""
OWN: Final = (
    Setting("", "port", "whole", 8080, "Port of the page; a free one when it is taken", 0, 65535),
    Setting("", "db", "path", "emdc-demo.db", "SQLite file for the readings, kept afterwards"),
)


@takes(*OWN, DEBUG)
def command(**given: Any) -> int:
    """Show all of it with two simulated meters.

    Both are read every second into a SQLite file, and the page shows them.
    Ctrl-C ends it.
    """
    own: dict[str, Any] = own_values(OWN, given)
    file = Path(own["db"]).absolute()
    with foreground(), simulated() as ports:
        settings = Settings(
            database=Database(host=str(file)),
            http=Http(host=HOST, port=own["port"]),
            meters=tuple(
                MeterSettings(name=name, host=HOST, port=port, map=map_name, interval=1.0)
                for (name, map_name), port in zip(METERS.items(), ports, strict=True)
            ),
            log_level="DEBUG" if given.get("debug") else "WARNING",
        )
        start_log(settings)
        with _listen(own["port"]) as listener:
            watch = partial(_watch, page=address(listener), file=file)
            daemon.run(settings, listener, watch=watch)
    say(f"\nstopped; the readings are in {file}")
    return 0


@contextmanager
def simulated() -> Iterator[tuple[int, ...]]:
    """The ports of running meters, one for each of METERS, until the block ends."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, tuple[int, ...]]] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_simulate(ready)), name="emdc-demo-meters", daemon=True
    )
    thread.start()
    loop, stop, ports = ready.result()
    try:
        yield ports
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)


async def _simulate(ready: "Future[Any]") -> None:
    stop = asyncio.Event()
    try:
        async with AsyncExitStack() as stack:
            ports = [
                await stack.enter_async_context(serving(library.find(map_name), PLACE))
                for map_name in METERS.values()
            ]
            ready.set_result((asyncio.get_running_loop(), stop, tuple(ports)))
            await stop.wait()
    except Exception as error:  # noqa: BLE001  # whoever waits for the meters has to hear of it
        if not ready.done():
            ready.set_exception(error)


def _listen(port: int) -> Any:
    try:
        return listen(HOST, port)
    except EmdcError:
        say(f"port {port} is taken, so the page is on a free one")
        return listen(HOST, 0)


async def _watch(service: Service, running: Sequence[Ticker], *, page: str, file: Path) -> None:
    try:
        say(f"\nTwo simulated meters, read every second. The page:\n\n    {page}\n")
        say(f"Readings go to {file} and stay there. Ctrl-C ends.\n")
        await cycles.print_lines(service, running)
    except OSError:
        # Nobody reads the lines any more, and they are all that a demonstration is for.
        signal.raise_signal(signal.SIGTERM)
