"""Ctrl-C for this program alone.

A terminal sends Ctrl-C to every process of its foreground group. Under `make demo` that is `make`
too, which then reports an error for a demonstration that ended as it should.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def foreground() -> Iterator[None]:
    """Be the only foreground process of the terminal, when `make` has started this one there."""
    if not ("MAKELEVEL" in os.environ and sys.stdin.isatty() and os.getpgrp() != os.getpid()):
        yield
        return
    terminal, before = sys.stdin.fileno(), os.getpgrp()
    # Whoever changes the foreground group from outside of it is stopped, unless it ignores this.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpid())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)
