"""A user's map with texts, scale registers and ratios, from the workbook to the database."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from emdc.meters import library
from emdc.modbus.server import serve
from emdc.reading import Value
from emdc.synthetic.simulator import Simulator
from tests.meters import sheets
from tests.program import PATIENCE_S, daemon, meter_flags

EXTRA: Final = ("Unit", "Kind", "Scale Register", "Invalid", "Ratio", "Bits", "Byte Order")
METRICS: Final = (
    ("Serial", "", 0, 4, None, "STRING", None, None, None, "type", None, None, "little"),
    ("Maker", "", 4, 4, None, "STRING", None, None, None, "type"),
    ("Voltage_AN", "", 10, 1, 1, "UINT16", "V", None, "V_SF", "type"),
    ("V_SF", "", 11, 1, 1, "INT16", None, None, None, "type"),
    ("W", "", 12, 2, 1, "INT32", "W", None, None, None, "ct*pt"),
    ("Wh_delivered", "", 14, 4, 1, "UINT64", "Wh", "counter", "V_SF", None, "ct"),
    ("CT_primary", "", 18, 1, 1, "UINT16"),
    ("CT_secondary", "", 19, 1, 1, "UINT16"),
    ("Phase_lost", "", 20, 1, 1, "UINT16", None, None, None, None, None, "3"),
)
UNSURE: Final = ("freq", "", 30, 1, 0.01, "UINT16", "Hz")
RATIO: Final = ("ct_ratio", "CT_primary/CT_secondary")
SHOWN: Final[dict[str, Value]] = {
    "Serial": "SN0042-b",
    "Maker": None,
    "Voltage_AN": 230.1,
    "V_SF": -1,
    "W": -1000,
    "Wh_delivered": 1.5,
    "CT_primary": 200,
    "CT_secondary": 5,
    "Phase_lost": 1,
    "freq": 50.01,
}


@contextmanager
def shown(path: Path) -> Iterator[int]:
    """The port of a meter that shows all this."""
    ready: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event, int]] = Future()

    async def run() -> None:
        register_map = library.find(str(path), unverified=True)
        server = await serve(Simulator(register_map, fixed=SHOWN).answer, "127.0.0.1", 0)
        stop = asyncio.Event()
        ready.set_result((asyncio.get_running_loop(), stop, server.port))
        await stop.wait()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    loop, stop, port = ready.result(PATIENCE_S)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)


def stored(file: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute(query).fetchall()


def test_texts_scales_and_ratios_reach_the_database_as_they_are(tmp_path: Path) -> None:
    others: dict[str, list[tuple[Any, ...]]] = {"Meter": [RATIO]}
    others["Unverified"] = [(*sheets.HEADER, "Unit"), UNSURE]
    book = sheets.data(*METRICS, extra=EXTRA, others=others)
    path = sheets.written(tmp_path, "own.xlsx", book)
    file = tmp_path / "emdc.db"
    flags: tuple[str, ...] = ("--panel_ct_ratio=meter", "--panel_pt_ratio=2", "--panel_invert=W")
    with shown(path) as port:
        host, topics, _ = meter_flags(port)
        flags += (host, topics, f"--panel_metrics_workbook={path}", f"--db_host={file}")
        with daemon(*flags, "--panel_unverified", folder=tmp_path) as program:
            answers = {name: program.ask("GET", f"/metric?name={name}&fresh=1") for name in SHOWN}
            assert program.ask("POST", "/collect?iterations=1&wait_time=0")[0] == 200
            listed = json.loads(program.ask("GET", "/topics")[1])["topics"]
    kinds = {one["topic"].rpartition("/")[2]: one["kind"] for one in listed}
    assert (kinds["Serial"], kinds["Wh_delivered"], kinds["W"]) == ("text", "counter", "gauge")
    assert answers["Serial"] == (200, "SN0042-b")
    assert answers["Maker"][0] != 200
    assert answers["Voltage_AN"] == (200, "230.1")
    assert answers["V_SF"] == (200, "-1")
    assert answers["W"] == (200, "80000")
    assert answers["Wh_delivered"] == (200, "60")
    assert answers["Phase_lost"] == (200, "1")
    assert answers["freq"] == (200, "50.01")
    query = "SELECT topic_name, value_string FROM data JOIN topics USING (topic_id)"
    values = {name.rpartition("/")[2]: value for name, value in stored(file, query)}
    assert values["Serial"] == "SN0042-b"
    assert float(values["W"]) == 80000
    ((text,),) = stored(file, "SELECT settings FROM meter_settings")
    recorded = json.loads(text)
    assert (recorded["ct_ratio"], recorded["pt_ratio"], recorded["invert"]) == ("meter", 2, "W")
