"""Every error that EMDC raises on purpose. The class says what to do next.

    EmdcError
    ├── ConfigError         mend a setting: the daemon does not start, exit code 2
    │   └── RegisterMapError    mend a spreadsheet; carries every fault of the file
    ├── MeterError          nothing to do: the metric becomes a gap, the next tick tries again
    │   ├── LinkError           no connection, or no answer in time
    │   ├── ProtocolError       the answer broke the protocol: the connection is closed
    │   └── ExceptionResponseError  the meter answered no; the connection is fine
    ├── BusyError           a collection runs and one waits: ask again later
    └── StorageError        the database did not take or give what was asked
        └── SchemaError         the database is not at this version's schema: run the named command

Messages are lower case, without a full stop: what, where, the value, what was expected.
This module imports nothing of ours.
"""

from collections.abc import Sequence


class EmdcError(Exception):
    """The root: catch it where a command or a request ends."""


class ConfigError(EmdcError):
    """A setting that cannot be used. The text names its source, the key, the value and the mend."""


class RegisterMapError(ConfigError):
    """Faults of one register map, all of them together.

    `faults` holds (place, problem) pairs in sheet order; place is a cell such as `Metrics!D17`,
    or empty when the whole file is meant.
    """

    def __init__(self, book: str, faults: Sequence[tuple[str, str]]) -> None:
        self.book = book
        self.faults = tuple(faults)
        super().__init__(book, self.faults)

    def __str__(self) -> str:
        lines = [f"{place}: {problem}" if place else problem for place, problem in self.faults]
        if len(lines) == 1:
            return f"{self.book}: {lines[0]}"
        return f"{self.book}: {len(lines)} faults\n" + "\n".join(f"  {line}" for line in lines)


class MeterError(EmdcError):
    """A meter did not give a value. `reason` is the gap reason that is recorded (see reading)."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        self.detail = detail
        super().__init__(reason, detail)

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


class LinkError(MeterError):
    """No connection, or no answer in time."""


class ProtocolError(MeterError):
    """An answer that is not the one to the request; its connection cannot be trusted any more."""


class ExceptionResponseError(MeterError):
    """The meter refused. `code` is the exception code, Modbus specification section 7."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"exception:{code}")


class BusyError(EmdcError):
    """Too many callers want the meters at once."""


class StorageError(EmdcError):
    """The database did not take or give what was asked."""


class SchemaError(StorageError):
    """The database's schema is not the one of this version; the text names the command to run."""
