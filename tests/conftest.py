"""What tests of several packages share."""

import os
import shutil
import signal
from collections.abc import Generator
from typing import Any, NoReturn

import pytest
from hypothesis import HealthCheck, settings

# A slow machine, or one that works for other tests too, is no fault of an example.
settings.register_profile(
    "at any pace",
    settings.default,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("at any pace")


def pytest_configure() -> None:
    """Ctrl-C ends the programs that tests start, also behind `&`, where a shell takes it away."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """A worker's report of a test, which may have logged text that no UTF-8 can hold."""
    return _encodable((yield))


def _encodable(value: Any) -> Any:
    """The same with every lone surrogate spelled out."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {_encodable(key): _encodable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_encodable, value))
    return value
