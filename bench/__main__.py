"""Measure what EMDC promises: `python -m bench [--long] [NAME...]`, every figure without a NAME.

Each figure takes at most five minutes; `--long` runs longer and shows more sides. The exit code is
1 when a target was missed, 2 for an unknown name.
"""

import sys
import time
from collections.abc import Callable, Mapping

from bench import (
    answers,
    collect,
    conserve,
    daemon,
    dead,
    fuzz,
    guards,
    history,
    ingest,
    intervals,
    kill,
    outage,
    peers,
    poll,
    queries,
    rig,
    spool,
    truth,
    upgrade,
    year,
)
from bench.rig import Result

FIGURES: Mapping[str, tuple[str, Callable[..., list[Result]]]] = {
    "poll": ("2. CPU per request, 1000 connections", poll.run),
    "daemon": ("3. The whole daemon, 1000 meters x 100 metrics at 1 s", daemon.run),
    "collect": ("4. POST /collect beside the old method", collect.run),
    "conserve": ("5. A third of the meters die and come back", conserve.run),
    "queries": ("6. The old collector's queries on the views", queries.run),
    "ingest": ("7. Samples a second into each kind of database", ingest.run),
    "spool": ("8. Into the spool and back out", spool.run),
    "kill": ("9. The daemon killed at random moments", kill.run),
    "outage": ("10. The database server killed and frozen under load", outage.run),
    "upgrade": ("11. A database of the old collector upgraded", upgrade.run),
    "dead": ("12. 300 of 1000 meters dead", dead.run),
    "truth": ("13. Every fault of a meter, and no wrong value", truth.run),
    "fuzz": ("14. Mutated frames into the client", fuzz.run),
    "peers": ("15. This client and others against fifteen meters", peers.run),
    "guards": ("16. Each guard of the answer check removed in turn", guards.run),
    "history": ("17. Questions about the past", history.run),
    "answers": ("18. The same answers everywhere, and reckoned again", answers.run),
    "year": ("19. A simulated year against its own truth", year.run),
    "intervals": ("20. What keeping quarter hours costs", intervals.run),
}


def main(arguments: list[str]) -> int:
    names = [name for name in arguments if name != "--long"]
    if unknown := [name for name in names if name not in FIGURES]:
        print(f"unknown figure {unknown[0]}, expected one of {', '.join(FIGURES)}", file=sys.stderr)
        return 2
    rig.raise_descriptor_limit()
    missed = False
    for name in names or FIGURES:
        title, run = FIGURES[name]
        print(title, flush=True)
        started = time.monotonic()
        results = run(long="--long" in arguments)
        rig.print_results(results)
        print(f"  took {time.monotonic() - started:.0f} s\n", flush=True)
        missed = missed or any(result.met is False for result in results)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
