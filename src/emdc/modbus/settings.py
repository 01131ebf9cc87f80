"""What a meter's connection needs. Pure data; times are seconds."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Parity: TypeAlias = Literal["even", "odd", "none"]


@dataclass(frozen=True, slots=True)
class Line:
    """How the characters of a serial line look.

    The defaults are those of Modbus over Serial Line V1.02, section 2.5.1.
    """

    baudrate: int = 19200
    parity: Parity = "even"
    stop_bits: int = 1

    @property
    def silence_s(self) -> float:
        """Seconds of silence between two frames: 3.5 characters, above 19200 baud 1.75 ms.

        Source: Modbus over Serial Line V1.02, section 2.5.1.1.
        """
        bits = 9 + (self.parity != "none") + self.stop_bits
        return 0.00175 if self.baudrate > 19200 else 3.5 * bits / self.baudrate


@dataclass(frozen=True, slots=True)
class LinkSettings:
    """How one host and port, or one serial line, is to be treated."""

    connect_timeout_s: float = 3.0
    connect_delay_s: float = 0.0
    """Pause after connecting before the first request."""
    request_delay_s: float = 0.0
    """Pause between an answer and the next request."""
    backoff_s: float = 1.0
    """Pause after the second failure in a row; doubles with each further one."""
    backoff_max_s: float = 30.0
    pipeline: int = 1
    """Requests of one exchange that may be under way together; without meaning where a pause is
    set or there are no transaction ids to tell the answers apart."""
    ignore_transaction_id: bool = False
    """For meters that answer under another one. A late or doubled answer cannot be told from the
    right one then; what comes while nothing is asked ends the connection."""
    rtu: bool = False
    """RTU frames over the TCP connection."""
    line: Line = Line()
    """How the line is set, where the host is the path of a serial device."""

    @property
    def give_way_s(self) -> float:
        """How long a meter that failed waits at first: those that are due with it go before it."""
        return min(0.1, self.backoff_s)
