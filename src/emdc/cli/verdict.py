"""What `emdc probe` prints in the end: the candidates, the verdict, the settings to copy."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from emdc.cli.terminal import print_table, say
from emdc.errors import MeterError
from emdc.meters.asker import UnitState
from emdc.meters.probe import Candidate, Outcome
from emdc.meters.register_map import RegisterMap
from emdc.meters.variants import Turn
from emdc.place import is_device, place

SHOWN: Final = 8
"""Candidates in the table."""
WORTH: Final = 40
"""Per cent below which a candidate is not shown beside one that fits."""
_REASONS: Final = 4
"""Reasons for and against each, at most."""
_CLOSE: Final = 0.9
"""The share of the best one's rank from which another fits as well."""

_PROBLEMS: Final = {
    "connect_refused": "nothing listens there: is Modbus TCP switched on in the meter, and the "
    "port right (502 as a rule)?",
    "connect_timeout": "no connection: is the address right, has the meter power, does a firewall "
    "stand between?",
    "dns_failure": "no such name: write the address in numbers, or mend the name",
    "meter_held": "left alone, since it has one connection: end that program first, or ask it",
}
_SILENT: Final = {
    "read_timeout": "no answer: name the right unit with --units, or give it time with "
    "--timeout=5; a converter may need --transport=rtu-over-tcp, a line another --baudrate or "
    "--parity",
    "connection_reset": "closes the connection without an answer: end other programs that read "
    "it, or try --pace=1",
    "exception:10": "a gateway answers that it has no way there: name the right unit with --units",
    "exception:11": "a gateway answers that nothing is there: name the right unit with --units",
}


class Place(NamedTuple):
    """Where the meter is."""

    host: str
    port: int
    way: Mapping[str, object] = {}
    """Settings of how it is reached, such as its transport."""

    def __str__(self) -> str:
        """As a setting takes it."""
        return place(self.host, self.port)


def show(outcome: Outcome, place: Place, maps: Mapping[RegisterMap, str]) -> None:
    """Print all that is known; `maps` are those that were tried, and what a setting calls each."""
    _units(outcome)
    best = [one for one in outcome.best if one.score.percent >= WORTH or not outcome.has_fit]
    best = best[:SHOWN]
    if best:
        columns = ("map", ">unit", "addresses", "order", ">score", "verdict", "for and against")
        title = f"{place}: {outcome.tally.requests} requests"
        print_table(title, columns, [_row(one) for one in best])
    others = sum(1 for name in outcome.dropped if not any(_is_of(one, name) for one in best))
    if others and outcome.tally.has_answers:
        _tell_dropped(outcome, others, len(maps))
    if outcome.tally.limited:
        say("not everything was tried: --max_requests allows more, --map and --units ask for less")
    for line in _verdict(outcome, place, maps):
        say(line)


def _is_of(candidate: Candidate, name: str) -> bool:
    return candidate.register_map.name == name


def _row(one: Candidate) -> tuple[str, ...]:
    good = [text for text in one.score.reasons if text.startswith("+")][:_REASONS]
    bad = [text for text in one.score.reasons if text.startswith("-")][:_REASONS]
    return (
        one.register_map.name,
        str(one.unit),
        _addresses(one.shift),
        _order(one.order),
        str(one.score.percent),
        one.score.verdict,
        "\n".join(good + bad),
    )


def _addresses(shift: int) -> str:
    return f"each {shift:+d}" if shift else "as in the map"


def _order(order: Turn) -> str:
    swapped = [name for name, on in (("words", order.words), ("bytes", order.bytes)) if on]
    return f"{' and '.join(swapped)} swapped" if swapped else "as in the map"


def _units(outcome: Outcome) -> None:
    """Which units answer, and what is the matter with the others."""
    found: dict[str, list[str]] = {}
    for unit, state in outcome.tally.units.items():
        twin = outcome.tally.twin(unit)
        text = _silence(state)
        if state.answers:
            text = "answers" if twin is None else f"answers just as unit {twin} does"
        found.setdefault(text, []).append(str(unit))
    for text, units in found.items():
        say(f"unit {', '.join(units)}: {text}")


def _silence(state: UnitState) -> str:
    reason = state.failures.most_common(1)[0][0] if state.failures else "not asked"
    if reason.startswith("protocol_error"):
        return f"what answers does not speak Modbus TCP ({reason}): RTU over TCP, or another port?"
    return _SILENT.get(reason, f"no answer ({reason})")


def _tell_dropped(outcome: Outcome, others: int, maps: int) -> None:
    """Why maps were given up: all of one or two, an example of many."""
    if maps <= 2:
        for name, why in outcome.dropped.items():
            say(f"{name}: given up after {why}")
        return
    name, why = next(iter(outcome.dropped.items()))
    say(f"{others} maps were given up after a value or two, such as {name}: {why}")


def _verdict(outcome: Outcome, place: Place, maps: Mapping[RegisterMap, str]) -> Iterator[str]:
    problem = outcome.tally.problem
    if problem is not None:
        held = f" is being read by {outcome.held_by}" if outcome.held_by else ""
        yield f"{place}{held}: {_problem(problem, place)}"
        return
    fitting = [one for one in outcome.best if one.score.fits]
    if not fitting:
        yield from _nothing(outcome, place)
        return
    for unit in dict.fromkeys(one.unit for one in fitting):
        best, *others = [one for one in fitting if one.unit == unit]
        yield from _fit(best, others)
        yield from settings(best, place, maps.get(best.register_map, best.register_map.name))


def _problem(problem: MeterError, place: Place) -> str:
    """What keeps everything from being asked, and what to do."""
    text = _PROBLEMS.get(problem.reason, problem.reason)
    if problem.reason == "meter_held":
        return text
    detail = problem.detail.removeprefix(str(place)).removeprefix(": ")
    if is_device(place.host):
        return detail or text
    return f"{text} ({detail})" if detail else text


def _nothing(outcome: Outcome, place: Place) -> Iterator[str]:
    """What to do when nothing fits."""
    if not outcome.tally.has_answers:
        yield f"nothing answered at {place}, so that nothing is known of the map"
        return
    perhaps = _named(outcome, "perhaps")
    little = _named(outcome, "too little")
    if perhaps:
        yield f"nothing fits well; perhaps {perhaps}: compare the values with the meter's display"
    if little:
        yield f"{little}: believable, and too few values to be sure: compare them with the display"
    if not perhaps and not little:
        yield "nothing fits: the meter needs another map, or stands behind another unit"
    yield "a map of your own is a spreadsheet: docs/maps.md; emdc map check looks at it"


def _named(outcome: Outcome, verdict: str) -> str:
    found = (one.register_map.name for one in outcome.best if one.score.verdict == verdict)
    return ", ".join(dict.fromkeys(found))


def _fit(best: Candidate, others: Sequence[Candidate]) -> Iterator[str]:
    yield (
        f"{best.register_map.name} fits unit {best.unit}: addresses {_addresses(best.shift)}, "
        f"order {_order(best.order)}"
    )
    close = [one for one in others if one.score.rank >= _CLOSE * best.score.rank]
    if close:
        names = ", ".join(one.register_map.name for one in close)
        yield f"so does {names}: the name plate decides"
    if any(metric.ratio for metric in best.register_map.metrics):
        yield "its values are secondary: set ct_ratio and pt_ratio where there are transformers"


def settings(best: Candidate, place: Place, named: str) -> Iterator[str]:
    """What to change and what to copy so that the meter is read as `best` was."""
    changes = list(_changes(best))
    if changes:
        yield ""
        yield "first, a map of your own:"
        if not named.endswith(".xlsx"):
            yield f"  emdc map copy {named}"
            named = f"my-{named}.xlsx"
        yield from (f"  {change}, in {named}" for change in changes)
    yield ""
    yield "[[meters]]"
    yield 'name = "site/meter"'
    yield f"host = {_quoted(str(place))}"
    yield f"unit = {best.unit}"
    yield f"map = {_quoted(named)}"
    yield from (f"{name} = {json.dumps(value)}" for name, value in place.way.items())
    yield ""
    flags = (
        f"--panel_host={place}",
        f"--panel_unit={best.unit}",
        "--panel_topic_prefix=site/meter",
        f"--panel_metrics_workbook={named}",
        *(f"--panel_{name}={value}" for name, value in place.way.items()),
    )
    yield f"or: emdc collect {shlex.join(flags)}"


def _changes(best: Candidate) -> Iterator[str]:
    """What is wrong in the map, as things to do."""
    if best.shift == -1 and not best.register_map.address_base:
        yield "write address_base 1 in the sheet Meter"
    elif best.shift:
        yield f"add {best.shift:+d} to every Metric Address"
    for title, swapped in (("Word Order", best.order.words), ("Byte Order", best.order.bytes)):
        if swapped:
            yield f"write the other {title} for every metric: little where it is big or empty"


def _quoted(text: str) -> str:
    """A text as TOML has it."""
    return json.dumps(text, ensure_ascii=False)
