"""A program that upgrades a database and ends itself, by SIGKILL, before a statement.

Reads lines of a number and a URL. For each a child counts the statements that change something,
and ends itself before that one; the answer is its exit status, 0 when there were fewer.
"""

import os
import re
import signal
import sys
from typing import Any

from alembic import command  # loaded once, for all children
from sqlalchemy import event

from emdc.storage.database import open_engine
from emdc.storage.migrate import upgrade

ZONE = "America/Los_Angeles"
_CHANGES = re.compile(r"\s*(CREATE|ALTER|DROP|RENAME|INSERT|UPDATE|DELETE)", re.IGNORECASE)


def child(number: int, url: str) -> None:
    """Upgrade, up to a statement."""
    engine = open_engine(url)
    left = number

    def before(*facts: Any) -> None:
        nonlocal left
        if _CHANGES.match(facts[2]):
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    event.listen(engine, "before_cursor_execute", before)
    upgrade(engine, data_timezone=ZONE)
    engine.dispose()


def main() -> None:
    """Answer each line; end with the input."""
    assert command
    for line in sys.stdin:
        number, url = line.split()
        pid = os.fork()
        if pid == 0:
            child(int(number), url)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
