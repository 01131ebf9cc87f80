"""Meters that describe themselves in a whole run: away at first, moved, changed, remembered."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emdc import discoveries, lessons
from emdc.cli import visit
from emdc.collector.ticker import Ticker
from emdc.config import MeterSettings, Settings
from emdc.config.database import Database
from emdc.daemon import collecting, plan
from emdc.errors import StorageError
from emdc.meters import library
from emdc.meters.sunspec import Block, Layout
from emdc.storage.conservation import conservation
from emdc.storage.recorder import Recorder
from emdc.stores import open_stores
from emdc.synthetic.simulator import simulate
from emdc.web.advice import advice
from emdc.web.health import report
from emdc.web.service import Service
from tests import sunspec_device
from tests.program import PATIENCE_S, free_port
from tests.sunspec_device import common, device, meter203, meter213

NAME = "solar"
INTERVAL_S = 0.1


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Devices are asked again at once."""
    for name in ("AWAY_S", "UNUSABLE_S", "DOUBT_S"):
        monkeypatch.setattr(discoveries, name, 0.02)
    monkeypatch.setattr("emdc.roster.RETRY_S", 0.02)


def now() -> datetime:
    return datetime.now(UTC)


def configured(
    folder: Path,
    port: int,
    *others: MeterSettings,
    interval: float | None = INTERVAL_S,
    **more: Any,
) -> Settings:
    meter = MeterSettings(
        name=NAME,
        host="127.0.0.1",
        port=port,
        map="sunspec",
        interval=interval,
        retries=0,
        timeout=1.0,
        backoff_max=0.05,
        **more,
    )
    return Settings(database=Database(host=str(folder / "emdc.db")), meters=(meter, *others))


@dataclass
class Run:
    """A daemon at work, its web server aside."""

    service: Service
    file: Path
    tickers: Sequence[Ticker] = ()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query).fetchall()

    def change(self, statement: str) -> None:
        """Something done to the topic `solar/W_2` by another program."""
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(statement, (f"{NAME}/W_2",))

    def topics(self) -> set[str]:
        """Metrics of the device that the database has topics for."""
        found = self.rows(f"SELECT topic_name FROM topics WHERE topic_name LIKE '{NAME}/%'")
        return {name.removeprefix(f"{NAME}/") for (name,) in found}

    def latest(self, metric: str) -> Any:
        """The newest value; None when there is none, or when a newer attempt gave none."""
        found = self.service.collector.latest.meters[NAME].value(metric)
        return None if found is None or found.gap else found.value

    def gaps(self) -> set[str]:
        """The reasons in the newest readings."""
        newest = self.service.collector.latest.meters[NAME].newest.values()
        return {reason for reading in newest for reason in reading.gaps.values()}

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not true():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Run]:
    file = Path(settings.database.host)
    with open_stores(settings, clock=now) as stores:
        async with collecting(plan(settings), stores, holder="a test") as (service, tickers):
            yield Run(service, file, tickers)


@asynccontextmanager
async def found_at(subject: sunspec_device.Device, folder: Path, **more: Any) -> AsyncIterator[Run]:
    """A daemon that reads this device alone."""
    server_of = sunspec_device.serving(subject)
    async with server_of as server, running(configured(folder, server.port, **more)) as run:
        yield run


def held(settings: Settings) -> bool:
    """Whether every slot of the database has one value or one gap."""
    with open_stores(settings, clock=now) as stores:
        counted = conservation(stores.engine, until=now() - timedelta(seconds=1))
    assert counted.due > 0
    return counted.holds


def test_a_device_is_found_at_the_start_and_read_on_its_schedule(tmp_path: Path) -> None:
    async def story() -> Settings:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            settings = configured(tmp_path, server.port)
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)
                assert run.latest("freq") == 49.98
                assert {"W", "Wh_delivered", "Serial_Number"} <= run.topics()
                assert not {"model_203", "model_203.W_SF"} & run.topics()
                assert run.service.names.find("W").meter == NAME
                await asyncio.sleep(1.2)
            return settings

    settings = asyncio.run(story())
    assert held(settings)


def test_a_device_that_is_away_at_the_start_holds_nobody_up_and_joins_when_it_comes(
    tmp_path: Path,
) -> None:
    async def story() -> Settings:
        nexus = await simulate(library.find("nexus-1272"), "127.0.0.1", 0)
        other = MeterSettings(
            name="nexus", host="127.0.0.1", port=nexus.port, map="nexus-1272", interval=INTERVAL_S
        )
        port = free_port()
        settings = configured(tmp_path, port, other)
        async with running(settings) as run:
            states = run.service.collector.latest.meters
            await run.until(lambda: states["nexus"].readings > 3 and bool(states[NAME].last_error))
            assert states[NAME].last_error == "connect_refused"
            health = report(run.service)
            assert health.ok
            assert any(NAME in p and advice("connect_refused") in p for p in health.problems)
            assert run.topics() == set()
            names_before = run.service.names
            async with sunspec_device.serving(device(common(), meter203()), port):
                await run.until(lambda: run.latest("W") == 432.1)
                assert run.service.names is not names_before
                assert report(run.service).meters[0].state == "ok"
                await asyncio.sleep(1.2)
        nexus.close()
        return settings

    settings = asyncio.run(story())
    assert held(settings)


def test_a_device_without_sunspec_is_told_in_the_health_report(tmp_path: Path) -> None:
    async def story() -> None:
        async with found_at(sunspec_device.Device(), tmp_path) as run:
            state = run.service.collector.latest.meters[NAME]
            await run.until(lambda: state.last_error == "not_discovered")
            (problem,) = report(run.service).problems
            assert "SunSpec" in problem

    asyncio.run(story())


def test_when_the_registers_move_no_value_is_wrong_and_they_are_found_again(tmp_path: Path) -> None:
    async def story() -> Settings:
        subject = device(common(), meter203())
        async with sunspec_device.serving(subject) as server:
            settings = configured(tmp_path, server.port)
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)
                subject.lay_out([common(65), meter203(5000)], base=40001)
                await run.until(lambda: run.latest("W") == 500)
                subject.lay_out([common(65), meter203(5500)], base=0)  # nothing where it was
                await run.until(lambda: run.latest("W") == 550)
                # Some registers lie where other values lay before.
                subject.lay_out([common(), meter203(6000)], base=40000)
                await run.until(lambda: run.latest("W") == 600)
                await asyncio.sleep(1.2)
                found = run.rows("SELECT DISTINCT value FROM samples WHERE topic_name = 'solar/W'")
                assert {value for (value,) in found if value is not None} == {432.1, 500, 550, 600}
                assert run.rows("SELECT count(*) FROM readings WHERE gaps LIKE '%not_discovered%'")
                known = run.rows("SELECT count(DISTINCT settings) FROM meter_settings")
                assert known == [(3,)]  # one place twice
            return settings

    settings = asyncio.run(story())
    assert held(settings)


def test_a_device_with_other_models_gets_their_topics_and_keeps_its_own(tmp_path: Path) -> None:
    async def story() -> Settings:
        subject = device(common(), meter203())
        async with sunspec_device.serving(subject) as server:
            settings = configured(tmp_path, server.port)
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)
                assert "W_2" not in run.topics()
                subject.lay_out([common(), meter213(), meter203()])
                await run.until(lambda: run.latest("W_2") == 432.1)
                assert run.latest("W") == 432.5
                subject.lay_out([meter203(5000)])  # nothing that is read hourly
                await run.until(lambda: run.latest("W") == 500)
                assert len(run.tickers) == 1
                await asyncio.sleep(1.2)
            return settings

    settings = asyncio.run(story())
    assert held(settings)


def test_what_a_device_said_is_known_at_the_next_start_while_it_is_away(tmp_path: Path) -> None:
    port = free_port()
    settings = configured(tmp_path, port)

    async def first() -> None:
        subject = device(common(), meter203())
        async with sunspec_device.serving(subject, port), running(settings) as run:
            await run.until(lambda: run.latest("W") == 432.1)

    async def second() -> None:
        async with running(settings) as run:
            await run.until(lambda: "connect_refused" in run.gaps())
            assert run.latest("W") is None
            newest = run.service.collector.latest.meters[NAME].newest
            assert {"W", "freq", "pf_C"} <= {n for r in newest.values() for n in r.metrics}

    asyncio.run(first())
    file = discoveries.FILE.path(settings)
    assert file is not None
    kept = json.loads(file.read_text())
    assert kept["meters"][NAME]["layout"] == [40000, [[1, 40002, 66], [203, 40070, 105]]]
    asyncio.run(second())


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"version": 2, "meters": {}}',
        b'{"version":1,"meters":{"solar":{"address":"a","unit":1,"layout":[0,[[1,65000,900]]]}}}',
        b'{"version":1,"meters":{"solar":{"address":"a","unit":1,"layout":[0,[[1,-5,9]]]}}}',
    ],
)
def test_a_damaged_file_is_set_aside_and_the_device_is_asked(tmp_path: Path, text: bytes) -> None:
    async def story() -> None:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            settings = configured(tmp_path, server.port)
            file = discoveries.FILE.path(settings)
            assert file is not None
            file.write_bytes(text)
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)
                await run.until(file.exists)
            assert len(list(tmp_path.glob("*.damaged-*"))) == 1

    asyncio.run(story())


def test_what_another_address_or_unit_said_is_not_believed(tmp_path: Path) -> None:
    settings = configured(tmp_path, 1502)
    file = discoveries.FILE.path(settings)
    assert file is not None
    layout = Layout(40000, (Block(203, 40002, 105),))
    for address, unit, count in (
        ("127.0.0.1:1502", 1, 1),
        ("127.0.0.1:1503", 1, 0),
        ("127.0.0.1:1502", 2, 0),
    ):
        found = discoveries.Found(address=address, unit=unit, layout=layout)
        discoveries.FILE.write(file, {NAME: found, "other": found})
        known = discoveries.known(settings, now(), mend=False)
        assert list(known.values()) == [found] * count


def test_settings_that_do_not_fit_what_is_found_are_told_and_nothing_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with found_at(device(common(), meter203()), tmp_path, invert="Watts") as run:
            state = run.service.collector.latest.meters[NAME]
            await run.until(lambda: state.last_error == "not_discovered")

    asyncio.run(story())
    told = [vars(record).get("error", "") for record in caplog.records]
    assert any("invert: no metric 'Watts'" in text for text in told)


def test_a_device_without_a_schedule_is_read_when_asked_once_it_is_found(tmp_path: Path) -> None:
    async def story() -> None:
        async with found_at(device(common(), meter203()), tmp_path, interval=None) as run:
            collector = run.service.collector
            await run.until(lambda: NAME in collector.meters)
            (cycle,) = await collector.collect(1, 0)
            assert (cycle.meters, cycle.failed) == (1, ())
            assert run.latest("W") == 432.1

    asyncio.run(story())


def test_an_undiscovered_meter_is_no_part_of_a_cycle(tmp_path: Path) -> None:
    async def story() -> None:
        async with running(configured(tmp_path, free_port(), interval=None)) as run:
            (cycle,) = await run.service.collector.collect(1, 0)
            assert cycle.meters == 0

    asyncio.run(story())


def test_a_device_waits_for_a_database_that_does_not_take_its_topics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []
    join = Recorder.join

    async def away(self: Recorder, profile: Any, begin: datetime) -> None:
        tries.append(profile.name)
        if len(tries) < 4:
            raise StorageError("the database is away")
        await join(self, profile, begin)

    monkeypatch.setattr(Recorder, "join", away)

    async def story() -> Settings:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            settings = configured(tmp_path, server.port)
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)
                await asyncio.sleep(1.2)
            return settings

    settings = asyncio.run(story())
    assert tries == [NAME] * 4
    assert held(settings)


def test_what_cannot_be_kept_is_told_and_the_device_is_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            settings = configured(tmp_path, server.port)
            file = discoveries.FILE.path(settings)
            assert file is not None
            (file.with_name(f"{file.name}.new")).mkdir()
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)
                told = "what devices said of themselves is not kept"
                await run.until(lambda: told in caplog.messages)

    asyncio.run(story())


def test_a_database_in_memory_leaves_nothing_behind(tmp_path: Path) -> None:
    async def story() -> None:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            kept = configured(tmp_path, server.port)
            settings = Settings(meters=kept.meters)
            assert discoveries.FILE.path(settings) is None
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)

    asyncio.run(story())
    assert list(tmp_path.iterdir()) == []


def test_another_header_is_reason_enough_to_ask_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discoveries, "DOUBT_S", 1e9)

    async def story() -> None:
        subject = device(common(), meter203())
        async with found_at(subject, tmp_path) as run:
            await run.until(lambda: run.latest("W") == 432.1)
            subject.lay_out([common(), meter213()])
            await run.until(lambda: run.latest("W") == 432.5)

    asyncio.run(story())


def test_devices_with_the_same_intervals_share_a_ticker(tmp_path: Path) -> None:
    async def story() -> Settings:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            settings = configured(tmp_path, server.port)
            (first,) = settings.meters
            meters = tuple(msgspec.structs.replace(first, name=f"{NAME}{n}") for n in "abc")
            settings = msgspec.structs.replace(settings, meters=meters)
            async with running(settings) as run:
                states = run.service.collector.latest.meters
                await run.until(lambda: all(states[m.name].readings > 3 for m in meters))
                assert len(run.tickers) == 1
                await asyncio.sleep(1.2)
            return settings

    settings = asyncio.run(story())
    assert held(settings)


def test_a_device_whose_models_are_empty_is_told_and_joins_once_they_are_not(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        subject = device(sunspec_device.Block(103, []))
        async with found_at(subject, tmp_path) as run:
            collector = run.service.collector
            state = collector.latest.meters[NAME]
            await run.until(lambda: state.last_error == "not_discovered")
            (cycle,) = await collector.collect(1, 0)
            assert cycle.meters == 0
            subject.lay_out([common(), meter203()])
            await run.until(lambda: run.latest("W") == 432.1)

    asyncio.run(story())


def test_a_device_that_was_found_with_nothing_in_it_is_asked_again(tmp_path: Path) -> None:
    async def story() -> None:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            settings = configured(tmp_path, server.port)
            file = discoveries.FILE.path(settings)
            assert file is not None
            empty = Layout(40000, (Block(103, 40002, 0),))
            place = f"127.0.0.1:{server.port}"
            found = discoveries.Found(address=place, unit=1, layout=empty)
            discoveries.FILE.write(file, {NAME: found})
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)

    asyncio.run(story())


def test_a_device_that_claims_a_topic_of_another_meter_is_read_as_before_until_it_may(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def claimed() -> bool:
        told = [vars(record).get("error", "") for record in caplog.records]
        return any("W_2: already recorded for another meter" in text for text in told)

    async def story() -> Settings:
        subject = device(common(), meter203())
        async with sunspec_device.serving(subject) as server:
            settings = configured(tmp_path, server.port)
            async with running(settings) as run:
                await run.until(lambda: run.latest("W") == 432.1)
                run.change("INSERT INTO topics (topic_name, meter_id, slot) VALUES (?, 99, 0)")
                subject.lay_out([common(), meter213(), meter203()])
                await run.until(claimed)
                states = run.service.collector.latest.meters
                before = states[NAME].readings
                await run.until(lambda: states[NAME].readings > before + 3)
                assert "not_discovered" in run.gaps()
                run.change("DELETE FROM topics WHERE topic_name = ?")
                await run.until(lambda: run.latest("W_2") == 432.1)
                await asyncio.sleep(1.2)
            return settings

    settings = asyncio.run(story())
    assert held(settings)


def test_reading_by_hand_leaves_damaged_files_to_the_daemon_that_may_have_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        async with sunspec_device.serving(device(common(), meter203())) as server:
            settings = configured(tmp_path, server.port)
            files = [discoveries.FILE.path(settings), lessons.FILE.path(settings)]
            for file in files:
                assert file is not None
                file.write_bytes(b"{")
            (found,) = await visit.read(plan(settings))
            assert found.answered
            assert sorted(tmp_path.iterdir()) == sorted(file for file in files if file)

    asyncio.run(story())
    assert sorted(caplog.messages) == [
        "what devices said of themselves is damaged and forgotten",
        "what meters taught is damaged and forgotten",
    ]
