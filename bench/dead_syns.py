"""Every attempt to open a connection to some ports of this machine, as the kernel passes it on.

A packet socket on `lo` sees them whatever becomes of them: refused, dropped or taken. It needs
CAP_NET_RAW; without it PermissionError. Sources: packet(7), socket(7) on SO_ATTACH_FILTER.
"""

import ctypes
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Container

_ETH_P_IP = 0x0800
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_TIMESPEC = struct.Struct("qq")

_FILTER = (
    # (code, jump if true, jump if false, operand): TCP whose flags have SYN and no ACK. An IP
    # header is 20 bytes here: nobody on loopback sets options.
    (0x30, 0, 0, 9),  # the protocol
    (0x15, 0, 4, socket.IPPROTO_TCP),
    (0x30, 0, 0, 20 + 13),  # the flags
    (0x54, 0, 0, 0x12),
    (0x15, 0, 1, 0x02),
    (0x06, 0, 0, 64),  # take so many bytes
    (0x06, 0, 0, 0),  # take nothing
)


class Syns:
    """Attempts to open a connection, from the start of the block to its end."""

    def __init__(self, ports: Container[int]) -> None:
        self.attempts: defaultdict[int, list[float]] = defaultdict(list)
        """Port → Unix seconds. A SYN that the kernel sends again is the same attempt."""
        self._ports = ports
        self._sources: set[tuple[int, int, bytes]] = set()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
        program = b"".join(struct.pack("HBBI", *line) for line in _FILTER)
        self._program = ctypes.create_string_buffer(program)
        attach = struct.pack("HP", len(_FILTER), ctypes.addressof(self._program))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attach)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.bind(("lo", _ETH_P_IP))
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._ended = threading.Event()

    def __enter__(self) -> "Syns":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._ended.is_set():
            try:
                packet, ancillary, *_ = self._socket.recvmsg(64, 64)
            except TimeoutError:
                continue
            if ancillary:
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                self._take(packet, seconds + nanoseconds / 1e9)

    def _take(self, packet: bytes, at: float) -> None:
        source, port = struct.unpack_from(">HH", packet, 20)
        attempt = (source, port, packet[24:28])  # with the number that its stream begins with
        if port in self._ports and attempt not in self._sources:
            self._sources.add(attempt)
            self.attempts[port].append(at)
