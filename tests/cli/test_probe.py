"""`emdc probe` as users run it: what it prints, and its exit codes."""

import re
import shlex
import signal
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from emdc.cli import execute
from emdc.cli.demo import simulated
from emdc.cli.probe import OWN, WAY
from emdc.cli.verdict import Place, settings
from emdc.config.table import Setting
from emdc.meters import library
from emdc.meters.probe import UNITS, Candidate
from emdc.meters.score import ENOUGH, FITS, PERHAPS, Score
from emdc.meters.variants import Turn, variant
from tests.meters.sheets import data
from tests.program import daemon, emdc, finished, free_port, meter_flags

QUICK = "--pace=0"


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, ...]]:
    """A Nexus 1272 and an Eaton Power Xpert Meter."""
    with simulated() as found:
        yield found


def test_the_settings_that_it_prints_read_the_meter(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert execute(["probe", f"127.0.0.1:{ports[0]}", QUICK]) == 0
    printed = capsys.readouterr().out
    assert "at most 500 requests" in printed.splitlines()[0]
    assert "nexus-1272 fits unit 1: addresses as in the map, order as in the map" in printed
    block = printed[printed.index("[[meters]]") : printed.index("\nor: ")]
    (meter,) = tomllib.loads(block)["meters"]
    assert (meter["map"], meter["unit"]) == ("nexus-1272", 1)
    (tmp_path / "emdc.toml").write_text(block, encoding="utf-8")
    assert execute(["collect", f"--config={tmp_path / 'emdc.toml'}"]) == 0
    line = printed[printed.index("or: emdc ") :].removeprefix("or: emdc ")
    assert execute(shlex.split(line)) == 0


def test_the_reasons_stand_beside_each_candidate(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["probe", f"127.0.0.1:{ports[1]}", "--map=eaton-pxm-4000", QUICK]) == 0
    printed = capsys.readouterr().out
    assert re.search(r"eaton-pxm-4000 +1 +as in the map +as in the map +\d+ +fits", printed)
    assert re.search(r"\+ frequency (59|60)\.\d+ Hz", printed)


def test_a_wrong_map_is_said_not_to_fit_and_gives_1(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["probe", f"127.0.0.1:{ports[0]}", "--map=eaton-pxm-4000", QUICK]) == 1
    printed = capsys.readouterr().out
    assert "nothing fits: the meter needs another map" in printed
    assert "[[meters]]" not in printed
    assert "refused with exception 2" in printed


def test_the_unit_behind_a_gateway_is_found_or_said_to_be_absent(tmp_path: Path) -> None:
    with emdc("simulate", "--map=nexus-1272", "--port=0", "--unit=3", folder=tmp_path) as program:
        port = program.line("nexus-1272:").partition("127.0.0.1:")[2].partition(",")[0]
        place = f"127.0.0.1:{port}"
        found = finished("probe", place, "--map=nexus-1272", QUICK, folder=tmp_path)
        named = finished("probe", place, "--map=nexus-1272", "--units=7,8", QUICK, folder=tmp_path)
    assert (found.returncode, found.stderr) == (0, "")
    assert "unit = 3" in found.stdout
    assert "unit 1, 255, 2: a gateway answers that nothing is there" in found.stdout
    assert named.returncode == 1
    assert f"nothing answered at {place}" in named.stdout


def test_a_map_that_counts_from_1_is_found_with_what_to_do(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [
        [one.name, "", one.address + 1, one.size, one.scale, one.data_type.value]
        for one in library.find("eaton-pxm-4000").metrics[:15]
    ]
    file = tmp_path / "mine.xlsx"
    file.write_bytes(data(*rows))
    assert execute(["probe", f"127.0.0.1:{ports[1]}", f"--map={file}", QUICK]) == 0
    printed = capsys.readouterr().out
    assert "mine fits unit 1: addresses each -1, order as in the map" in printed
    assert f"  write address_base 1 in the sheet Meter, in {file}" in printed
    file.write_bytes(data(*rows, others={"Meter": [("address_base", 1)]}))
    assert execute(shlex.split(printed[printed.index("or: emdc ") :])[2:]) == 0


def test_a_shipped_map_is_copied_before_it_is_changed() -> None:
    turned = variant(library.find("finder-7m38"), 1, Turn(words=True))
    assert turned is not None
    candidate = Candidate(turned, 7, 1, Turn(words=True), Score())
    lines = list(settings(candidate, Place("::1", 502), "finder-7m38"))
    assert "  emdc map copy finder-7m38" in lines
    assert "  add +1 to every Metric Address, in my-finder-7m38.xlsx" in lines
    assert any("the other Word Order for every metric" in line for line in lines)
    assert 'host = "[::1]:502"' in lines
    assert 'map = "my-finder-7m38.xlsx"' in lines


def test_a_map_of_ones_own_is_named_by_its_file_and_not_to_be_copied(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = [
        [one.name, "", one.address + 1, one.size, one.scale, one.data_type.value]
        for one in library.find("eaton-pxm-4000").metrics[:15]
    ]
    (tmp_path / "own.xlsx").write_bytes(data(*rows))
    flags = ["--map=own", f"--maps_dir={tmp_path}", QUICK]
    assert execute(["probe", f"127.0.0.1:{ports[1]}", *flags]) == 0
    printed = capsys.readouterr().out
    assert "map copy" not in printed
    assert f'map = "{tmp_path / "own.xlsx"}"' in printed


def test_without_a_map_sunspec_is_what_is_tried(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--map=sunspec", "--units=1", QUICK]
    assert execute(["probe", f"127.0.0.1:{ports[0]}", *flags]) == 1
    assert ": trying sunspec on unit 1. Reads only" in capsys.readouterr().out


def test_a_meter_that_speaks_rtu_over_tcp_is_found_when_it_is_said(tmp_path: Path) -> None:
    rtu = "--transport=rtu-over-tcp"
    flags = ("--map=nexus-1272", QUICK, "--units=1", "--timeout=0.3")
    with emdc("simulate", "--map=nexus-1272", "--port=0", rtu, folder=tmp_path) as program:
        place = re.findall(r"127\.0\.0\.1:\d+", program.line("nexus-1272:"))[0]
        found = finished("probe", place, *flags, rtu, folder=tmp_path)
        other = finished("probe", place, *flags, folder=tmp_path)
        line = found.stdout[found.stdout.index("or: emdc ") :]
        read = finished(*shlex.split(line)[2:], folder=tmp_path)
    assert found.returncode == 0
    assert 'transport = "rtu-over-tcp"' in found.stdout
    assert "--panel_transport=rtu-over-tcp" in line
    assert read.returncode == 0
    assert other.returncode == 1
    assert "--transport=rtu-over-tcp" in other.stdout


# What is not there


def test_a_meter_that_a_daemon_reads_is_left_alone_and_its_holder_is_named(tmp_path: Path) -> None:
    with simulated() as ports, daemon(*meter_flags(ports[0]), folder=tmp_path) as program:
        assert program.ask("GET", "/metric?name=W&fresh=1")[0] == 200
        ended = finished("probe", f"127.0.0.1:{ports[0]}", QUICK, folder=tmp_path)
        assert program.ask("GET", "/metric?name=W&fresh=1")[0] == 200
        page = program.page
    assert ended.returncode == 1
    assert f"is being read by emdc, process {program.process.pid}, at {page}" in ended.stdout
    assert "end that program first, or ask it" in ended.stdout


def test_a_closed_port_is_one_sentence_with_what_to_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    port = free_port()
    assert execute(["probe", f"127.0.0.1:{port}"]) == 1
    (_, said) = capsys.readouterr().out.splitlines()
    assert said.startswith(f"127.0.0.1:{port}: nothing listens there: is Modbus TCP switched on")


def test_a_line_that_cannot_be_opened_is_one_sentence_without_a_word_of_tcp(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    device = tmp_path / "ttyUSB0"
    assert execute(["probe", str(device), "--map=nexus-1272"]) == 1
    (_, said) = capsys.readouterr().out.splitlines()
    assert said == f"{device}: No such file or directory"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["10.0.0.1", "--transport=rtu-over-tcp", "--baudrate=9600"],
            "--baudrate: 9600, but 10.0.0.1 is no serial device",
        ),
        (["10.0.0.1", "--parity=even"], "--parity: 'even', but 10.0.0.1 is no serial device"),
        (
            ["/dev/ttyUSB0", "--transport=rtu-over-tcp"],
            "--transport: 'rtu-over-tcp', but /dev/ttyUSB0 is a serial device",
        ),
        (["/dev/ttyUSB0", "--baudrate=1234"], "--baudrate: 1234, expected a speed"),
        (["/dev/ttyUSB0", "--units=1,0"], "--units: 0 is everybody on a line"),
    ],
)
def test_what_emdc_would_refuse_is_not_probed_with(
    arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["probe", *arguments, "--map=nexus-1272"]) == 2
    assert problem in capsys.readouterr().err


def test_a_name_that_does_not_exist_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["probe", "no-such-meter.invalid", "--map=nexus-1272"]) == 1
    assert "no such name: write the address in numbers" in capsys.readouterr().out


def test_a_meter_that_never_answers_is_said_to_be_silent(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        place = f"127.0.0.1:{mute.getsockname()[1]}"
        flags = ["--units=1", "--timeout=0.05", "--map=nexus-1272", QUICK]
        assert execute(["probe", place, *flags]) == 1
    printed = capsys.readouterr().out
    assert "unit 1: no answer: name the right unit with --units" in printed
    assert f"nothing answered at {place}" in printed


def test_ctrl_c_ends_it_with_what_is_known_so_far(ports: tuple[int, ...], tmp_path: Path) -> None:
    place = f"127.0.0.1:{ports[0]}"
    # The Nexus answers on any unit: once for 1, and then with long rests for the others.
    flags = ("--map=nexus-1272", "--units=1,2", "--pace=0.2")
    with emdc("probe", place, *flags, folder=tmp_path) as program:
        program.line(place)
        code, out, err = program.end(signal.SIGINT)
    assert code == 1
    assert "this is what is known so far" in err
    assert "Traceback" not in out + err


def test_not_everything_was_tried_is_said(
    ports: tuple[int, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["probe", f"127.0.0.1:{ports[0]}", QUICK, "--max_requests=5"]) == 1
    printed = capsys.readouterr().out
    assert "at most 5 requests" in printed
    assert "not everything was tried: --max_requests allows more" in printed


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--units=1,x"], "--units: '1,x', expected numbers from 0 to 255 such as 1,2,247"),
        (["--units=256"], "--units: '256', expected"),
        (["--pace=-1"], "--pace: -1.0, expected 0-60"),
        (["--map=nexsus-1272"], "did you mean nexus-1272?"),
        (["--max_requests=0"], "--max_requests: 0, expected 1-100000"),
    ],
)
def test_what_cannot_be_probed_is_2(
    flags: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["probe", "127.0.0.1:1", *flags]) == 2
    assert problem in capsys.readouterr().err


def test_a_host_that_is_none_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["probe", "127.0.0.1:99999"]) == 2
    assert "expected a port of 1-65535" in capsys.readouterr().err


_PAGES = (Path(__file__).parents[2] / "docs" / "utilities.md").read_text(encoding="utf-8")
PAGE = _PAGES[_PAGES.index("\n## probe") : _PAGES.index("\n## simulate")]


@pytest.mark.parametrize("setting", [*OWN, *WAY], ids=lambda one: one.flag)
def test_the_page_names_each_flag_and_what_holds_without_it(setting: Setting) -> None:
    (row,) = (line for line in PAGE.splitlines() if re.match(rf"\|.*`--{setting.flag}`", line))
    if setting in OWN and setting.default is not None:
        assert f"| {setting.default:g} |" in row


def test_the_page_explains_the_verdicts_as_they_are() -> None:
    assert f"| fits | at least {FITS}, and at least {ENOUGH} points" in PAGE
    assert f"| perhaps | at least {PERHAPS}, and at least {ENOUGH} points" in PAGE
    assert f"| too little | at least {FITS} with fewer points" in PAGE
    units = ", ".join(map(str, UNITS[:-1]))
    assert f"it tries {units} and {UNITS[-1]} until one fits" in " ".join(PAGE.split())
