"""A short run of `python -m bench fuzz`: mutated frames into the client, and a judge of its own."""

from bench.fuzz_client import fuzz

FRAMES = 3000


def test_no_mutated_frame_is_taken_for_a_value_that_it_does_not_hold() -> None:
    tally = fuzz(FRAMES)
    assert tally.frames >= FRAMES
    assert (tally.wrong, tally.lost, tally.hung, tally.crashed) == ([], [], [], [])
    assert tally.taken > FRAMES / 10
    assert tally.exceptions > 0
    assert len(tally.refused) > 5
    assert tally.found == tally.planted > 0
