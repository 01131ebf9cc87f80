"""A password that is given in any way shows nowhere: no line of the log, no error, no answer."""

import base64
import http.client
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from emdc.cli import execute
from emdc.cli.demo import simulated
from tests.program import PATIENCE_S, Program, daemon, emdc, free_port, meter_flags

CANARY = "canary-4711"
PASSWORD = f"p@:/%#?&={CANARY}"
TOKEN = f"t@:/%#?&={CANARY}"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """A Nexus 1272 that runs through all tests here."""
    with simulated() as ports:
        yield ports[0]


def answer(program: Program, method: str, path: str, authorization: str = "") -> tuple[int, str]:
    """Status, and headers and body together."""
    client = http.client.HTTPConnection(program.page.split("/")[2], timeout=PATIENCE_S)
    try:
        headers = {"Authorization": authorization} if authorization else {}
        client.request(method, path, headers=headers)
        got = client.getresponse()
        return got.status, f"{got.getheaders()} {got.read().decode()}"
    finally:
        client.close()


def started(program: Program) -> str:
    """All that it logged until it ran; its page is known from here on."""
    assert program.process.stderr is not None
    lines = ""
    for line in program.process.stderr:
        lines += line
        if json.loads(line)["event"] == "started":
            program.page = json.loads(line)["page"]
            return lines
    raise AssertionError(lines)


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


@pytest.mark.parametrize("way", ["environment", "files", "flags", "toml", "credentials"])
def test_a_running_daemon_shows_no_secret_however_it_was_given(
    way: str, port: int, tmp_path: Path
) -> None:
    (tmp_path / "db_password").write_text(PASSWORD)
    (tmp_path / "http_token").write_text(TOKEN)
    (tmp_path / "emdc.toml").write_text(
        f"[database]\npassword = '{PASSWORD}'\n[http]\ntoken = '{TOKEN}'\n"
    )
    environment = {
        "environment": {"EMDC_DB_PASSWORD": PASSWORD, "EMDC_HTTP_TOKEN": TOKEN},
        "credentials": {"CREDENTIALS_DIRECTORY": str(tmp_path)},
    }.get(way)
    given = {
        "files": ("--db_password_file=db_password", "--http_token_file=http_token"),
        "flags": (f"--db_password={PASSWORD}", f"--http_token={TOKEN}"),
        "toml": ("--config=emdc.toml",),
    }.get(way, ())
    flags = (*meter_flags(port, "--debug", "--db_host=emdc.db"), *given)
    with emdc("run", "--port=0", *flags, folder=tmp_path, environment=environment) as program:
        seen = [started(program)]
        for path in ("/health", "/topics", "/state", "/openapi.json", "/metric?name=W", "/"):
            status, text = answer(program, "GET", path, f"Bearer {TOKEN}")
            assert status == 200
            seen.append(text)
        assert answer(program, "POST", "/collect", basic(TOKEN))[0] == 200
        for path in (f"/metric?name={quote(TOKEN)}", f"/health?token={quote(TOKEN)}"):
            status, text = answer(program, "GET", path)
            assert status == 401
            seen.append(text)
        seen.append(answer(program, "GET", "/health", f"Bearer {TOKEN}x")[1])
        code, out, err = program.end(signal.SIGTERM)
    assert code == 0
    assert '"level":"DEBUG"' in seen[0]
    assert CANARY not in "".join([out, err, *seen])


TOML = {
    "unclosed": f"[database]\npassword = '{CANARY}\n",
    "bare": f"[database]\npassword = {CANARY}\n",
    "double": f"[database]\npassword = '{CANARY}'\npassword = '{CANARY}'\n",
    "mistyped": f"[database]\npasword = '{CANARY}'\n",
    "brackets": f"[[http]]\ntoken = '{CANARY}'\n",
    "no table": f"http = '{CANARY}'\n",
    "no text": f"[http]\ntoken = ['{CANARY}']\n",
    "lines": f"[http]\ntoken = '''{CANARY}\nx'''\n",
    "url": f"[database]\nurl = 'mysql+pymysql://me:{CANARY}@db/'\n",
}


@pytest.mark.parametrize("text", TOML.values(), ids=TOML)
def test_a_file_with_a_fault_is_named_without_its_secrets(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "emdc.toml"
    file.write_text(text + "[[meters]]\nname = 'm'\nhost = 'h'\nmap = 'nexus-1272'\n")
    assert execute(["run", "--port=0", f"--config={file}", "--debug"]) == 2
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err


@pytest.mark.parametrize(
    "flag",
    [
        f"--db_pasword={CANARY}",
        f"--db_url=mysql+pymysql://me:{CANARY}@db/",
        f"--db_url=mysql+pymysql://me:a@{CANARY}@db/x",
        f"--db_url=postgresql://me@db/x?password={CANARY}",
        f"--db_url=oracle://me:{CANARY}@db/x",
        f"--db_url=me:{CANARY}@db",
        f"--db_url={CANARY}",
        f"--db_host=mysql://me:{CANARY}@db/x",
        f"--http_token={CANARY} {CANARY}",
    ],
)
def test_a_wrong_command_line_is_told_without_its_secrets(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["run", *meter_flags(1, "--port=0", "--debug"), flag]) == 2
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err


@pytest.mark.parametrize("host", [f"me:{CANARY}@db", f"mysql://me:{CANARY}@db/x"])
def test_a_server_with_a_password_in_it_is_told_without_it(
    host: str, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = meter_flags(1, "--port=0", "--db_type=mysql+pymysql", f"--db_host={host}")
    assert execute(["run", *flags]) == 2
    printed = capsys.readouterr().err
    assert CANARY not in printed
    assert "--db_host: " in printed


@pytest.mark.parametrize("command", ["collect", "migrate"])
def test_every_command_on_a_database_masks_its_address(
    command: str, port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EMDC_DB_URL", away())
    flags = () if command == "migrate" else meter_flags(port)
    assert execute([command, *flags, "--debug"]) == 1
    printed = capsys.readouterr()
    assert CANARY not in printed.out + printed.err
    assert "mysql+pymysql://me:***@127.0.0.1:" in printed.err


def test_daemon_whose_database_is_away_masks_its_address(tmp_path: Path) -> None:
    flags = meter_flags(1, f"--db_spool={tmp_path / 'spool.db'}", "--debug")
    environment = {"EMDC_DB_URL": away()}
    with daemon(*flags, folder=tmp_path, environment=environment) as program:
        assert "mysql+pymysql://me:***@127.0.0.1:" in program.started["readings"]
        health = program.ask("GET", "/health")[1]
        code, out, err = program.end(signal.SIGTERM)
    assert code == 0
    assert CANARY not in health + out + err + str(program.started)
    assert "mysql+pymysql://me:***@127.0.0.1:" in health


def away() -> str:
    """A server that nobody runs, with a password in its address."""
    return f"mysql+pymysql://me:{quote(PASSWORD, safe='')}@127.0.0.1:{free_port()}/x"
