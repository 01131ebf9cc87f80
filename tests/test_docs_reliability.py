"""docs/reliability.md has every row of the list, and each test that it names exists."""

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "reliability.md"

LIST = {
    *(f"S{number}" for number in (*range(1, 10), *range(15, 34))),
    *(f"C{number}" for number in range(1, 23)),
    *(f"H{number}" for number in range(1, 10)),
    *(f"D{number}" for number in (*range(1, 22), *range(24, 27))),
    *(f"L{number}" for number in range(1, 11)),
    *(f"M{number}" for number in range(1, 37)),
    *(f"N{number}" for number in range(1, 7)),
    *(f"W{number}" for number in range(1, 11)),
}


def page_rows() -> list[list[str]]:
    """The cells of every row of the page that has an id."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if re.match(r"\| [A-Z]\d+ \|", line)]
    return [[cell.strip() for cell in row] for row in rows]


ROWS = page_rows()
NAMED = sorted({name for row in ROWS for name in re.findall(r"`([^`]+\.py::[^`]+)`", row[-1])})


def test_every_row_of_the_list_is_on_the_page_once() -> None:
    assert sorted(row[0] for row in ROWS) == sorted(LIST)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_a_row_names_a_test_or_says_that_it_is_not_yet(row: list[str]) -> None:
    assert len(row) == 4
    assert all(row[:3])
    assert row[3] or row[2].startswith("Not yet: ")
    assert re.sub(r"`[\w/]+\.py::test_\w+`(, |$)", "", row[3]) == ""


@pytest.mark.parametrize("name", NAMED)
def test_a_named_test_exists(name: str) -> None:
    file, _, function = name.partition("::")
    source = (TESTS / file).read_text(encoding="utf-8")
    assert re.search(rf"^(async )?def {function}\(", source, re.MULTILINE)
