import logging
import os
from collections.abc import Iterator

import pytest

from emdc.logs import LogHandler


@pytest.fixture(autouse=True)
def clean_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings of ours in the environment, and no log left behind by a command."""
    for name in [name for name in os.environ if name.startswith(("EMDC_", "UWSOLAR_"))]:
        monkeypatch.delenv(name)
    root = logging.getLogger()
    level = root.level
    yield
    for handler in [one for one in root.handlers if isinstance(one, LogHandler)]:
        root.removeHandler(handler)
    root.setLevel(level)
