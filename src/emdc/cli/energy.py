"""`emdc energy`: what counters counted, by days, hours or months of the meter's clock."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, get_args

from emdc.cli import past, plots
from emdc.cli.figures import NOTHING, grouped
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.labels import labels, marks
from emdc.cli.past import CSV, JSON, PLOT, Past
from emdc.cli.refined import repeatable, takes_minus
from emdc.cli.spans import END, iso, span_of, start_flag
from emdc.cli.terminal import note, print_table, say
from emdc.config.table import CONFIG, Setting
from emdc.energy.answers import Consumption, EnergyAnswer, Per, Quality, TopicFacts
from emdc.energy.spans import midnight_a_week_before
from emdc.errors import ConfigError
from emdc.reading import Value
from emdc.storage.past.behind import behind
from emdc.web.meant import topics_of

TOPIC: Final = Setting(
    "",
    "topic",
    "text",
    None,
    "A counter, a power in W, kW or MW, or a meter, which means all its counters; may be repeated",
)
START: Final = start_flag("default the midnight of seven days before the end")
PER: Final = Setting(
    "",
    "per",
    "text",
    "day",
    "How long a period is; but for 15min by the clock of the meter's zone; a week begins on Monday",
    choices=get_args(Per),
)
OWN: Final = (START, END, PER, JSON, CSV, PLOT)

_CSV: Final = ("topic", "unit", *Consumption._fields)
_TOTAL: Final = "total"


@repeatable(TOPIC.flag)
@takes_minus(START.flag, END.flag)
@takes(TOPIC, *OWN, *DATABASE, CONFIG, *LOG)
def command(**given: Any) -> int:
    """Print what counters counted.

    Days, weeks (of ISO 8601, from Monday on), months and years begin by
    the clock of the meter's time zone. Of a power it is what its mean makes
    in that time, an estimate. Reads only, and may run beside the collector.

        emdc energy --topic=UW/Mercer/nexus_meter --db_host=emdc.db
        emdc energy --topic=UW/Mercer/nexus_meter/Wh_received --start=2026 --per=month
        emdc energy --topic=UW/Mercer/nexus_meter/Wh_received --start=-7d --plot
    """
    names: list[str] = given.pop(TOPIC.flag, None) or []
    own: dict[str, Any] = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    form = past.form_of(own)
    if form == "plot":
        plots.require()
    with past.opened(given) as stored:
        topics = _topics(stored, names)
        found = [_energy(stored, topic, own) for topic in topics]
        _note_behind(stored, topics)
        if form == "json":
            for answer in found:
                past.print_json(_described(answer))
        elif form == "csv":
            past.print_csv([_CSV, *(line for answer in found for line in _lines(answer))])
        elif form == "plot":
            _plot(found)
        else:
            for answer in found:
                _print(stored, answer)
    return 0


def _topics(stored: Past, names: Sequence[str]) -> list[TopicFacts]:
    """The topics that are meant, each once. Raises ConfigError."""
    found: dict[str, TopicFacts] = {}
    for name in names or (None,):
        for topic in _named(stored, name):
            found[topic.name] = topic
    return list(found.values())


def _named(stored: Past, name: str | None) -> list[TopicFacts]:
    """One topic, or the counters of a meter."""
    try:
        return [past.topic_of(stored.chronicle, name, energy=True)]
    except ConfigError:
        mine = topics_of(stored.chronicle, name or "")
        counters = [topic for topic in mine if topic.kind == "counter"]
        if not counters:
            raise
        return counters


def _energy(stored: Past, topic: TopicFacts, own: dict[str, Any]) -> EnergyAnswer:
    zone = past.zone_of(topic)
    span = span_of(
        own["start"], own["end"], zone=zone, now=stored.now, earlier=midnight_a_week_before
    )
    return stored.chronicle.energy(topic.name, *span, own["per"])


def _note_behind(stored: Past, topics: Sequence[TopicFacts]) -> None:
    """Say of which meters the quarter hours are not made."""
    zones = {topic.name.rpartition("/")[0]: past.zone_of(topic) for topic in topics}
    left_out = stored.chronicle.leaves_out_old_rows  # which has been logged, with the mend
    for meter, made_until, is_old in behind(stored.engine, [topic.name for topic in topics]):
        if is_old and left_out:
            continue
        made = "none of its quarter hours is made yet"
        if made_until is not None:
            made = f"its quarter hours are made until {iso(made_until, zones[meter])}"
        note(
            f"emdc: {meter}: {made}, so energy may be missing here; a collector makes them, and"
            " emdc intervals with the same flags does at once"
        )


def _described(answer: EnergyAnswer) -> dict[str, Any]:
    """The fields of `GET /energy`."""
    topic, zone = answer.topic, past.zone_of(answer.topic)
    periods = [
        {
            "start": iso(one.start, zone),
            "end": iso(one.end, zone),
            "energy": one.energy,
            "completeness": one.completeness,
            "quality": _quality(one),
        }
        for one in answer.periods
    ]
    return {
        "topic": topic.name,
        "unit": topic.unit,
        "zone": topic.zone,
        "per": answer.per,
        "periods": periods,
    }


def _lines(answer: EnergyAnswer) -> Iterator[Sequence[Value]]:
    topic, zone = answer.topic, past.zone_of(answer.topic)
    for one in answer.periods:
        span = (iso(one.start, zone), iso(one.end, zone))
        yield (topic.name, topic.unit, *span, one.energy, one.completeness, _quality(one))


def _quality(one: Consumption) -> str | None:
    return None if one.quality is None else one.quality.name.lower()


def _print(stored: Past, answer: EnergyAnswer) -> None:
    topic = answer.topic
    rows, texts = list(answer.periods), labels(answer)
    if len(rows) > 1:
        span = (rows[0].start, rows[-1].end)
        rows += stored.chronicle.energy(topic.name, *span, "total").periods
        texts.append(_TOTAL)
    energies = grouped([one.energy for one in rows])
    columns = ("period", f">{topic.unit or 'energy'}", ">complete", "")
    lines = [
        (text, energy, _complete(one), _doubt(one))
        for text, energy, one in zip(texts, energies, rows, strict=True)
    ]
    print_table(f"{topic.name}, {topic.zone}", columns, lines)


def _complete(one: Consumption) -> str:
    if one.completeness is None:
        return NOTHING
    # 99.96 per cent is not all.
    part = int(one.completeness * 10) / 10
    return f"{part:.0f} %" if part in {0, 100} else f"{part:.1f} %"


def _doubt(one: Consumption) -> str:
    """The quality, where it is not the best."""
    return "" if one.quality in {None, Quality.MEASURED} else str(_quality(one))


def _plot(found: Sequence[EnergyAnswer]) -> None:
    for answer in found:
        topic = answer.topic
        say(f"{topic.name}, {topic.unit}, {topic.zone}")
        print(plots.bars(marks(answer), [one.energy for one in answer.periods]), flush=True)
