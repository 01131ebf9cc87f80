"""The list of `python -m bench guards` fits the sources: every guard on it can be removed."""

from pathlib import Path

import pytest

from bench.guard_list import GUARDS, Guard, without

SOURCES = Path(__file__).parents[2] / "src" / "emdc"


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.name for guard in GUARDS])
def test_a_guard_can_be_removed_and_python_is_left(guard: Guard) -> None:
    sources = {name: (SOURCES / name).read_text(encoding="utf-8") for name in guard.files}
    for name, text in without(guard, sources).items():
        assert text != sources[name]
        compile(text, name, "exec")
