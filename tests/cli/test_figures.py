"""Numbers in tables."""

import pytest

from emdc.cli.figures import grouped
from emdc.reading import Value


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        ([], []),
        ([None, "A1"], ["-", "A1"]),
        ([1234567.0, 0.0], ["1,234,567", "0"]),
        ([1.5, 10.25, -3.0], ["1.50", "10.25", "-3.00"]),
        ([7, 2.5], ["7.0", "2.5"]),
        ([2**64], ["18,446,744,073,709,551,616"]),
        ([120.51312345678], ["120.513123"]),
        ([0.000123456789], ["0.000123456789"]),
        ([123456789.25], ["123,456,789"]),
        ([1e300, 1.5], ["1e+300", "1.5"]),
    ],
)
def test_a_column_is_aligned_and_keeps_what_means_anything(
    column: list[Value], texts: list[str]
) -> None:
    assert grouped(column) == texts
