"""The guards of the answer check, each as the change of the sources that removes it."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

TCP, MBAP, LINK = "modbus/tcp.py", "modbus/mbap.py", "modbus/link.py"
PDU, BACKOFF, PIPELINE = "modbus/pdu.py", "modbus/backoff.py", "modbus/pipeline.py"
RTU, LINE, LINKS = "modbus/rtu.py", "modbus/line.py", "modbus/links.py"
IDENTITY = "meters/identity.py"

TESTS: Mapping[str, Sequence[str]] = {
    TCP: (
        *("modbus/test_link.py", "modbus/test_torn.py"),
        *("modbus/test_exchange.py", "modbus/test_links.py"),
    ),
    MBAP: ("modbus/test_link.py", "modbus/test_mbap.py"),
    LINK: ("modbus/test_link.py", "modbus/test_exchange.py", "modbus/test_links.py"),
    PDU: ("modbus/test_pdu.py",),
    BACKOFF: ("modbus/test_backoff.py", "modbus/test_links.py"),
    PIPELINE: ("modbus/test_pipeline.py", "modbus/test_torn.py", "modbus/test_link.py"),
    RTU: ("modbus/test_rtu.py", "modbus/test_line.py"),
    LINE: ("modbus/test_line.py", "modbus/test_rtu.py"),
    LINKS: ("modbus/test_link.py", "modbus/test_links.py"),
    IDENTITY: ("meters/test_identity.py",),
}
"""Which tests are run when a file of the sources has lost a guard."""


class Change(NamedTuple):
    """One place in the sources."""

    file: str
    """Below src/emdc."""
    text: str
    """Stands there once."""
    instead: str


class Guard(NamedTuple):
    """What is removed, and by which changes."""

    name: str
    changes: tuple[Change, ...]

    @property
    def tests(self) -> Sequence[str]:
        """Those that are to notice."""
        return tuple(dict.fromkeys(name for one in self.changes for name in TESTS[one.file]))

    @property
    def files(self) -> set[str]:
        """Those that change."""
        return {change.file for change in self.changes}


def without(guard: Guard, sources: Mapping[str, str]) -> dict[str, str]:
    """The sources by file without the guard; LookupError when a place is not found once."""
    changed = dict(sources)
    for change in guard.changes:
        found = changed[change.file].count(change.text)
        if found != 1:
            raise LookupError(f"{guard.name}: {found} times in {change.file}: {change.text!r}")
        changed[change.file] = changed[change.file].replace(change.text, change.instead)
    return changed


_FAST = "BUFFER.startswith(self._expected)"
_WHOLE = "frame.startswith(self._expected)"


def _header(name: str, first: int, last: int, *more: Change) -> Guard:
    """Bytes `first` to `last` of the header are not compared, wherever the whole header is."""

    def compared(what: str) -> str:
        parts = f"{what}[:{first}] == self._expected[:{first}]"
        return f"({parts} and {what}[{last + 1}:9] == self._expected[{last + 1}:])"

    fast = Change(TCP, _FAST, compared("BUFFER"))
    return Guard(name, (fast, Change(TCP, _WHOLE, compared("frame")), *more))


def _guard(name: str, file: str, text: str, instead: str) -> Guard:
    return Guard(name, (Change(file, text, instead),))


_PROTOCOL = Change(MBAP, "if buffer[2] or buffer[3]:", "if False:")
_LENGTH = Change(MBAP, "if not 3 <= length <= MAX_FRAME - 6:", "if False:")
_UNIT = Change(MBAP, "if unit != request.unit:", "if False:")
_STRAY = Change(
    TCP, "        if tid != self._tid:\n            self._strange(tid)\n            return\n", ""
)

GUARDS: Sequence[Guard] = (
    _header("transaction id", 0, 1, _STRAY),
    _header("protocol id", 2, 3, _PROTOCOL),
    _header("length", 4, 5),
    _header("unit", 6, 6),
    _header("function code", 7, 7),
    _header("byte count", 8, 8),
    _guard("size of the answer", TCP, "nbytes == self._size and", "nbytes >= 9 and"),
    _guard("nothing half received before", TCP, " and not self._partial and", " and"),
    _guard("protocol id of a frame", *_PROTOCOL),
    _guard("length of a frame", *_LENGTH),
    _guard("shortest length", MBAP, "if not 3 <= length <=", "if not 0 <= length <="),
    _guard("longest length", MBAP, "<= MAX_FRAME - 6:", "<= MAX_FRAME - 5:"),
    _guard("whole frame", MBAP, "if size is None or len(buffer) < size:", "if size is None:"),
    _guard("unit of an exception", *_UNIT),
    _guard("function code of an exception", MBAP, "if code == request.function_code | 0x80:",
           "if code & 0x80:"),
    _guard("size of an exception", MBAP, "if size != 9:", "if False:"),
    _guard("answer that nobody asked for", TCP, "            if tid != self._tid:\n"
           "                raise ProtocolError(", "            if False:\n"
           "                raise ProtocolError("),
    _guard("second copy of an answer", TCP,
           "if self._current is None or self.deadline is NEVER:", "if self._current is None:"),
    _guard("answer to another request", *_STRAY),
    _guard("strange answers named", LINK, "ProtocolError(*self._stray) if self._stray else ", ""),
    _guard("strange answer forgotten with its request", LINK,
           "            self._stray, self._failures = None, 0\n", ""),
    _guard("wrong answer known by its start", TCP,
           "if len(self._partial) >= 9 and not self._partial.startswith(self._expected):",
           "if False:"),
    _guard("connection closed after a failure", LINK,
           "        exchange = self._current\n        self._drop_connection()\n",
           "        exchange = self._current\n"
           "        self._current, self.deadline, self._size = None, NEVER, NOTHING\n"),
    _guard("bytes of a lost connection thrown away", LINK, "        self._partial.clear()\n", ""),
    _guard("lost request sent once more only", LINK,
           "return exchange.resent != len(exchange.answers)", "return True"),
    _guard("new transaction id for each request", TCP,
           "self._tid = tid = (self._tid + STEP) & 0xFFFF", "tid = self._tid"),
    _guard("transaction ids that nobody counts up to", TCP,
           "self._tid = tid = (self._tid + STEP)", "self._tid = tid = (self._tid + 1)"),
    _guard("what follows an answer", TCP, "if not may_follow(self._partial, frame[6]):",
           "if False:"),
    _guard("only reading function codes", PDU, "if function_code not in (1, 2, 3, 4):",
           "if False:"),
    _guard("no more registers than an answer holds", PDU, "if not 1 <= count <= limit:",
           "if not 1 <= count:"),
    _guard("no address beyond the last", PDU, "if not 0 <= address <= ADDRESSES - count:",
           "if not 0 <= address:"),
    _guard("bytes that came before their request", TCP, "if self._sends == sends:", "if True:"),
    _guard("half an answer that came before its request", TCP,
           "if self._sends != sends and self._partial:", "if False:"),
    _guard("headers of a group that came together", PIPELINE,
           'if b"".join(parts[::2]) != group.heads.under(tid):', "if False:"),
    _guard("header of each answer of a group", PIPELINE, "buffer.startswith(expected, start)",
           "True"),
    _guard("order of the answers of a group", PIPELINE,
           "if not between and places <= len(self._left):", "if False:"),
    _guard("what follows an answer of a group", PIPELINE,
           "if not may_follow(VIEW[start:nbytes], expected[6]):",
           "if False:"),
    _guard("what follows the last answer of a group", PIPELINE, "if end < nbytes:", "if False:"),
    _guard("ids of a lost group not used again", PIPELINE,
           "            self._tid + STEP * len(self._left)\n", "            self._tid\n"),
    _guard("one request at a time without ids", LINKS,
           "settings.request_delay_s or settings.ignore_transaction_id",
           "settings.request_delay_s"),
    _guard("unit that its gateway does not find", LINK,
           "if exchange.failed and is_absence(answer):", "if False:"),
    _guard("checksum", RTU, "if crc(frame[:-2]) != frame[-2:]:", "if False:"),
    _guard("unit on a line", LINE, "if frame[0] == request.unit:", "if True:"),
    _guard("function code and byte count on a line", LINE,
           "if not frame.startswith(self._expected):", "if frame[1] & 0x80:"),
    _guard("function code of an exception on a line", RTU, "if code == asked | 0x80:",
           "if code & 0x80:"),
    _guard("start of an answer on a line", LINE,
           "if rtu.cannot_be(self._partial, request):", "if False:"),
    _guard("what follows an answer on a line thrown away", LINE,
           "            self._partial.clear()\n            self._noise", "            self._noise"),
    _guard("unit on a line left alone after a lost answer", LINE,
           "            self.backoffs.hold(", "            (lambda *_: None)("),
    _guard("identity of the meter", IDENTITY, "if found == self._expected:", "if True:"),
    _guard("identity asked after each connection", IDENTITY,
           "if connection == self._connection or", "if self._connection != _NONE or"),
    _guard("a pause after failures", BACKOFF, "        if now < self.retry_at:\n",
           "        if False:\n"),
)  # fmt: skip
