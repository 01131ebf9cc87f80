"""A serial line as a connection, over a pseudo-terminal."""

import asyncio
import errno
import fcntl
import os
import termios
from itertools import pairwise
from pathlib import Path

import pytest

from emdc.modbus import Line, LinkSettings
from emdc.modbus.serial_line import attributes, open_port, speed
from tests.modbus.asking import TIMEOUT_S, ask, links, read, reasons, right
from tests.modbus.rtu_frames import WRONG, Twist, right_frame
from tests.modbus.serial_pair import LINE, plug_in, plugged_in
from tests.virtual_time import run

SETTLE_S = 0.005
"""A byte is through a pseudo-terminal after this, even on a busy day."""


def test_the_units_of_a_line_are_read_one_after_the_other(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            link = opened.link(path, 502, LINE)
            assert opened.link(path, 0, LINE) is link
            units = [[read(10, 125, unit=unit), read(200, unit=unit)] for unit in (1, 2, 247)]
            answers = await asyncio.gather(*(ask(link, *wanted) for wanted in units))
            assert answers == [[right(one) for one in wanted] for wanted in units]
            assert [frame[0] for frame in wire.said] == [1, 1, 2, 2, 247, 247]
            assert link.connects == 1

    run(check(), settle_s=SETTLE_S)


@pytest.mark.parametrize("baudrate", [1200, 9600, 115200])
def test_the_line_is_silent_for_three_and_a_half_characters_before_each_request(
    baudrate: int, tmp_path: Path
) -> None:
    settings = LinkSettings(line=Line(baudrate, "none"))
    silence_s = 0.00175 if baudrate > 19200 else 35 / baudrate

    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            link = opened.link(path, 0, settings)
            await ask(link, *(read(address) for address in range(5)))
            assert all(b - a >= silence_s - 1e-6 for a, b in pairwise(wire.times))

    run(check(), settle_s=SETTLE_S)


@pytest.mark.parametrize(("twist", "reason"), WRONG.values(), ids=WRONG)
def test_after_a_wrong_answer_the_neighbours_are_read_and_the_unit_later(
    twist: Twist, reason: str, tmp_path: Path
) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            wire.answer = lambda request: (twist if request[0] == 1 else right_frame)(request)
            link = opened.link(path, 0, LINE)
            assert reasons(await ask(link, read(), read(20))) == [reason] * 2
            neighbour = read(30, unit=2)
            assert await ask(link, neighbour) == [right(neighbour)]
            wire.answer = right_frame
            assert reasons(await ask(link, read(20))) == ["backoff_skipped"]
            await asyncio.sleep(TIMEOUT_S)
            assert await ask(link, read(20)) == [right(read(20))]

    run(check(), settle_s=SETTLE_S)


def test_what_comes_too_late_or_for_nobody_is_thrown_away(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            link = opened.link(path, 0, LINE)
            wire.answer = lambda _: b""
            assert reasons(await ask(link, read(10))) == ["read_timeout"]
            late = right_frame(wire.said[-1])
            await asyncio.sleep(0.1)
            wire.send(late)
            await asyncio.sleep(TIMEOUT_S)
            wire.answer = right_frame
            wire.send(late[:4])
            await asyncio.sleep(0.1)
            assert await ask(link, read(50)) == [right(read(50))]
            wire.answer = lambda request: late + right_frame(request)
            neighbour = read(50, unit=2)
            assert await ask(link, neighbour) == [right(neighbour)]

    run(check(), settle_s=SETTLE_S)


def test_an_adapter_that_echoes_is_told_of(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            wire.answer = lambda request: request + right_frame(request)
            (answer,) = await ask(opened.link(path, 0, LINE), read())
            assert "turn off the echo" in str(answer)

    run(check(), settle_s=SETTLE_S)


def test_a_dead_unit_costs_the_line_one_time_out_in_each_pause(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            wire.answer = lambda request: b"" if request[0] == 3 else right_frame(request)
            settings = LinkSettings(line=LINE.line, backoff_max_s=8)
            link = opened.link(path, 0, settings)
            for _ in range(20):
                asked = await asyncio.gather(*(ask(link, read(unit=unit)) for unit in (3, 1, 2)))
                assert [reasons(answers) for answers in asked[1:]] == [["right"]] * 2
                await asyncio.sleep(1)
            assert 3 < sum(frame[0] == 3 for frame in wire.said) < 8

    run(check(), settle_s=SETTLE_S)


def test_an_adapter_that_is_pulled_out_and_put_in_again_is_read_again(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            link = opened.link(path, 0, LinkSettings(line=LINE.line, backoff_max_s=2))
            assert await ask(link, read()) == [right(read())]
            wire.close()
            found = set()
            for _ in range(10):
                found |= set(reasons(await ask(link, read())))
                await asyncio.sleep(0.5)
            assert found == {"connect_refused", "backoff_skipped"}
            assert link.dial.problem.startswith(f"{path}: ")
            again = plug_in(Path(path))
            await asyncio.sleep(2.5)
            assert await ask(link, read()) == [right(read())]
            assert link.dial.problem == ""
            again.close()

    run(check(), settle_s=SETTLE_S)


def test_a_line_that_is_lost_while_an_answer_is_awaited_is_a_gap_and_then_read(
    tmp_path: Path,
) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            link = opened.link(path, 0, LINE)
            wire.answer = lambda _: b""
            asking = asyncio.ensure_future(ask(link, read()))
            while not wire.said:
                await asyncio.sleep(0.01)
            wire.close()
            assert reasons(await asking) == ["connection_reset"]
            again = plug_in(Path(path))
            await asyncio.sleep(2)
            assert await ask(link, read()) == [right(read())]
            again.close()

    run(check(), settle_s=SETTLE_S)


def test_a_line_has_one_user_whatever_its_device_is_called(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (_, path), links() as opened, links("the other") as others:
            link = opened.link(path, 0, LINE)
            assert opened.link(str(Path(path).resolve()), 0, LINE) is link
            assert await ask(link, read()) == [right(read())]
            second = others.link(str(Path(path).resolve()), 0, LINE)
            assert reasons(await ask(second, read())) == ["meter_held"]
            assert second.dial.held_by == "a test"
            link.close()
            second.backoffs.connection.retry_at = 0  # half a second later
            assert await ask(second, read()) == [right(read())]

    run(check(), settle_s=SETTLE_S)


def test_a_line_that_another_program_has_is_refused_and_left_alone(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path), links() as opened:
            held = open_port(path, LINE.line)
            (answer,) = await ask(opened.link(path, 0, LINE), read())
            assert str(answer) == f"connect_refused: {path}: another program has it"
            held.close()
            assert wire.said == []

    run(check(), settle_s=SETTLE_S)


def test_a_line_that_is_open_is_closed_to_others_until_it_is_given_back(tmp_path: Path) -> None:
    async def check() -> None:
        with plugged_in(tmp_path) as (wire, path):
            port = open_port(path, LINE.line)
            assert is_exclusive(wire.slave)
            port.close()
            assert not is_exclusive(wire.slave)

    asyncio.run(check())


def is_exclusive(descriptor: int) -> bool:
    """What TIOCGEXCL of ioctl_tty(2) says."""
    return any(fcntl.ioctl(descriptor, 0x80045440, bytes(4)))


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/dev/ttyNONE", "No such file or directory"),
        ("/dev/null", "no serial line"),
        ("/dev", "Is a directory"),
    ],
)
def test_a_device_that_is_none_is_named_with_its_problem(path: str, problem: str) -> None:
    async def check() -> None:
        with links() as opened:
            (answer,) = await ask(opened.link(path, 0, LINE), read())
            assert str(answer) == f"connect_refused: {path}: {problem}"

    run(check())


def test_a_device_without_permission_says_which_group_may(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    async def check() -> None:
        with links() as opened:
            monkeypatch.setattr(os, "open", denied)  # nothing is denied to root
            (answer,) = await ask(opened.link("/dev/ttyS0", 0, LINE), read())
            assert "dialout" in str(answer)

    run(check())


def test_a_speed_that_the_system_has_no_name_for_is_refused() -> None:
    with pytest.raises(ValueError, match="12345 baud, expected a usual speed"):
        speed(12345)
    with pytest.raises(ValueError, match="0 baud"):
        speed(0)


@pytest.mark.parametrize(
    ("line", "on", "off"),
    [
        (Line(), termios.PARENB, termios.PARODD | termios.CSTOPB),
        (Line(parity="odd"), termios.PARENB | termios.PARODD, termios.CSTOPB),
        (Line(parity="none", stop_bits=2), termios.CSTOPB, termios.PARENB | termios.PARODD),
    ],
)
def test_the_line_is_raw_and_its_characters_are_as_set(line: Line, on: int, off: int) -> None:
    everything = [0xFFFFFFFF] * 4 + [0, 0, [b"\0"] * 32]
    iflag, oflag, cflag, lflag, ispeed, ospeed, controls = attributes(everything, line)
    assert (oflag, lflag, ispeed, ospeed) == (0, 0, termios.B19200, termios.B19200)
    assert cflag & termios.CSIZE == termios.CS8
    assert cflag & (termios.CREAD | termios.CLOCAL) == termios.CREAD | termios.CLOCAL
    assert (cflag & on, cflag & off) == (on, 0)
    assert not cflag & (termios.CRTSCTS | termios.HUPCL)
    assert not iflag & (termios.IXON | termios.ICRNL | termios.ISTRIP | termios.IGNCR)
    assert bool(iflag & termios.INPCK) == (line.parity != "none")
    assert (controls[termios.VMIN], controls[termios.VTIME]) == (1, 0)


@pytest.mark.parametrize(
    ("line", "silence_ms"),
    [
        (Line(), 2.005),
        (Line(9600, "none"), 3.646),
        (Line(9600, "none", 2), 4.010),
        (Line(38400), 1.75),
    ],
)
def test_the_silence_between_frames_is_three_and_a_half_characters(
    line: Line, silence_ms: float
) -> None:
    assert line.silence_s * 1000 == pytest.approx(silence_ms, abs=0.001)
