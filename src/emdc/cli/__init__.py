"""The commands: arguments in, printed text and an exit code out.

    emdc run | collect | probe | migrate | simulate | demo
    emdc energy | history | gaps
    emdc gendata | export | import | intervals | check | retention
    emdc meter swap | epochs | epoch
    emdc map list | show | check | copy | plan

A file for each group; each is imported when its command is asked for, so that `emdc --help` starts
at once. Rules to keep: 0, 1 and 2 are the only exit codes, nobody sees a traceback who did not ask
for it, and whoever closes our standard output has simply seen enough.
"""

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NoReturn

from emdc.errors import ConfigError, EmdcError

FAILED: Final = 1
MISUSED: Final = 2

_ENDLESS: Final = frozenset({"run", "demo", "simulate"})
"""Commands that only ever end because somebody wants them to."""


def main() -> NoReturn:
    """Run what the command line asks for, and end the process."""
    with suppress(ValueError):  # not the main thread: whoever embeds us has the signals
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else nohup wants us to stay
            signal.signal(signal.SIGHUP, signal.default_int_handler)
    _mend_streams()
    code = _flushed(execute(sys.argv[1:]))
    with suppress(ValueError):
        # From here on only the interpreter ends, and a second Ctrl-C would make it complain.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def execute(tokens: Sequence[str]) -> int:
    """The exit code of a command; its errors are printed.

    0: done. 1: it failed. 2: a flag, a setting or a register map has to be mended.
    """
    try:
        return _command(tokens)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return _interrupted(tokens)
    except EmdcError as error:
        return _complain(error, MISUSED if isinstance(error, ConfigError) else FAILED)
    except OSError as error:
        return _complain(f"{error}; --debug shows where", _traced(error, tokens))
    except Exception as error:  # noqa: BLE001  # the last place where it can become one line
        return _unexpected(error, tokens)


def _command(tokens: Sequence[str]) -> int:
    from emdc.cli.app import call  # noqa: PLC0415 (so that an interrupted import is caught above)

    return call(tokens)


def _interrupted(tokens: Sequence[str]) -> int:
    # An interrupt within a text that is executed, as libraries do when they make classes, lets
    # `python -m` end by a signal whatever the exit code, unless another text is executed after it.
    eval("0")  # noqa: S307
    if _ENDLESS.intersection(tokens[:1]):
        return 0
    return _complain("interrupted", FAILED)


def _complain(problem: object, code: int) -> int:
    from emdc.cli.terminal import clean  # noqa: PLC0415

    with suppress(OSError):
        print(f"emdc: {clean(str(problem))}", file=sys.stderr)
    return code


def _unexpected(error: Exception, tokens: Sequence[str]) -> int:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return _complain(
        f"this is a fault of the program: {text}; --debug shows where", _traced(error, tokens)
    )


def _traced(error: Exception, tokens: Sequence[str]) -> int:
    """Print the trace when it was asked for; the exit code of a failure."""
    if "--debug" in tokens:
        traceback.print_exception(error)
    return FAILED


def _mend_streams() -> None:
    """Let printing never fail for a character or for a stream that the caller closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _flushed(code: int) -> int:
    """`code`, or what it becomes when the last of the output cannot be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except OSError as error:
        _drop_stdout()
        return code or _complain(f"cannot write the output: {error.strerror}", FAILED)
    return code


def _drop_stdout() -> None:
    """Give the unwritten rest to nobody, or the interpreter would fail over it at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
