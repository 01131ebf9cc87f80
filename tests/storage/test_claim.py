import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from emdc.errors import StorageError
from emdc.storage.claim import claimed, elsewhere
from emdc.storage.database import connected, open_engine
from tests.storage.plant import METER, open_new

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="claims are Linux only")


def test_a_meter_of_a_file_is_claimed_once_and_again_afterwards(engine: Engine) -> None:
    with claimed(engine, [METER]):
        with (
            pytest.raises(StorageError, match=f"{METER} is recorded .*process {os.getpid()}:"),
            claimed(engine, ["other", METER]),
        ):
            pass
        with claimed(engine, ["other"]):
            pass
    with claimed(engine, [METER]):
        pass


def test_a_file_is_the_same_under_each_of_its_paths(path: Path, engine: Engine) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    other = open_engine(f"sqlite:///{link}")
    with (
        claimed(engine, [METER]),
        pytest.raises(StorageError, match="recorded"),
        claimed(other, [METER]),
    ):
        pass
    other.dispose()


def test_the_same_meter_may_be_recorded_into_two_files_and_in_memory(tmp_path: Path) -> None:
    engines = [open_new(tmp_path / "a.db"), open_new(tmp_path / "b.db"), open_engine("sqlite://")]
    with (
        claimed(engines[0], [METER]),
        claimed(engines[1], [METER]),
        claimed(engines[2], [METER]),
        claimed(engines[2], [METER]),
    ):
        pass
    for engine in engines:
        engine.dispose()


def test_a_killed_process_claims_nothing_any_more(path: Path, engine: Engine) -> None:
    code = (
        "import sys\nfrom emdc.storage.claim import claimed\n"
        "from emdc.storage.database import open_engine\n"
        f"with claimed(open_engine('sqlite:///{path}'), [{METER!r}]):\n"
        "    print('claimed', flush=True)\n    sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"claimed\n"
        with (
            pytest.raises(StorageError, match=f"process {holder.pid}:"),
            claimed(engine, [METER]),
        ):
            pass
        with connected(engine) as connection:
            assert elsewhere(connection, [METER, "other"]) == {METER}
        holder.kill()
        holder.wait()
        with claimed(engine, [METER]):
            pass


def test_what_this_process_claims_is_not_elsewhere(engine: Engine) -> None:
    with claimed(engine, [METER]), connected(engine) as connection:
        assert elsewhere(connection, [METER, "other"]) == frozenset()


def test_a_claim_that_was_asked_for_too_often_still_holds(engine: Engine) -> None:
    with claimed(engine, [METER]):
        for _ in range(140):
            with pytest.raises(StorageError, match="by another program"), claimed(engine, [METER]):
                pass
