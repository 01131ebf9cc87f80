"""docs/peers.md: the table of `peers` as a page, and the page as the table. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

RIGHT, ERROR, WRONG, HANG = "right", "error", "**WRONG**", "hang"
LATE: Final = "right after {} s"

Table: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""Meter → client → what each of its reads gave."""

_HEAD: Final = """# What clients make of meters that misbehave

Made by `.venv/bin/python -m bench peers` from what it measured; do not edit. A meter holds other
values in each of its registers, so a value shows which request it answers. Each client reads two
registers three times, at three addresses, a tenth of a second apart. Each is used as its own
documentation does, with its own defaults but for a time-out of {timeout_s} s. EMDC's side is a
meter as the daemon has it, which asks again up to three times, as pymodbus does. uModbus leaves the
socket to its caller, who opens a new one here after every error but a time-out.

The versions: {versions}.

| | Means |
|---|---|
| {RIGHT} | the values of these registers; "after 4 s" when that took far longer than the time-out |
| {ERROR} | no value, and the caller is told |
| {WRONG} | values of other registers, or not as many as were asked for, given as an answer |
| {HANG} | neither in {deadline_s} s |

One word stands for three reads that ended alike.

"""

_FOOT: Final = """
No client can see every fault: Modbus TCP has no check of the data, and an answer does not say which
registers it holds. A meter that sends the wrong registers in an otherwise right answer is believed
by all of them.
"""


def page(table: Table, versions: Mapping[str, str], timeout_s: float, deadline_s: float) -> str:
    """The page; `versions` are those of the clients, in the order of the columns."""
    clients = list(versions)
    head = _HEAD.format(
        timeout_s=f"{timeout_s:g}",
        deadline_s=f"{deadline_s:g}",
        versions=", ".join(f"{client} {version}" for client, version in versions.items()),
        RIGHT=RIGHT,
        ERROR=ERROR,
        WRONG=WRONG,
        HANG=HANG,
    )
    lines = [_row("The meter", clients), _row("---", ["---"] * len(clients))]
    lines += [_row(meter, [_cell(of[client]) for client in clients]) for meter, of in table.items()]
    totals = [str(fooled(table, client)) for client in clients]
    lines.append(_row(f"**meters of {len(table)} with a wrong value**", totals))
    return head + "\n".join(lines) + "\n" + _FOOT


def fooled(table: Table, client: str) -> int:
    """The meters of which this client gave a wrong value."""
    return sum(WRONG in of[client] for of in table.values())


def parse(text: str) -> tuple[Table, Mapping[str, str], float, float]:
    """What `page` was given."""
    timeout_s = re.search(r"time-out of ([\d.]+) s", " ".join(text.split()))
    deadline_s = re.search(r"neither in ([\d.]+) s", text)
    versions = re.search(r"The versions: (.*)\.\n", text)
    assert timeout_s
    assert deadline_s
    assert versions
    named = dict(part.split(" ") for part in versions[1].split(", "))
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    start = next(place for place, row in enumerate(rows) if row[0] == "The meter")
    table = {
        meter: dict(zip(named, map(_reads, cells), strict=True))
        for meter, *cells in rows[start + 1 : -1]
    }
    return table, named, float(timeout_s[1]), float(deadline_s[1])


def _row(first: str, cells: Sequence[str]) -> str:
    if first == "---":
        return "|" + "---|" * (len(cells) + 1)
    return "| " + " | ".join([first, *cells]) + " |"


def _cell(reads: Sequence[str]) -> str:
    return reads[0] if len(set(reads)) == 1 else ", ".join(reads)


def _reads(cell: str) -> list[str]:
    found = cell.split(", ")
    return found * 3 if len(found) == 1 else found
