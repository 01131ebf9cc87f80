"""A program that stores readings and says which are durable, until it is killed.

Arguments: the database, the first tick in seconds after noon.
"""

import asyncio
import sys
from pathlib import Path

from emdc.storage.recorder import Recorder
from tests.storage.plant import open_new, profile, reading, tick

PER_WRITE = 5


async def main(path: Path, first: int) -> None:
    """Write without end, five ticks at a time."""
    recorder = Recorder(open_new(path), clock=lambda: tick(first))
    await recorder.start([profile()], tick(first))
    at = first
    while True:
        await recorder.write([reading(at + step) for step in range(PER_WRITE)])
        at += PER_WRITE
        sys.stdout.write(f"{at}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
