"""`emdc meter`: what people know of a meter's counters and no reading can tell."""

from typing import Any, Final, get_args

from cyclopts import App

from emdc.cli import correcting, past
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.past import CSV, JSON, Past
from emdc.cli.refined import takes_minus
from emdc.cli.spans import TIMES, iso
from emdc.cli.stored import meters_named
from emdc.cli.terminal import print_table, say
from emdc.config.table import CONFIG, Setting
from emdc.energy.answers import EpochRow
from emdc.energy.counter import MarkKind
from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.intervals.corrections import Said

METER: Final = Setting("", "meter", "text", None, "A meter, by its name")
TOPIC: Final = Setting("", "topic", "text", None, "A counter, by its name")
AT: Final = Setting("", "at", "text", None, f"When: {TIMES}")
KIND: Final = Setting(
    "",
    "kind",
    "text",
    None,
    "What happened: the register began anew, rolled over, the meter was swapped; glitch: it was not"
    " so; real: it did count that much",
    choices=("reset", "rollover", "swap", "glitch", "real"),
)
BEFORE: Final = Setting(
    "", "before", "number", None, "The register's last value before it, in the topic's unit"
)
AFTER: Final = Setting("", "after", "number", None, "Its first value after it")
NOTE: Final = Setting("", "note", "text", None, "A text that is kept with it")
REMOVE: Final = Setting("", "remove", "switch", False, "Forget what was said of that instant")
OF_SWAP: Final = (METER, TOPIC, AT, BEFORE, AFTER, NOTE)
OF_EPOCH: Final = (TOPIC, AT, KIND, BEFORE, AFTER, NOTE, REMOVE)
OF_LIST: Final = (METER, TOPIC, JSON, CSV)

_COUNTED: Final = frozenset({"swap", "reset", "rollover"})
"""Kinds of which it matters where the register was."""

app = App(
    name="meter",
    help="Say that a meter was swapped, or what a counter did.",
    help_format="plaintext",
)


@app.command(sort_key=0)
@takes_minus(AT.flag, BEFORE.flag, AFTER.flag)
@takes(*OF_SWAP, *DATABASE, CONFIG, *LOG)
def swap(**given: Any) -> int:
    """Say that another meter took the place of one.

    Its counters began anew then; what they counted is made again from there
    on, and printed. With --topic it is said of that counter alone; then
    --before and --after, read off the old and the new meter, say what was
    counted while neither was read:

        emdc meter swap --meter=UW/Mercer/nexus_meter --at=2026-03-01T14:00
        emdc meter swap --topic=Wh_received --at=2026-03-01T14:00 --before=1204511 --after=0
    """
    own = checked(OF_SWAP, {row.flag: given.pop(row.flag, None) for row in OF_SWAP}, {})
    if not own["meter"] and not own["topic"]:
        raise ConfigError("--meter: missing, expected the name of the meter that was swapped")
    return correcting.correct(given, correcting.Wanted(own, _said(own, "swap")))


@app.command(sort_key=2)
@takes_minus(AT.flag, BEFORE.flag, AFTER.flag)
@takes(*OF_EPOCH, *DATABASE, CONFIG, *LOG)
def epoch(**given: Any) -> int:
    """Say what a counter did at an instant.

    Where the program found a reset that is none, or did not believe what
    was so. What it counted is made again from there on, and printed. The
    same instant again takes the place of what was said, --remove forgets
    it.

        emdc meter epoch --topic=Wh_received --at=2026-03-01T14:00:05-08:00 --kind=real
    """
    own = checked(OF_EPOCH, {row.flag: given.pop(row.flag, None) for row in OF_EPOCH}, {})
    if not own["topic"]:
        raise ConfigError("--topic: missing, expected a counter; emdc meter epochs names some")
    if own["remove"]:
        if any(own[flag] is not None for flag in ("kind", "before", "after", "note")):
            raise ConfigError("--remove: expected with --topic and --at alone")
        return correcting.correct(given, correcting.Wanted(own, None))
    if own["kind"] is None:
        raise ConfigError(f"--kind: missing, expected one of {', '.join(KIND.choices)}")
    kinds: dict[str, MarkKind] = {kind: kind for kind in get_args(MarkKind)}
    return correcting.correct(given, correcting.Wanted(own, _said(own, kinds[str(own["kind"])])))


@app.command(sort_key=1)
@takes(*OF_LIST, *DATABASE, CONFIG, *LOG)
def epochs(**given: Any) -> int:
    """Print where counters began anew: what the program found, and what users said.

    emdc meter epochs --db_host=emdc.db
    """
    own: dict[str, Any] = checked(
        OF_LIST, {row.flag: given.pop(row.flag, None) for row in OF_LIST}, {}
    )
    form = past.form_of(own)
    with past.opened(given) as stored:
        found = [_described(one, stored) for one in _chosen(stored, own)]
    if form == "json":
        past.print_json(found)
    elif form == "csv":
        lines = ([None if cell == "" else cell for cell in one.values()] for one in found)
        past.print_csv([EpochRow._fields, *lines])
    elif found:
        rows = [[correcting.figure(cell) for cell in one.values()] for one in found]
        columns = ("topic", "at", "kind", ">before", ">after", "source", "note")
        print_table("Where counters began anew", columns, rows, spare=("note",))
    else:
        say("no counter began anew")
    return 0


def _said(own: dict[str, Any], kind: MarkKind) -> Said:
    """What a user says. Raises ConfigError for register values that would mean nothing."""
    for flag in ("before", "after"):
        if own[flag] is not None and kind not in _COUNTED:
            counted = ", ".join(sorted(_COUNTED))
            raise ConfigError(f"--{flag}: a {kind} has none, expected a kind of {counted}")
    return Said(kind, own["before"], own["after"], own["note"] or "")


def _chosen(stored: Past, own: dict[str, Any]) -> list[EpochRow]:
    """Raises ConfigError for a meter or a topic that does not exist."""
    if own["meter"]:
        meters_named(stored.engine, own["meter"])
    name = own["topic"]
    topic = past.topic_of(stored.chronicle, name, energy=True).name if name else None
    found = stored.chronicle.epochs(topic)
    return [one for one in found if own["meter"] in {None, one.topic.rpartition("/")[0]}]


def _described(one: EpochRow, stored: Past) -> dict[str, Value]:
    """The fields of an entry of `GET /epochs`."""
    zone = past.zone_of(stored.chronicle.topic(one.topic))
    return {**one._asdict(), "at": iso(one.at, zone)}
