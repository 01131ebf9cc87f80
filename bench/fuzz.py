"""Figure 14: mutated frames into the client: no crash, no hang, no wrong value taken.

The client is the real one with its sockets; the other end of each is held here. What it makes of
each answer is compared with `fuzz_spec`, which knows the specification and nothing of EMDC. One
taken value in a hundred is changed before it is compared: all of those must be found, else the
comparison is worth nothing.
"""

import time

from bench.fuzz_client import SEED, fuzz
from bench.rig import Result, exactly

FRAMES = 100_000
LONG_FRAMES = 1_000_000


def run(*, long: bool) -> list[Result]:
    began = time.monotonic()
    tally = fuzz(LONG_FRAMES if long else FRAMES)
    took = time.monotonic() - began
    for title, found in vars(tally).items():
        if isinstance(found, list):
            for one in found[:3]:
                print(f"  {title}: {one}, seed {SEED}")
    return [
        Result("frames", f"{tally.frames:,} at {tally.frames / took:,.0f}/s"),
        Result("taken as values", f"{tally.taken:,}"),
        Result("taken as exceptions", f"{tally.exceptions:,}"),
        *(Result(f"refused: {reason}", f"{n:,}") for reason, n in tally.refused.most_common()),
        exactly("wrong values taken", len(tally.wrong), 0),
        exactly("right answers not taken", len(tally.lost), 0),
        exactly("crashes", len(tally.crashed), 0),
        exactly("hangs", len(tally.hung), 0),
        exactly("planted wrong values found", tally.found, tally.planted),
    ]
