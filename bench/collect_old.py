"""The old collector's method as figure 4 measures it: DATABASE PORT CYCLES default|wal.

21 single reads a cycle by pymodbus's sync client, each value one row with its own time by
SQLAlchemy's ORM in the table `data` with its three indexes, a session and a commit a cycle, as the
old program had it (github.com/kjiwa/lotus-leaf, api_server.py and db_accessor.py). Its SQLite had
the default rollback journal; `wal` gives it the settings that EMDC uses. The metrics are those of
the old Nexus sheet at their addresses.
"""

import json
import struct
import sys
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import rig

STEP = 2.0**-16
METRICS: list[Sequence[Any]] = [
    # name, description, address, registers, scale, data type
    ("Voltage_AN", "", 179, 2, STEP, "INT32"),
    ("Voltage_BN", "", 181, 2, STEP, "INT32"),
    ("Voltage_CN", "", 183, 2, STEP, "INT32"),
    ("Current_N", "", 193, 2, STEP, "INT32"),
    ("VA", "", 209, 2, STEP, "INT32"),
    ("VAR", "", 217, 2, STEP, "INT32"),
    ("W_A", "", 219, 2, STEP, "INT32"),
    ("W_B", "", 221, 2, STEP, "INT32"),
    ("W_C", "", 223, 2, STEP, "INT32"),
    ("W", "", 225, 2, STEP, "INT32"),
    ("freq", "", 227, 2, STEP, "INT32"),
    ("pf_A", "", 229, 1, 0.001, "UINT16"),
    ("pf_B", "", 230, 1, 0.001, "UINT16"),
    ("pf_C", "", 231, 1, 0.001, "UINT16"),
    ("pf", "", 232, 1, 0.001, "UINT16"),
    ("Angle_V_AN", "", 2594, 1, 0.01, "INT16"),
    ("Angle_V_BN", "", 2595, 1, 0.01, "INT16"),
    ("Angle_V_CN", "", 2596, 1, 0.01, "INT16"),
    ("Angle_I_A", "", 2597, 1, 0.01, "INT16"),
    ("Angle_I_B", "", 2598, 1, 0.01, "INT16"),
    ("Angle_I_C", "", 2599, 1, 0.01, "INT16"),
]
_FORMATS = {"INT32": ">i", "UINT16": ">H", "INT16": ">h"}


def write_image(path: Path) -> Path:
    """The 65536 registers of a meter with these metrics."""
    registers = bytearray(2 * 65536)
    for number, (_, _, address, _, _, data_type) in enumerate(METRICS):
        raw = 7_864_321 + 65_537 * number if data_type == "INT32" else 901 + number
        struct.pack_into(_FORMATS[data_type], registers, 2 * address, raw)
    path.write_bytes(registers)
    return path


def collect(database: str, port: int, cycles: int, *, wal: bool) -> dict[str, float]:
    """Samples a second over all cycles, without connecting."""
    from pymodbus.client import ModbusTcpClient  # noqa: PLC0415 - not needed for METRICS
    from sqlalchemy.orm import Session  # noqa: PLC0415

    engine, row = _open(database, wal=wal)
    client = ModbusTcpClient(rig.HOST, port=port)
    client.connect()
    kinds = [(*metric, client.DATATYPE[metric[5]]) for metric in METRICS]
    started = time.perf_counter()
    for _ in range(cycles):
        data = []
        for topic, (_, _, address, registers, scale, _, kind) in enumerate(kinds, 1):
            answer = client.read_holding_registers(address, count=registers, device_id=1)
            value = client.convert_from_registers(answer.registers, kind) * scale
            # The old table has local time.
            data.append(row(ts=datetime.now(), topic_id=topic, value_string=str(value)))  # noqa: DTZ005
        with Session(engine) as session:
            session.add_all(data)
            session.commit()
    seconds = time.perf_counter() - started
    client.close()
    return {"samples_per_s": cycles * len(METRICS) / seconds}


def _open(database: str, *, wal: bool) -> tuple[Any, Any]:
    """An engine with the old table `data`, and the class of its rows."""
    from sqlalchemy import create_engine, event  # noqa: PLC0415 - not needed for METRICS
    from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column  # noqa: PLC0415

    class Base(DeclarativeBase):
        pass

    class Data(Base):
        __tablename__ = "data"
        ts: Mapped[datetime] = mapped_column(primary_key=True, index=True)
        topic_id: Mapped[int] = mapped_column(primary_key=True, index=True)
        value_string: Mapped[str]

    engine = create_engine(f"sqlite:///{database}")

    @event.listens_for(engine, "connect")
    def durable(connection: Any, _record: Any) -> None:
        if wal:
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    Base.metadata.create_all(engine)
    return engine, Data


def main(arguments: Sequence[str]) -> None:
    database, port, cycles, way = arguments
    print(json.dumps(collect(database, int(port), int(cycles), wal=way == "wal")))


if __name__ == "__main__":
    main(sys.argv[1:])
