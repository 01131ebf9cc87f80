"""What has come over a connection, in one buffer that all links of a process share.

It is read before the next link fills it again. Called by each transport.
"""

from collections.abc import Callable
from typing import Final

from emdc.modbus.readiness import Connection

BUFFER: Final = bytearray(65536)
VIEW: Final = memoryview(BUFFER)


def receive(connection: Connection | None, lost: Callable[[str], None]) -> int:
    """How many bytes came into BUFFER; 0 when none did, or `lost` was told why none will."""
    assert connection is not None
    try:
        nbytes = connection.recv_into(BUFFER)
    except BlockingIOError:
        return 0
    except OSError as error:
        lost(error.strerror or str(error))
        return 0
    if not nbytes:
        lost("closed by the meter")
    return nbytes
