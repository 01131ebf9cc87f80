"""The log: one safe line per event, limited, and never a reason to fail."""

import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from emdc.logs import BURST, LONGEST_LINE, LogHandler, Mask, configure

SECRET = "hunter2-and-more"
log = logging.getLogger("emdc.test")


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Written(io.StringIO):
    """A stream that is, or is not, a terminal."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal

    def lines(self) -> list[str]:
        return self.getvalue().splitlines()

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().split("\n")[:-1]]


@pytest.fixture(autouse=True)
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def stream() -> Written:
    return Written()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_event_is_one_object_with_its_facts(stream: Written) -> None:
    configure("INFO", stream=stream, json=True)
    log.warning("meter unreachable", extra={"meter": "UW/a", "retry_in_s": 4.0, "open": None})
    (line,) = stream.objects()
    assert line.pop("ts").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "emdc.test",
        "event": "meter unreachable",
        "meter": "UW/a",
        "retry_in_s": 4.0,
        "open": None,
    }


def test_an_event_is_one_readable_line_on_a_terminal(stream: Written) -> None:
    stream.terminal = True
    configure("INFO", stream=stream)
    log.warning("meter unreachable", extra={"meter": "UW/a b", "retry_in_s": 4.0, "name_": ""})
    time, rest = stream.getvalue().split(" ", 1)
    assert time.endswith("Z")
    assert rest == (
        'WARNING  emdc.test: meter unreachable meter="UW/a b" retry_in_s=4.0 name_=""\n'
    )


def test_what_is_no_terminal_gets_json(stream: Written) -> None:
    configure("INFO", stream=stream)
    log.info("x")
    assert stream.objects()[0]["event"] == "x"


def test_events_below_the_level_are_left_out(stream: Written) -> None:
    configure("WARNING", stream=stream)
    log.info("x")
    assert stream.getvalue() == ""


def test_configuring_again_replaces_the_handler(stream: Written) -> None:
    configure("INFO", stream=Written())
    configure("INFO", stream=stream)
    log.info("x")
    assert len(stream.lines()) == 1
    assert sum(isinstance(one, LogHandler) for one in logging.getLogger().handlers) == 1


def test_a_fact_with_the_name_of_a_field_stands_beside_it(stream: Written) -> None:
    configure("INFO", stream=stream)
    log.info("x", extra={"event": "y", "level": 3})
    line = stream.objects()[0]
    assert (line["event"], line["event_"], line["level"], line["level_"]) == ("x", "y", "INFO", 3)


HOSTILE = "".join(map(chr, range(0x20))) + "".join(map(chr, range(0x7F, 0xA0)))
HOSTILE += "\u2028\u2029\u202e\u2066\ud800\x1b[31m"


@pytest.mark.parametrize("as_json", [True, False])
def test_control_characters_never_reach_the_line(*, as_json: bool, stream: Written) -> None:
    configure("INFO", stream=stream, json=as_json)
    log.info("a%sb", HOSTILE, extra={"meter": HOSTILE, "other": [HOSTILE]})
    log.info(HOSTILE)
    assert len(stream.lines()) == 2
    assert not set(HOSTILE) & set(stream.getvalue()) - set(" \n[31m")
    stream.getvalue().encode()


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("text", ["x" * 10_000_000, "\u20ac" * 5000, "\x01" * 5000])
def test_a_line_is_cut_at_two_kilobytes(text: str, *, as_json: bool, stream: Written) -> None:
    configure("INFO", stream=stream, json=as_json)
    log.info(text, extra={f"fact{number}": text for number in range(20)})
    assert len(stream.getvalue().encode()) <= LONGEST_LINE + 1
    if as_json:
        assert stream.objects()[0]["level"] == "INFO"


@pytest.mark.parametrize("as_json", [True, False])
def test_no_secret_shows_wherever_it_stands(*, as_json: bool, stream: Written) -> None:
    configure("INFO", stream=stream, json=as_json, secrets=[SECRET, "ab"])
    try:
        raise ValueError(f"cannot use {SECRET}")
    except ValueError as error:
        log.exception("failed with %s", SECRET, extra={"fact": [SECRET], "cause": error})
    log.info("url", extra={"url": "postgresql://me:another-one@db/x", "token": "third-one"})
    log.info("short ones stand alone: ab, crab")
    text = stream.getvalue()
    assert not [word for word in (SECRET, "another-one", "third-one") if word in text]
    assert "***, crab" in text
    assert len(stream.lines()) == 3


def test_a_secret_that_is_cut_in_two_shows_no_half() -> None:
    stream = Written()
    configure("INFO", stream=stream, json=True, secrets=[SECRET])
    for length in range(470, 510):
        log.info("x" * length + SECRET)
    assert "hunter" not in stream.getvalue()


def test_a_secret_is_masked_also_where_it_is_quoted() -> None:
    secret = 'pass"wor\\d'
    assert Mask([secret])(f"{secret} {secret!r}") == "*** '***'"
    assert Mask([])("plain") == "plain"


def test_an_exception_is_a_fact_on_the_same_line(stream: Written) -> None:
    configure("INFO", stream=stream)
    try:
        raise KeyError("unit")
    except KeyError:
        log.exception("internal error")
    (line,) = stream.objects()
    assert line["error"] == "KeyError: 'unit'"
    assert line["trace"].endswith("KeyError: 'unit'\n")


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


def test_what_cannot_be_printed_still_makes_a_line(stream: Written) -> None:
    handler = configure("INFO", stream=stream)
    # Straight to the handler: pytest's own, which stands beside it, raises.
    handler.handle(logging.makeLogRecord({"msg": "a %d", "args": ("x",)}))
    log.info("b", extra={"fact": Unprintable(), "nan": float("nan"), "huge": 10**5000})
    first, second = stream.objects()
    assert first["event"] == "a %d"
    assert (second["fact"], second["nan"], second["huge"]) == ("<Unprintable>", "nan", "<int>")


def test_a_mute_meter_writes_at_most_a_hundred_lines_a_day(stream: Written, clock: Clock) -> None:
    configure("INFO", stream=stream, clock=clock)
    for _second in range(24 * 3600 // 10):
        clock.now += 10
        log.warning("meter unreachable", extra={"meter": "UW/a"})
    lines = stream.objects()
    assert BURST < len(lines) <= 100
    assert len(lines) + sum(line.get("suppressed", 0) for line in lines) > 8640 - 360


def test_a_repeated_event_comes_after_a_minute_then_two_then_four(
    stream: Written, clock: Clock
) -> None:
    configure("INFO", stream=stream, clock=clock)
    passed = []
    for second in range(600):
        before = len(stream.getvalue())
        log.warning("meter unreachable", extra={"meter": "UW/a"})
        if len(stream.getvalue()) > before:
            passed.append(second)
        clock.now += 1
    assert passed == [0, 1, 2, 62, 182, 422]
    assert stream.objects()[3]["suppressed"] == 59


def test_other_meters_and_events_have_limits_of_their_own(stream: Written, clock: Clock) -> None:
    configure("INFO", stream=stream, clock=clock)
    for _time in range(10):
        log.warning("meter unreachable", extra={"meter": "UW/a"})
    count = len(stream.lines())
    log.warning("meter unreachable", extra={"meter": "UW/b"})
    log.warning("meter refused", extra={"meter": "UW/a"})
    log.warning("database away")
    assert (count, len(stream.lines())) == (BURST, BURST + 3)


def test_events_without_a_meter_and_debug_are_not_limited(stream: Written, clock: Clock) -> None:
    configure("DEBUG", stream=stream, clock=clock)
    for _time in range(10):
        log.warning("database away")
        log.debug("request", extra={"meter": "UW/a"})
    assert len(stream.lines()) == 20


def test_after_a_quiet_time_an_event_is_new_again(stream: Written, clock: Clock) -> None:
    configure("INFO", stream=stream, clock=clock)
    for _time in range(10):
        log.warning("meter unreachable", extra={"meter": "UW/a"})
    clock.now += 3 * 3600
    for _time in range(10):
        log.warning("meter unreachable", extra={"meter": "UW/a"})
    assert len(stream.lines()) == 2 * BURST


def test_a_closed_stream_loses_lines_and_nothing_else() -> None:
    stream = io.StringIO()
    handler = configure("INFO", stream=stream)
    stream.close()
    log.info("x")
    assert handler.lost == 1
    configure("INFO", stream=stream)
    log.info("x")


def test_a_broken_pipe_loses_lines_and_nothing_else() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with suppress(BrokenPipeError), os.fdopen(writing, "w", buffering=1) as pipe:
        handler = configure("INFO", stream=pipe)
        log.info("x")
        log.info("y")
        assert handler.lost == 2


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-"])
def test_a_full_or_missing_stderr_does_not_end_a_program(redirection: str) -> None:
    program = (
        "import logging; from emdc.logs import configure; configure('INFO');"
        "[logging.getLogger('x').error('y') for _ in range(100)]; print('done')"
    )
    command = f'exec "$0" -c "$1" {redirection}'
    ended = subprocess.run(
        ["/bin/sh", "-c", command, sys.executable, program],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, b"done\n")
