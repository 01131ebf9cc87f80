"""The log: one line per event, readable on a terminal, JSON elsewhere, and never a secret in it.

Modules log an event and its facts through the standard library:
`log.warning("meter unreachable", extra={"meter": name, "retry_in_s": 4.0})`. `configure` is called
once by the entry points. Two rules to keep: a line never breaks, whatever a meter or a client sent,
and logging never raises, not even into a closed or full stderr.
"""

import json as json_text
import logging
import math
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, TextIO, TypeAlias

Fact: TypeAlias = str | int | float | bool | None

LONGEST_LINE: Final = 2048
"""Bytes of a line without its end."""
LONGEST_FACT: Final = 500
"""Characters of a text in it; of a trace twice as many, its end."""
LONGEST_SEEN: Final = 20_000
"""Characters that are searched for secrets: far more than are written, so none is cut in two."""

BURST: Final = 3
"""Times that an event of a meter is logged before it is limited."""
FIRST_WAIT_S: Final = 60.0
LONGEST_WAIT_S: Final = 3600.0
"""Then it is logged after a minute, two, four …, and at least once an hour."""
MOST_KEYS: Final = 20_000

# What makes a line look like two or reads backwards: control characters, line and paragraph
# separators, halves of surrogate pairs, changes of direction. Unicode 15, sections 5.8 and 23.2.
_UNSAFE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_URL_PASSWORD: Final = re.compile(r"(://[^:/@\s]*):[^@\s]+@")
_SECRET_NAME: Final = re.compile(r"password|passwd|token|secret|authorization", re.IGNORECASE)
_BARE: Final = re.compile(r"[^\s\"=]+")
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_MASK: Final = "***"


def configure(
    level: str | int,
    *,
    stream: TextIO | None = None,
    json: bool | None = None,
    secrets: Iterable[str] = (),
    clock: Callable[[], float] = time.monotonic,
) -> "LogHandler":
    """Send every logger's events of `level` and above to `stream`, by default stderr.

    `json`: JSON lines or text; None asks whether the stream is a terminal. `secrets` are texts that
    no line may show. `clock` gives the seconds by which repeated events are limited. A second call
    replaces the first; the handler is returned.
    """
    target = sys.stderr if stream is None else stream
    as_json = not _is_terminal(target) if json is None else json
    handler = LogHandler(target, _json_line if as_json else _text_line, Mask(secrets), Limit(clock))
    root = logging.getLogger()
    for old in [one for one in root.handlers if isinstance(one, LogHandler)]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    return handler


class LogHandler(logging.Handler):
    """Writes one line per record; `lost` counts those that the stream did not take."""

    def __init__(
        self,
        stream: TextIO | None,
        line: "Callable[[Event], str]",
        mask: "Mask",
        limit: "Limit",
    ) -> None:
        super().__init__()
        self.lost = 0
        self._stream = stream
        self._line = line
        self._mask = mask
        self._limit = limit

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record unless its meter has said the same too often."""
        try:
            suppressed = self._limit.passes(record)
            if suppressed is None:
                return
            self._write(self._line(event_of(record, self._mask, suppressed)))
        except Exception:  # noqa: BLE001  # a log must not end what it reports on
            self.lost += 1

    def _write(self, line: str) -> None:
        if self._stream is None:
            self.lost += 1
            return
        self._stream.write(line + "\n")
        self._stream.flush()


class Limit:
    """Lets an event of one meter through `BURST` times, then ever more rarely.

    Keys are (meter, event); events without a meter and those of level DEBUG always pass.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str], _Repeats] = {}

    def passes(self, record: logging.LogRecord) -> int | None:
        """How many were held back since the last that passed; None when this one is held back."""
        meter = getattr(record, "meter", None)
        if meter is None or record.levelno <= logging.DEBUG:
            return 0
        now = self._clock()
        key = (str(meter), str(record.msg))
        repeats = self._seen.get(key)
        if repeats is None or now >= repeats.forget_at:
            self._make_room(key)
            repeats = self._seen[key] = _Repeats()
        return repeats.take(now)

    def _make_room(self, key: tuple[str, str]) -> None:
        self._seen.pop(key, None)
        if len(self._seen) >= MOST_KEYS:
            del self._seen[next(iter(self._seen))]


class _Repeats:
    """How often one event came, and when it may come again."""

    __slots__ = ("forget_at", "free", "held", "next_at", "wait")

    def __init__(self) -> None:
        self.free = BURST
        self.held = 0
        self.wait = FIRST_WAIT_S
        self.next_at = -math.inf
        self.forget_at = math.inf

    def take(self, now: float) -> int | None:
        self.forget_at = now + 2 * LONGEST_WAIT_S
        if self.free > 0:
            self.free -= 1
            self.next_at = now + self.wait
            return 0
        if now < self.next_at:
            self.held += 1
            return None
        self.wait = min(2 * self.wait, LONGEST_WAIT_S)
        self.next_at = now + self.wait
        held, self.held = self.held, 0
        return held


class Mask:
    """Replaces known secrets, and the passwords of URLs, in any text."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in (secret, repr(secret)[1:-1]) if form}
        # A short secret is a part of many words: only where it stands alone is it one.
        parts = [
            re.escape(form) if len(form) > 3 else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(forms, key=len, reverse=True)
        ]
        self._known = re.compile("|".join(parts)) if parts else None

    def __call__(self, text: str) -> str:
        """`text` with *** for every secret."""
        text = _URL_PASSWORD.sub(rf"\1:{_MASK}@", text)
        return self._known.sub(_MASK, text) if self._known else text


class Event:
    """One record made harmless: masked and cut; still to be escaped for its form."""

    __slots__ = ("facts", "level", "logger", "text", "ts")

    def __init__(self, record: logging.LogRecord, text: str, facts: Mapping[str, Fact]) -> None:
        self.ts = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        self.level = record.levelname
        self.logger = record.name
        self.text = text
        self.facts = facts


def event_of(record: logging.LogRecord, mask: Mask, suppressed: int = 0) -> Event:
    """What a record says: its message, the facts of `extra`, an exception as error and trace."""
    facts = {
        name: _MASK if _SECRET_NAME.search(name) else _fact(value, mask)
        for name, value in vars(record).items()
        if name not in _OWN
    }
    if suppressed:
        facts["suppressed"] = suppressed
    if record.exc_info and (error := record.exc_info[1]) is not None:
        facts["error"] = _cut(f"{type(error).__name__}: {_text(error)}", mask)
        trace = "".join(traceback.format_exception(error))
        facts["trace"] = mask(trace[-LONGEST_SEEN:])[-2 * LONGEST_FACT :]
    return Event(record, _cut(_message(record), mask), facts)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # noqa: BLE001  # arguments that do not fit still leave the event
        return _text(record.msg)


def _fact(value: object, mask: Mask) -> Fact:
    if value is None or isinstance(value, bool):
        return value
    # Beyond these a reader of JSON would take it for something else; NaN fails both comparisons.
    if isinstance(value, int | float) and -1e300 < value < 1e300:
        return value
    return _cut(_text(value), mask)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001  # whatever is logged must not raise here
        return f"<{type(value).__name__}>"


def _cut(text: str, mask: Mask) -> str:
    text = mask(text[:LONGEST_SEEN])
    return text if len(text) <= LONGEST_FACT else text[:LONGEST_FACT] + "…"


def _json_line(event: Event) -> str:
    head: dict[str, Fact] = {
        "ts": event.ts,
        "level": event.level,
        "logger": event.logger,
        "event": event.text,
    }
    facts = {f"{name}_" if name in head else name: value for name, value in event.facts.items()}
    while len(line := _dump(head | facts)) > LONGEST_LINE and facts:
        longest = max(facts, key=lambda name: len(str(facts[name])))
        _shorten(facts, longest)
    if len(line) > LONGEST_LINE:
        head["event"] = event.text[:100]
        line = _dump(head)
    return line


def _shorten(facts: dict[str, Fact], name: str) -> None:
    """Halve the text of a fact, a trace from its start; a short one goes."""
    text = str(facts.pop(name))
    if len(text) > 32:
        half = len(text) // 2
        facts[name] = text[-half:] if name == "trace" else text[:half]


def _dump(fields: Mapping[str, Fact]) -> str:
    # ASCII, so that every other character is escaped; DEL is the one that JSON leaves as it is.
    return json_text.dumps(fields, separators=(",", ":")).replace("\x7f", "\\u007f")


def _text_line(event: Event) -> str:
    facts = "".join(f" {name}={_quoted(value)}" for name, value in event.facts.items())
    line = f"{event.ts[:-6]}Z {event.level:<8} {event.logger}: {event.text}{facts}"
    line = _UNSAFE.sub(_escape, line)
    encoded = line.encode()
    if len(encoded) <= LONGEST_LINE:
        return line
    return encoded[: LONGEST_LINE - 3].decode(errors="ignore") + "…"


def _quoted(value: Fact) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else '"' + text.replace('"', '\\"') + '"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    known = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return known.get(character, f"\\u{ord(character):04x}")


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
