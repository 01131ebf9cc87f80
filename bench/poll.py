"""Figure 2: what one request costs the processor: EMDC, pymodbus's async client, libmodbus in C.

1000 connections to one fast server, 125 registers and 25 mixed metrics a request, decoded, scaled
and handed to a sink; one request a reading, then four (100 metrics a meter). CPU is the user and
system time of the client's process, without connecting and without a first reading of every meter.
The sides run in turns, each in its own process; the figure is the median of five. With four
requests a reading a further side is EMDC with `pipeline = 4`: all of a reading leave together.

pymodbus: one task a meter, `read_holding_registers`, then `client.convert_from_registers` for each
metric, as its documentation shows; `pymodbus struct` unpacks a whole block with struct instead.
libmodbus: all meters are asked before the first answer is taken, so that it waits as little as the
others; `libmodbus one by one` uses `modbus_read_registers`, its simplest way.
"""

import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench import block, rig
from bench.rig import Result, at_least, at_most

METERS = 1000
ROUNDS = 5
SIDES = ("emdc", "pymodbus", "libmodbus")
PIPELINED = "emdc pipeline"
EXTRA_SIDES = (
    *(["emdc uvloop"] if find_spec("uvloop") else []),
    "pymodbus struct",
    "libmodbus one by one",
)


@dataclass(frozen=True)
class Work:
    """What every side does: `readings` of `blocks` requests from each port."""

    folder: Path
    libmodbus: Path
    ports: Sequence[int]
    blocks: int
    readings: int

    def side(self, name: str) -> Callable[[], dict[str, float]]:
        """One run of a side in its own process."""
        if name.startswith("libmodbus"):
            way = "one" if name.endswith("one by one") else "all"
            layout, addresses = str(self.folder / "layout"), block.addresses(self.blocks)
            command = [str(self.libmodbus), way, str(self.readings), layout]
            command.append(",".join(map(str, addresses)))
        else:
            command = [sys.executable, "-m", "bench.poll_client", name]
            command += [str(self.blocks), str(self.readings)]
        return lambda: rig.run_json([*command, *map(str, self.ports)])


def run(*, long: bool) -> list[Result]:
    """One request a reading, then four."""
    results: list[Result] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = rig.compile_c("modbus_server.c", folder)
        libmodbus = rig.compile_c("libmodbus_client.c", folder, "libmodbus")
        image = block.write_image(folder / "image", 4)
        block.write_layout(folder / "layout")
        ports = rig.free_ports(METERS)
        with rig.meters(server, ports, image=image):
            for blocks, readings in ((1, 120 if long else 60), (4, 30 if long else 15)):
                work = Work(folder, libmodbus, ports, blocks, readings)
                sides = SIDES if blocks == 1 else (*SIDES, PIPELINED)
                results += _compare(work, sides + EXTRA_SIDES if long else sides)
    return results


def _compare(work: Work, names: Sequence[str]) -> list[Result]:
    measured = rig.interleaved({name: work.side(name) for name in names}, ROUNDS)
    _check(measured, work.blocks)
    cost = {name: statistics.median(map(_cost_us, runs)) for name, runs in measured.items()}
    what = f"{work.blocks} request{'s' if work.blocks > 1 else ''} a reading"
    rows = [Result(f"{what}: {name}", f"{us:.1f} us/request") for name, us in cost.items()]
    rows.append(at_least(f"{what}: pymodbus / emdc", cost["pymodbus"] / cost["emdc"], 7))
    if pipelined := cost.get(PIPELINED):
        rows.append(at_least(f"{what}: pymodbus / {PIPELINED}", cost["pymodbus"] / pipelined, 14))
    rows.append(at_most(f"{what}: emdc / libmodbus", cost["emdc"] / cost["libmodbus"], 1.7, "x"))
    return rows


def _cost_us(result: dict[str, float]) -> float:
    return 1e6 * result["cpu_s"] / result["requests"]


def _check(measured: dict[str, list[dict[str, float]]], blocks: int) -> None:
    """Every side must have decoded the same values."""
    wanted = sum(block.expected(blocks))
    for name, runs in measured.items():
        for result in runs:
            if not math.isclose(result["sum"], wanted, rel_tol=1e-13):
                raise SystemExit(f"{name} decoded a sum of {result['sum']}, expected {wanted}")
