"""Finds the link that hangs: it has something to do and nothing moves. This must not happen.

Every step of a link has its deadline, so a link that stands still beyond all of them has met a
fault of this program: a task that does not end, a callback that raised half-way. Its meter must not
stay dark until somebody starts the daemon again.
"""

from collections.abc import Collection
from typing import Final

from emdc.modbus.link import Link, Mark
from emdc.modbus.pace import CONNECTS_PER_S

LOOK_S: Final = 1.0
"""Seconds between two looks."""
GRACE_S: Final = 5.0
"""Beyond the deadlines, which are noticed a little late."""


class Watchdog:
    """Looks at all links from time to time.

    Counts looks, not seconds: a process that was stopped for an hour finds its answers waiting.
    """

    def __init__(self) -> None:
        self._still: dict[Link, tuple[Mark, int]] = {}

    def look(self, links: Collection[Link]) -> None:
        """Start each link anew that has stood still for too long."""
        turns_s = len(links) / CONNECTS_PER_S
        still: dict[Link, tuple[Mark, int]] = {}
        for link in tuple(links):
            mark = link.mark()
            if mark is None:
                continue
            before, looks = self._still.get(link, (mark, 0))
            looks = looks + 1 if before == mark else 0
            if looks * LOOK_S > link.patience_s() + turns_s + GRACE_S:
                link.restart(f"nothing happened for {looks * LOOK_S:.0f} s")
            else:
                still[link] = mark, looks
        self._still = still
