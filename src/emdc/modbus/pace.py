"""How fast connections are begun when many meters are to be reached at once. Pure.

A thousand meters come back together when their switch does: a thousand connects in one instant are
more than small switches, routers and gateways take.
"""

from typing import Final

CONNECTS_PER_S: Final = 2000
"""A thousand meters are begun within half a second, so that none misses its first tick at 1 s."""


class Pace:
    """Gives each its turn, `per_s` turns a second; who comes while there are none pays no wait."""

    def __init__(self, per_s: float = CONNECTS_PER_S) -> None:
        self._apart_s = 1 / per_s
        self._next = float("-inf")

    def turn(self, now: float) -> float:
        """Seconds from loop time `now` until the turn of whoever asks."""
        at = max(now, self._next)
        self._next = at + self._apart_s
        return at - now
