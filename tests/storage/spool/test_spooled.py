from pathlib import Path

import pytest

from emdc.errors import StorageError
from emdc.storage.spool.parcel import Entries
from emdc.storage.spool.spool import Spool
from emdc.storage.spool.spooled import Spooled, look
from tests.storage.plant import METER, NOON, reading


def test_no_file_holds_nothing(tmp_path: Path) -> None:
    assert look(tmp_path / "spool.db") is None


def test_what_waits_is_seen_while_its_owner_has_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool.db", limit_bytes=1_000_000, clock=lambda: NOON)
    spool.open()
    spool.put(Entries([reading(0), reading(1)]))
    spool.set_aside(reading(2), "thirteen is refused")
    found = look(spool.path)
    spool.close()
    assert isinstance(found, Spooled)
    assert (found.readings, found.since, found.aside) == (2, "2026-03-01 12:00:00.000000", 1)
    assert found.examples[0].startswith(f"{METER} at 2026-03-01 12:00:02.000000: thirteen")


def test_another_file_is_no_spool(tmp_path: Path) -> None:
    path = tmp_path / "spool.db"
    path.write_text("dear diary, " * 100)
    with pytest.raises(StorageError, match="expected a spool of EMDC"):
        look(path)
