"""A program that spools readings and says which are durable, until it is killed.

Arguments: the spool, how many readings it holds already.
"""

import itertools
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from emdc.reading import MeterReading
from emdc.storage.spool.parcel import Entries
from emdc.storage.spool.spool import Spool

START = datetime(2026, 3, 1, tzinfo=UTC)


def numbered(number: int) -> Entries:
    """One reading that is known by its number; every tenth fills many pages."""
    at = START + timedelta(seconds=number)
    text = Random(number).randbytes(40_000 if number % 10 == 0 else 10).hex()
    return Entries((MeterReading("m", at, at, ("number", "text"), (number, text), {}),))


def main(path: Path, first: int) -> None:
    """Put without end."""
    spool = Spool(path, limit_bytes=10**9, clock=lambda: START)
    spool.open()
    for number in itertools.count(first):
        spool.put(numbered(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
