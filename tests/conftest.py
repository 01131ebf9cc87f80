"""What tests of several packages share."""

import os
import shutil
from typing import NoReturn

import pytest


def need_program(name: str, how: str = "") -> str:
    """The path of a program that a test starts.

    Without it the test is skipped on a user's machine and fails in CI, where it must be installed.
    """
    path = shutil.which(name)
    if path is None:
        lacking(f"{name} is not installed" + (f": {how}" if how else ""))
    return path


def lacking(reason: str) -> NoReturn:
    """End a test that cannot run here: a skip for a user, a failure in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
