"""This client, and others of Python, against fifteen meters that misbehave: right, error or WRONG.

Each client meets each meter in a process of its own (peers_client), all meters of peers_meters at
the same time. Which value is right follows from what the registers hold, not from any client. The
table goes to docs/peers.md; the others come with the extra `bench`.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from bench import rig
from bench.peers_client import ADDRESSES, CLIENTS, DEADLINE_S, QUANTITY, TIMEOUT_S
from bench.peers_meters import METERS, register
from bench.peers_page import ERROR, HANG, LATE, RIGHT, WRONG, fooled, page
from bench.rig import Result, exactly

PAGE = rig.ROOT / "docs" / "peers.md"
MODULES = {"uModbus": "umodbus"}
"""Names of packages that differ from those on the index."""


def run(*, long: bool) -> list[Result]:
    """About a minute; the long form is the same."""
    for client in CLIENTS:
        if find_spec(MODULES.get(client, client)) is None:
            raise SystemExit(f"{client} is not installed: .venv/bin/pip install -e '.[bench]'")
    found = {client: reads_of(client) for client in CLIENTS}
    table = {
        meter: {client: found[client][place] for client in CLIENTS}
        for place, meter in enumerate(METERS)
    }
    versions = {client: version(client) for client in CLIENTS}
    PAGE.write_text(page(table, versions, TIMEOUT_S, DEADLINE_S), "utf-8")
    counts = {client: fooled(table, client) for client in CLIENTS}
    what = "meters of which {} gave a wrong value"
    return [
        Result("meters", str(len(METERS))),
        exactly(what.format("emdc"), counts.pop("emdc"), 0),
        *(Result(what.format(client), str(count)) for client, count in counts.items()),
        Result("the table is in", str(PAGE.relative_to(rig.ROOT))),
    ]


def reads_of(client: str) -> Sequence[Sequence[str]]:
    """What the client's reads of each meter gave."""
    ports = list(map(str, rig.free_ports(len(METERS))))
    meters = [sys.executable, "-m", "bench.peers_meters", str(TIMEOUT_S), *ports]
    with rig.running(meters, stdout=subprocess.PIPE, cwd=rig.ROOT) as process:
        rig.await_ready(process, "peers_meters")
        done = subprocess.run(
            [sys.executable, "-m", "bench.peers_client", client, *ports],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # what they log of each meter
            text=True,
            cwd=rig.ROOT,
            timeout=3 * DEADLINE_S,
        )
    ended = {
        (found["meter"], found["read"]): found
        for found in map(json.loads, done.stdout.splitlines())
    }
    return [
        [outcome(ended.get((place, number)), address) for number, address in enumerate(ADDRESSES)]
        for place in range(len(METERS))
    ]


def outcome(found: Mapping[str, Any] | None, address: int) -> str:
    """What one read gave."""
    if found is None:
        return HANG
    if found["registers"] is None:
        return ERROR
    if found["registers"] != [register(1, 3, a) for a in range(address, address + QUANTITY)]:
        return WRONG
    late = found["seconds"] > 5 * TIMEOUT_S
    return LATE.format(round(found["seconds"])) if late else RIGHT
