"""The files in contrib/ are usable as they are."""

import re
import subprocess
from pathlib import Path

import pytest

from emdc.config import check_bind, check_meters, load
from emdc.config.table import SETTINGS
from tests.conftest import lacking, need_program

CONTRIB = Path(__file__).parents[1] / "contrib"
SAMPLE = CONTRIB / "emdc.toml"
UNIT = CONTRIB / "emdc.service"


def test_the_sample_configuration_loads_without_a_warning() -> None:
    settings = load(flags={}, environment={}, config_file=SAMPLE)
    check_meters(settings)
    check_bind(settings.http)
    assert settings.warnings == ()
    assert settings.database_url() == "sqlite:///emdc.db"
    assert [meter.map for meter in settings.meters] == ["nexus-1272", "eaton-pxm-4000"]


def test_each_setting_that_the_sample_mentions_exists() -> None:
    named = re.findall(r"^(?:# )?([a-z_]+) = ", SAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(named) <= {setting.field for setting in SETTINGS}


@pytest.mark.parametrize(
    "directive",
    [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "CapabilityBoundingSet=",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "MemoryDenyWriteExecute=yes",
        "LockPersonality=yes",
        "IPAddressDeny=any",
        "LimitCORE=0",
        "StateDirectory=emdc",
        "RestartPreventExitStatus=2",
    ],
)
def test_the_unit_confines_the_daemon(directive: str) -> None:
    assert directive in UNIT.read_text(encoding="utf-8").splitlines()


def test_the_unit_exposes_at_most_two_of_ten() -> None:
    program = need_program("systemd-analyze", "apt-get install systemd")
    command = [program, "security", "--offline=yes", "--threshold=20", str(UNIT)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "nrecognized option" in ended.stderr:
        lacking("this systemd-analyze cannot judge a file")
    assert ended.returncode == 0, ended.stdout[-300:] + ended.stderr
