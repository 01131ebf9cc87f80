"""`emdc collect`: the meters once, as tables for people or as JSON, with a mark for each value."""

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import msgspec

from emdc import daemon, stores
from emdc.cli import visit
from emdc.cli.flags import DATABASE, LOG, MAPS_DIR, takes
from emdc.cli.settings import load
from emdc.cli.terminal import note, print_table, say
from emdc.cli.visit import Visit
from emdc.config import MeterSettings, Settings, check_meters
from emdc.config.table import CONFIG, PANEL, Setting
from emdc.digits import rounder
from emdc.errors import ConfigError
from emdc.meters import plausible
from emdc.place import is_device
from emdc.reading import Value
from emdc.web.advice import advice

METER: Final = Setting("", "meter", "text", None, "Read only the meter of this name")
JSON: Final = Setting("", "json", "switch", False, "Print JSON instead of tables")

_PAGE: Final = re.compile(r"https?://\S+?(?=/?(?:\s|$))")


@takes(CONFIG, *PANEL, *DATABASE, MAPS_DIR, *LOG, METER, JSON)
def command(**given: object) -> int:
    r"""Read the meters once and print what they say.

    The mark beside a value is ok, or why it is hard to believe, or why
    there is none:

        emdc collect --panel_host=192.168.1.50 \
          --panel_topic_prefix=UW/Mercer/nexus_meter \
          --panel_metrics_workbook=nexus-1272

    Nothing is stored unless a database is configured. A meter has one
    client at a time: while the daemon reads it, the daemon is the one to
    ask. Exit code 1 when no meter gave a value.
    """
    only, as_json = given.pop("meter", None), given.pop("json", None)
    settings = _chosen(load(given), only)
    plant = daemon.plan(settings)
    visits = asyncio.run(visit.read(plant))
    if as_json:
        say(json.dumps([_described(one) for one in visits], indent=2, ensure_ascii=False))
    else:
        for one, meter in zip(visits, settings.meters, strict=True):
            if one.answered:
                _print(one, meter)
    held = _explain(visits)
    if not settings.database.in_memory:
        _store(settings, visits)
    return 1 if held or not any(one.answered for one in visits) else 0


def _chosen(settings: Settings, only: object) -> Settings:
    """The settings with the meter of that name alone. Raises ConfigError when there is none."""
    check_meters(settings)
    if only is None:
        return settings
    meters = tuple(meter for meter in settings.meters if meter.name == only)
    if not meters:
        names = ", ".join(meter.name for meter in settings.meters[:10])
        raise ConfigError(f"--meter: {only!r} is not configured, expected one of {names}")
    return msgspec.structs.replace(settings, meters=meters)


def _rows(one: Visit) -> list[tuple[str, Value, str, str]]:
    """(metric, value, unit, mark) in the order of the map."""
    reading, topics = one.reading, one.profile.topics
    by_name = dict(zip(reading.metrics, reading.values, strict=True))
    values = [by_name[topic.name] for topic in topics]
    shown = rounder([topic.digits for topic in topics])(values)
    found = plausible.marks(topics, by_name)
    return [
        (
            topic.name,
            value if isinstance(value, int | float | str) else None,
            topic.unit,
            found.get(topic.name) or reading.gaps.get(topic.name, "no value"),
        )
        for topic, value in zip(topics, shown, strict=True)
    ]


def _print(one: Visit, meter: MeterSettings) -> None:
    rows = _rows(one)
    count = sum(value is not None for _, value, _, _ in rows)
    at = one.reading.read_at.astimezone().isoformat(sep=" ", timespec="seconds")
    where = f"{meter.map} at {meter.place}"
    title = f"{meter.name}: {where}, {at}, {count} of {len(rows)} values"
    cells = [(n, "" if v is None else str(v), unit, mark) for n, v, unit, mark in rows]
    print_table(title, ("metric", ">value", "unit", "mark"), cells)


def _described(one: Visit) -> dict[str, object]:
    return {
        "meter": one.profile.name,
        "tick": one.reading.tick.isoformat(),
        "read_at": one.reading.read_at.isoformat(),
        "held_by": one.held_by or None,
        "values": [
            {"metric": metric, "value": value, "unit": unit, "mark": mark}
            for metric, value, unit, mark in _rows(one)
        ],
    }


def _explain(visits: Sequence[Visit]) -> bool:
    """Say of the meters that gave nothing why; whether another process has one of them."""
    for one in visits:
        if one.held_by:
            page = _PAGE.search(one.held_by)
            ask = f"; ask it: {_asking(page[0], one.profile.name)}" if page else ""
            note(f"emdc: {one.profile.name} is being read by {one.held_by}{ask}")
        elif not one.answered:
            reasons = sorted(set(one.reading.gaps.values()))
            said = ": ".join(filter(None, (", ".join(reasons), one.unreached)))
            note(f"emdc: {one.profile.name}: no value, {one.problem or said}")
            if is_device(one.unreached):
                continue  # which has said what is wrong with it
            reasons = reasons or [one.problem.partition(":")[0]]
            for sentence in dict.fromkeys(advice(reason) for reason in reasons):
                note(f"  {sentence}")
    return any(one.held_by for one in visits)


def _asking(page: str, meter: str) -> str:
    """The commands that let a daemon read, which prints nothing, and print the meter's values."""
    named = quote(meter, safe="/")
    return f"curl -X POST {page}/collect; curl '{page}/topics?meter={named}'"


def _store(settings: Settings, visits: Sequence[Visit]) -> None:
    database = stores.open_database(settings)
    try:
        asyncio.run(visit.store(database, visits))
    finally:
        database.dispose()
    if any(one.answered for one in visits):
        note(f"stored in {settings.redacted_url()}")
