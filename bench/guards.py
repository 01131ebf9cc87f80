"""Figure 16: each guard of the answer check removed in turn, and the test that notices.

A guard is removed in a copy of the sources, by changing their text, and the tests of that file run
on the copy until the first one fails. The fuzz is not among them.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.guard_list import GUARDS, Guard, without
from bench.rig import ROOT, Result, exactly

TEST_S = 30
"""A test that takes longer has noticed too: the client hangs."""
TESTS_S = 300
"""The same for a client that hangs so that no test can be ended."""


_WITHIN = r"^tests/(\S+):\d+: in (test_\w+)|File .*/tests/(\S+)\", line \d+, in (test_\w+)"
"""A line of a trace, where a test is ended because it takes too long."""


class Verdict(NamedTuple):
    """What became of the tests without one guard."""

    guard: Guard
    noticed: str
    """The first test that failed; empty when all passed."""


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the sources to spoil."""
    with tempfile.TemporaryDirectory(prefix="emdc-guards-") as folder:
        copy = Path(folder) / "src"
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        yield copy


def first_failure(copy: Path, tests: Sequence[str]) -> str:
    """The first of the tests that fails on the copy; empty when none does."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    names = [f"tests/{name}" for name in tests]
    try:
        done = subprocess.run(
            [*command, f"--timeout={TEST_S}", *names],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=TESTS_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{tests[0]} (hangs)"
    if done.returncode == 0:
        return ""
    found = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - .*)?$", done.stdout, re.MULTILINE)
    timed = re.search(_WITHIN, done.stdout + done.stderr, re.MULTILINE)
    if found:
        return found[1]
    if timed:
        return "::".join(part for part in timed.groups() if part) + " (hangs)"
    raise SystemExit(f"the tests did not run: {done.stdout[-2000:]}{done.stderr[-2000:]}")


def judged(guards: Sequence[Guard]) -> Iterator[Verdict]:
    """Remove each guard in turn; SystemExit when the tests fail with all of them in place."""
    tests = {name: None for guard in guards for name in guard.tests}
    with copied() as copy:
        if failed := first_failure(copy, list(tests)):
            raise SystemExit(f"{failed} fails with every guard in place")
        for guard in guards:
            places = {name: (copy / "emdc" / name).read_text("utf-8") for name in guard.files}
            for name, text in without(guard, places).items():
                (copy / "emdc" / name).write_text(text, "utf-8")
            yield Verdict(guard, first_failure(copy, guard.tests))
            for name, text in places.items():
                (copy / "emdc" / name).write_text(text, "utf-8")


def run(*, long: bool) -> list[Result]:
    results, missed = [], 0
    for verdict in judged(GUARDS):
        missed += not verdict.noticed
        results.append(Result(verdict.guard.name, verdict.noticed or "NO TEST FAILS"))
    return [*results, exactly("guards whose loss no test notices", missed, 0)]
