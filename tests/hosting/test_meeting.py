import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from emdc.config import MeterSettings, Settings
from emdc.config.database import Database
from emdc.config.secret import Secret
from emdc.errors import ConfigError
from emdc.hosting.meeting import LONGEST_SOCKET, Meeting, identity, meeting, settings

METER = MeterSettings(name="UW/Mercer/nexus_meter", host="10.0.0.5", map="nexus-1272")
SETTINGS = Settings(database=Database(host="sqlite.db"), meters=(METER,))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files go, which is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="emdc-") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_the_environment_of_the_old_collector_stores_in_sqlite_db() -> None:
    found = settings(
        {
            "UWSOLAR_PANEL_HOST": "10.0.0.5",
            "UWSOLAR_PANEL_TOPIC_PREFIX": "UW/Mercer/nexus_meter",
            "UWSOLAR_PANEL_METRICS_WORKBOOK": "nexus-1272",
        }
    )
    assert found.database.host == "sqlite.db"
    assert found.meters == (METER,)


def test_an_environment_without_a_meter_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no meter is configured"):
        settings({})


def test_one_database_with_the_same_meters_is_one_deployment_wherever_it_starts() -> None:
    absolute = msgspec.structs.replace(SETTINGS, database=Database(host="/srv/sqlite.db"))
    assert identity(SETTINGS, Path("/srv")) == identity(absolute, Path("/elsewhere"))
    assert identity(SETTINGS, Path("/srv")) != identity(SETTINGS, Path("/elsewhere"))


def test_another_meter_is_another_deployment_and_another_interval_is_not() -> None:
    here = Path("/srv")
    other = msgspec.structs.replace(METER, unit=2)
    faster = msgspec.structs.replace(METER, interval=1.0)
    assert identity(Settings(meters=(other,)), here) != identity(Settings(meters=(METER,)), here)
    assert identity(Settings(meters=(faster,)), here) == identity(Settings(meters=(METER,)), here)


def test_a_password_is_no_part_of_the_name() -> None:
    def named(password: str) -> str:
        database = Database(type="postgresql", host="db", password=Secret(password))
        return identity(Settings(database=database, meters=(METER,)), Path("/srv"))

    assert named("one") == named("two")


def test_lock_and_socket_lie_in_the_folder_of_the_service(temporary: Path) -> None:
    service = temporary / "service"
    service.mkdir(0o755)
    place = meeting(SETTINGS, {"RUNTIME_DIRECTORY": f"{service}:/other"}, Path("/srv"))
    name = f"emdc-{identity(SETTINGS, Path('/srv'))}"
    assert place == Meeting(service / f"{name}.lock", service / f"{name}.sock")


def test_without_one_they_lie_in_the_folder_of_the_session_or_a_temporary_one(
    temporary: Path,
) -> None:
    session = temporary / "session"
    session.mkdir(0o700)
    place = meeting(SETTINGS, {"XDG_RUNTIME_DIR": str(session)}, Path("/srv"))
    assert place.lock.parent == session / "emdc"
    absent = meeting(SETTINGS, {"XDG_RUNTIME_DIR": str(temporary / "absent")}, Path("/srv"))
    assert absent.lock.parent == temporary / f"emdc-{os.geteuid()}"
    assert absent.lock.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_whose_sockets_would_have_too_long_names_is_passed_over(temporary: Path) -> None:
    long = temporary / ("x" * LONGEST_SOCKET)
    long.mkdir()
    place = meeting(SETTINGS, {"RUNTIME_DIRECTORY": str(long)}, Path("/srv"))
    assert place.lock.parent == temporary / f"emdc-{os.geteuid()}"


def test_a_folder_that_others_may_write_to_or_that_is_a_link_is_refused(temporary: Path) -> None:
    own = temporary / f"emdc-{os.geteuid()}"
    own.mkdir()
    own.chmod(0o777)
    with pytest.raises(ConfigError, match="others may write to it"):
        meeting(SETTINGS, {}, Path("/srv"))
    own.rmdir()
    own.symlink_to(temporary)
    with pytest.raises(ConfigError, match="not a folder"):
        meeting(SETTINGS, {}, Path("/srv"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(temporary: Path) -> None:
    own = temporary / f"emdc-{os.geteuid()}"
    own.mkdir()
    os.chown(own, 12345, -1)
    with pytest.raises(ConfigError, match="owned by user 12345"):
        meeting(SETTINGS, {}, Path("/srv"))
