"""Names that are no topic's, asked for by HTTP and by commands: both say the same."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.testing import TestClient
from sqlalchemy import Engine

from emdc.cli import execute
from emdc.reading import MeterProfile, Topic
from emdc.storage.recorder import Recorder
from tests.web.site import EATON, NEXUS, NOW, Site
from tests.web.stored import ENERGY, POWER, TEXT, VOLTS, opened

Client = TestClient[Litestar]

HINT = "; GET /topics?search= finds names"
MANY = tuple(Topic(f"m{number:02}", "V") for number in range(11))
METERS = {
    "a/many": MANY,
    "a/powers": (Topic("P", "kW"), Topic("Q", "var"), Topic("W", "W")),
    "a/sums": (Topic("Wh_in", "Wh", "counter"), Topic("Wh_out", "Wh", "counter"), Topic("W", "W")),
}


def registered(path: Path, meters: dict[str, tuple[Topic, ...]]) -> Engine:
    """A new database that knows these meters and has no reading of them."""
    engine = opened(path)

    async def register() -> None:
        recorder = Recorder(engine, clock=lambda: NOW)
        await recorder.start(tuple(MeterProfile(*meter, 60.0) for meter in meters.items()), NOW)
        await recorder.stop()

    asyncio.run(register())
    return engine


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A database that knows METERS."""
    engine = registered(tmp_path_factory.mktemp("named") / "emdc.db", METERS)
    yield engine
    engine.dispose()


def told(engine: Engine, path: str, status: int = 404, **query: str) -> str:
    """The detail of an error of HTTP."""
    with Site((), engine=engine).client() as client:
        answer = client.get(path, params=query)
    assert answer.status_code == status, answer.text
    detail: str = answer.json()["detail"]
    return detail


def noted(
    engine: Engine, capsys: pytest.CaptureFixture[str], command: str, *flags: str
) -> list[str]:
    """What a command says that is refused."""
    assert execute([command, *flags, f"--db_host={engine.url.database}"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.splitlines()


ALL = f"one of its topics: {TEXT}, {VOLTS}, {POWER}, {ENERGY}"
COUNTERS = f"one of its counters: {ENERGY}"


@pytest.mark.parametrize(
    ("path", "name", "said"),
    [
        ("/history", NEXUS, ALL),
        ("/gaps", NEXUS, ALL),
        ("/energy", NEXUS, COUNTERS),
        ("/epochs", NEXUS, COUNTERS),
        ("/energy", f"{EATON}/", COUNTERS.replace(NEXUS, EATON)),
    ],
)
def test_a_meters_name_is_answered_with_its_topics(
    client: Client, path: str, name: str, said: str
) -> None:
    answer = client.get(path, params={"topic": name})
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"{name!r} is a meter, expected {said}{HINT}"


MORE = ", ".join(f"a/many/m{number:02}" for number in range(8))
SAID = [
    ("history", "a/many", f"'a/many' is a meter, expected one of its topics: {MORE} and 3 more"),
    (
        "energy",
        "a/many",
        "meter a/many has no counter and no power in W, kW, MW, expected another",
    ),
    (
        "energy",
        "a/powers",
        "meter a/powers has no counter, expected a power of it, such as a/powers/P, a/powers/W",
    ),
    ("energy", "a/sums/Wh_inn", "no topic is called 'a/sums/Wh_inn', did you mean a/sums/Wh_in"),
    ("energy", "Wh_ot", "no topic is called 'Wh_ot', did you mean a/sums/Wh_out or a/sums/Wh_in"),
    ("energy", "a/sum/Wh_in", "'a/sum/Wh_in', did you mean a/sums/Wh_in or a/sums/Wh_out"),
    (
        "energy",
        "a/sums/Volts",
        "'a/sums/Volts', expected a counter, such as a/sums/Wh_in or a/sums/Wh_out",
    ),
    ("energy", "a/powers/Volts", "expected a power, such as a/powers/P or a/powers/W"),
    ("energy", "W", "topic 'W': several end so, expected one in full such as a/powers/W, a/sums/W"),
    ("history", "a/sums/Wh_inn", "did you mean a/sums/Wh_in or a/sums/Wh_out"),
]


@pytest.mark.parametrize(("command", "name", "said"), SAID)
def test_http_and_commands_say_the_same(
    command: str, name: str, said: str, named: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = told(named, f"/{command}", topic=name)
    assert said in detail
    assert noted(named, capsys, command, f"--topic={name}") == [
        f"emdc: --topic: {detail.removesuffix(HINT)}"
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("history", "expected a topic, such as a/many/m00 or a/many/m01 or a/many/m02"),
        ("energy", "expected a counter, such as a/sums/Wh_in or a/sums/Wh_out"),
    ],
)
def test_no_name_at_all_is_answered_with_examples(
    command: str, said: str, named: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    for query in ({}, {"topic": ""}, {"format": "csv"}):
        assert told(named, f"/{command}", 400, **query) == f"parameter topic is missing, {said}"
    assert noted(named, capsys, command) == [f"emdc: --topic: missing, {said}"]


def test_a_database_without_topics_has_no_examples(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = opened(tmp_path / "emdc.db")
    for command, kind in (("history", "topic"), ("energy", "counter")):
        said = f"missing, expected a {kind}; the database has none"
        assert told(engine, f"/{command}", 400) == f"parameter topic is {said}"
        assert noted(engine, capsys, command) == [f"emdc: --topic: {said}"]
        detail = told(engine, f"/{command}", topic="a/b")
        assert detail == f"no topic is called 'a/b': the database has no topics{HINT}"
    engine.dispose()


def test_a_meter_that_counts_is_a_topic_of_the_command_energy(
    named: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--topic=a/sums", "--per=total", "--csv", f"--db_host={named.url.database}")
    assert execute(["energy", *flags]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["a/sums/Wh_in", "a/sums/Wh_out"]
