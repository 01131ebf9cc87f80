import socket
import subprocess
import sys
from pathlib import Path

import pytest

from emdc.errors import EmdcError
from emdc.system import listen
from tests.program import PATIENCE_S, daemon, emdc, finished, free_port, meter_flags

THOUSAND = "".join(
    f'[[meters]]\nname = "m{n}"\nhost = "127.0.0.1:%d"\nunit = {n % 247 + 1}\nmap = "nexus-1272"\n'
    for n in range(1000)
)
NOBODY = 65534
FIRST_FREE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(EmdcError) as caught:
            listen("127.0.0.1", number)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{number}: Address already in use; "
        "choose another with --port, or end the program that has it"
    )


def test_a_connection_sends_without_waiting_for_acknowledgements() -> None:
    with listen("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-name.invalid"])
def test_an_address_of_another_machine_is_named_with_what_to_do(host: str) -> None:
    with pytest.raises(EmdcError, match="name an address of this machine with --host"):
        listen(host, 0)


@pytest.mark.skipif(
    not FIRST_FREE.exists() or int(FIRST_FREE.read_text()) < 80, reason="any port is free here"
)
def test_a_port_below_1024_without_the_right_is_named_with_what_to_do() -> None:
    # In a process of its own, because a right that was given up does not come back, nor does that
    # of reading this Python's modules.
    code = (
        "import encodings.idna, os\nfrom emdc.system import listen\n"
        f"if os.geteuid() == 0: os.setuid({NOBODY})\n"
        "listen('127.0.0.1', 79)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "cannot listen on 127.0.0.1:79: Permission denied; ports below 1024" in ended.stderr


def test_a_daemon_that_cannot_listen_has_started_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        flags = meter_flags(1, f"--port={taken.getsockname()[1]}", "--db_host=emdc.db")
        assert finished("run", *flags, folder=tmp_path).returncode == 1
    assert finished("run", *meter_flags(1, "--port=70000"), folder=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_too_few_open_files_for_a_thousand_meters_are_an_error_with_the_number(
    tmp_path: Path,
) -> None:
    (tmp_path / "emdc.toml").write_text(THOUSAND.replace("%d", "1"), encoding="utf-8")
    flags = ("run", "--port=0", "--config=emdc.toml", "--db_host=emdc.db")
    with emdc(*flags, folder=tmp_path, shell="ulimit -n 64") as program:
        _, err = program.process.communicate()
        assert program.process.returncode == 1
    assert err.startswith("emdc: 1000 meters need 3064 open files and the system allows 64: raise")
    assert err.count("\n") == 1
    assert not (tmp_path / "emdc.db").exists()


def test_a_soft_limit_of_open_files_is_raised_as_far_as_the_meters_need(tmp_path: Path) -> None:
    text = THOUSAND.replace("%d", str(free_port()))
    (tmp_path / "emdc.toml").write_text(text, encoding="utf-8")
    with daemon("--config=emdc.toml", folder=tmp_path, shell="ulimit -S -n 64") as program:
        limits = Path(f"/proc/{program.process.pid}/limits").read_text(encoding="ascii")
        (line,) = [one for one in limits.splitlines() if one.startswith("Max open files")]
        assert int(line.split()[3]) >= 3064
        assert program.ask("GET", "/ping") == (200, "")
