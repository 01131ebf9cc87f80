"""`emdc run`: the daemon in the foreground, with one line that says where everything is."""

import logging
import socket
import sys
from collections.abc import Sequence
from functools import partial

from emdc import __version__, config, daemon
from emdc.cli.flags import takes
from emdc.cli.settings import load
from emdc.cli.terminal import say
from emdc.collector.ticker import Ticker
from emdc.config import Settings
from emdc.config.hosts import is_loopback
from emdc.config.table import CONFIG, SETTINGS
from emdc.place import place
from emdc.system import listen
from emdc.web.service import Service, StorageStatus

log = logging.getLogger("emdc")


@takes(CONFIG, *SETTINGS)
def command(**given: object) -> int:
    r"""Read meters, record every reading, serve them over HTTP.

    One meter, read every ten seconds into a file:

        emdc run --panel_host=192.168.1.50 \
          --panel_topic_prefix=UW/Mercer/nexus_meter \
          --panel_metrics_workbook=nexus-1272 \
          --panel_interval=10 --db_host=emdc.db

    Many meters, described in a file:

        emdc run --config=emdc.toml

    Without an interval the meters are read when somebody asks:

        curl -X POST http://127.0.0.1:8080/collect

    Ctrl-C ends it, and nothing that was read is lost. A flag wins over
    its environment variable (--panel_host: EMDC_PANEL_HOST), and that
    over the file.
    """
    settings = load(given, serves=True)
    config.check_meters(settings)
    config.check_bind(settings.http)
    with listen(settings.http.host, settings.http.port) as listener:
        daemon.run(settings, listener, watch=partial(announce, settings, listener))
    return 0


async def announce(
    settings: Settings, listener: socket.socket, service: Service, _running: Sequence[Ticker]
) -> None:
    """Say that it runs, and where: on a terminal as lines to read, elsewhere as one of the log."""
    page = address(listener)
    if sys.stdout.isatty():
        say(f"EMDC {__version__}: {page}  {_reach(settings)}")
        say(f"  readings go {_storing(settings, service.storage())}")
        say(f"  {_meters(settings)}; Ctrl-C ends")
        return
    facts = {
        "version": __version__,
        "page": page,
        "open_to": _reach(settings),
        "readings": _storing(settings, service.storage()),
        "meters": _meters(settings),
    }
    record = log.makeRecord(log.name, logging.INFO, __file__, 0, "started", (), None, extra=facts)
    for handler in logging.getLogger().handlers:
        # Past the level: that it runs, and whether samples are kept, is said at any.
        handler.handle(record)


def address(listener: socket.socket) -> str:
    """The page's address, as a browser on this machine takes it."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://{place(host, port)}/"


def _reach(settings: Settings) -> str:
    http = settings.http
    if is_loopback(http.host):
        return "this machine only; --host=0.0.0.0 with EMDC_HTTP_TOKEN=SECRET opens it to others"
    return "everybody with the token" if http.token else "everybody, without a token"


def _storing(settings: Settings, storage: StorageStatus) -> str:
    if settings.database.in_memory:
        return (
            "to memory only: samples are lost when the program ends, --db_host=emdc.db keeps them "
            "in that file"
        )
    if not storage.ok:
        return (
            f"to {storage.spool_path} until {settings.redacted_url()} takes them: "
            f"{storage.last_error}"
        )
    return f"to {settings.redacted_url()}"


def _meters(settings: Settings) -> str:
    count = len(settings.meters)
    meters = "1 meter" if count == 1 else f"{count} meters"
    scheduled = [meter.interval for meter in settings.meters if meter.interval]
    if not scheduled:
        return (
            f"{meters}, read on POST /collect; --panel_interval=SECONDS, or interval in the file, "
            "reads by itself"
        )
    low, high = min(scheduled), max(scheduled)
    often = f"every {low:g} s" if low == high else f"every {low:g} to {high:g} s"
    if len(scheduled) == count:
        return f"{meters}, read {often}"
    return f"{meters}, {len(scheduled)} of them read {often}, the others on POST /collect"
