from hypothesis import given
from hypothesis import strategies as st

from emdc.energy.answers import Bucket
from emdc.storage.past.series import Summaries, buckets, chained, joined, of_points
from emdc.storage.past.tokens import Points


def readings(*values: float, every: float = 1.0, first: float = 0.0) -> Summaries:
    return of_points(Points([first + every * n for n in range(len(values))], list(values)))


def test_readings_are_buckets_of_one() -> None:
    assert buckets(readings(1.5, -2.0)) == [
        Bucket(0.0, 1, 1.5, 1.5, 1.5, 1.5, 1.5),
        Bucket(1.0, 1, -2.0, -2.0, -2.0, -2.0, -2.0),
    ]


def test_joined_readings_keep_extremes_ends_and_mean() -> None:
    assert joined(readings(3.0, -1.0, 4.0, 10.0, 20.0, every=20), 60) == [
        Bucket(0.0, 3, -1.0, 4.0, 2.0, 3.0, 4.0),
        Bucket(60.0, 2, 10.0, 20.0, 15.0, 10.0, 20.0),
    ]


def test_steps_are_multiples_since_1970_and_empty_ones_are_left_out() -> None:
    found = joined(readings(1.0, 2.0, every=300, first=1_000_010), 60)
    assert [bucket.start for bucket in found] == [999_960 + 0, 1_000_260 + 0]


def test_means_are_weighed_by_their_counts() -> None:
    one = Summaries([0.0], [3], [0.0], [9.0], [2.0], [1.0], [1.5])
    two = Summaries([900.0], [1], [5.0], [10.0], [10.0], [10.0], [5.0])
    assert joined(chained([one, two]), 1800) == [Bucket(0.0, 4, 0.0, 10.0, 4.0, 1.0, 5.0)]


def test_nothing_joined_is_nothing() -> None:
    assert joined(readings(), 60) == []
    assert chained([]).starts == []


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=200), st.integers(1, 50))
def test_joining_twice_is_joining_once(values: list[int], seconds: int) -> None:
    """But for the rounding of means to twelve digits."""
    parts = readings(*map(float, values))
    once = joined(parts, seconds * 4)
    halves = joined(parts, seconds)
    twice = joined(Summaries.of(zip(*halves, strict=True)), seconds * 4)
    assert [bucket._replace(mean=0) for bucket in once] == [b._replace(mean=0) for b in twice]
    assert all(abs(a.mean - b.mean) < 1e-8 for a, b in zip(once, twice, strict=True))
