"""What to do about a meter that gives no value, by the gap reason. Pure.

One place for the health report and the commands, so that both say the same.
"""

from typing import Final

REFUSED: Final = frozenset({"exception:1", "exception:2", "exception:3"})
"""The meter is there and does not know the request: function, address or count."""

_NO_VALUE: Final = frozenset({"not_available", "out_of_range", "decode_error"})


def advice(reason: str) -> str:
    """One sentence for whoever can mend it, without a full stop."""
    if reason == "meter_held":
        return "another process reads it: end that one, or ask it"
    if reason in REFUSED:
        return "it answers but refuses these registers: is this the right map and unit?"
    if reason in _NO_VALUE:
        return "it answers, but what it says is no value: is this the right map?"
    return "see that it has power, and that host, port and unit are right"
