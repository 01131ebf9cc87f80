"""A second process: reads one meter and keeps it until it is killed. Arguments: host, port.

Prints what became of the reading: `right` or the reason why not, then what the holder says.
"""

import asyncio
import sys

from emdc.modbus import LinkSettings
from tests.modbus.asking import ask, links, read, reasons


async def main(host: str, port: int) -> None:
    """Read once and stay."""
    with links(holder=f"the holder of {host}") as opened:
        link = opened.link(host, port, LinkSettings(connect_timeout_s=30))
        answers = await ask(link, read(), timeout_s=30)
        sys.stdout.write(f"{reasons(answers)[0]} {link.dial.held_by}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
