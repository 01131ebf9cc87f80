from collections.abc import Sequence

import pytest

from emdc.storage.past.cells_read import Cells


def cells(*quarters: int, value: str = "old") -> Cells:
    ts = [900.0 * quarter for quarter in quarters]
    return Cells(ts, {"a": [f"{value} {quarter}" for quarter in quarters]})


def both(one: Cells, other: Cells) -> Sequence[str]:
    found = one.then(other)
    assert list(found.ts) == [900.0 * int(text.rpartition(" ")[2]) for text in found.columns["a"]]
    return found.columns["a"]


def test_later_ones_follow() -> None:
    assert both(cells(1, 2), cells(4, value="new")) == ["old 1", "old 2", "new 4"]
    assert both(cells(1), cells()) == ["old 1"]
    assert both(cells(), cells(1, value="new")) == ["new 1"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((1, 2, 3), (3, 4), ["old 1", "old 2", "new 3", "new 4"]),
        ((1, 2, 3, 4), (2, 3), ["old 1", "new 2", "new 3", "old 4"]),
        ((1, 2, 3), (1, 3, 4), ["new 1", "old 2", "new 3", "new 4"]),
        ((5, 6), (1, 2), ["new 1", "new 2", "old 5", "old 6"]),
    ],
)
def test_of_a_quarter_hour_in_both_the_later_one_is_meant(
    old: tuple[int, ...], new: tuple[int, ...], expected: list[str]
) -> None:
    assert both(cells(*old), cells(*new, value="new")) == expected


@pytest.mark.parametrize("ts", [range(900, 5400, 900), [900, 1800, 3600, 4500]])
def test_a_part_begins_with_its_start_and_ends_before_its_end(ts: Sequence[float]) -> None:
    whole = Cells(ts, {"a": list(ts)})
    for start in range(0, 6000, 450):
        for end in range(start, 6000, 450):
            found = whole.within(start, end)
            assert list(found.ts) == found.columns["a"] == [at for at in ts if start <= at < end]
