"""`emdc gendata`: a database filled with sample data, or with the topics of the first meters.

Samples are made and written window by window, one transaction each: memory stays bounded, and
whoever interrupts it is left with whole windows.
"""

import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import resources
from pathlib import Path
from time import monotonic
from typing import Any, Final, TypeAlias

from emdc import daemon, stores
from emdc.cli.flags import DATABASE, LOG, checked, takes
from emdc.cli.stored import settings_of
from emdc.cli.terminal import note, say
from emdc.config import Settings
from emdc.config.table import CONFIG, Setting
from emdc.errors import ConfigError, StorageError
from emdc.meters import library
from emdc.storage.database import DIALECTS, Database, connected
from emdc.storage.instants import from_microseconds, to_text
from emdc.storage.merge import Replace, measured, merge
from emdc.storage.places import Place, names_of, place
from emdc.synthetic import entries as files
from emdc.synthetic.entries import LARGEST_NUMBER, LARGEST_RATE, Entry
from emdc.synthetic.generator import Window, samples, windows

METERS: Final = {
    "UW/Alder/eaton_meter": "eaton-pxm-4000",
    "UW/Elm/eaton_meter": "eaton-pxm-4000",
    "UW/Maple/eaton_meter": "eaton-pxm-4000",
    "UW/Mercer/nexus_meter": "nexus-1272",
}
"""The meters of --topics, and the map that has the units."""
METRICS: Final = (
    *("Voltage_AN", "Voltage_BN", "Voltage_CN", "Current_N", "VA", "VAR", "W_A", "W_B", "W_C"),
    *("W", "freq", "pf_A", "pf_B", "pf_C", "pf", "Angle_V_AN", "Angle_V_BN", "Angle_V_CN"),
    *("Angle_I_A", "Angle_I_B", "Angle_I_C"),
)

AT_ONCE: Final = 50_000
"""Samples in one transaction: a quarter of a second, in which others wait to write."""
_HOUR_US: Final = 3_600_000_000
_IN_HOUR: Final = [f"{second // 60:02d}:{second % 60:02d}." for second in range(3600)]
_LARGEST_FILE: Final = 4 * 1024 * 1024

INPUT: Final = Setting(
    "",
    "input_file",
    "path",
    None,
    "File that describes the samples; sample-cos.json, sample-square.json and sample-sawtooth.json "
    "are shipped",
)
# fmt: off
REPLACED: Final = (
    Setting("", "topic_id", "whole", None,
            "Number of the topic, instead of what the file says", 1, LARGEST_NUMBER),
    Setting("", "topic_name", "text", None,
            "Name of the topic, such as UW/Mercer/nexus_meter/W, instead of what the file says"),
    Setting("", "sample_rate", "number", None,
            "Samples per second, instead of what the file says", 1e-9, LARGEST_RATE),
    Setting("", "spread", "number", None,
            "Noise to either side, instead of what the file says", 0, 1e15),
)
SEED: Final = Setting("", "seed", "whole", None,
                      "Any number; a run with the same one makes the same noise")
TOPICS: Final = Setting("", "topics", "switch", False,
                        "Create the 84 topics of the first UW meters, and nothing else")
# fmt: on
OWN: Final = (INPUT, *REPLACED, SEED, TOPICS)

Tell: TypeAlias = Callable[[int], None]


@takes(*OWN, *DATABASE, CONFIG, *LOG)
def command(**given: object) -> int:
    """Fill a database with sample data.

    A file says what: waves that add up, with noise, for one topic or
    several. What was made up before in the same range is replaced;
    measured values never are. A SQLite file that does not exist is created.

        emdc gendata --input_file=sample-cos.json --db_host=sample.db
        emdc gendata --topics --db_host=sample.db
    """
    own: dict[str, Any] = checked(OWN, {row.flag: given.pop(row.flag, None) for row in OWN}, {})
    if own["topics"] and any(own[row.flag] is not None for row in OWN if row is not TOPICS):
        raise ConfigError("--topics: makes no samples, expected it without --input_file and others")
    settings = settings_of(given)
    if own["topics"]:
        _create_topics(settings)
        return 0
    found, source = _entries(own)
    started, rng = monotonic(), random.Random(own["seed"])  # noqa: S311 (noise, no secret)
    engine = stores.open_database(settings)
    daemon.calm_garbage_collection()
    try:
        waves = _prepare(engine, found, source)
        total = _fill(engine, waves, rng.random)
    finally:
        engine.dispose()
    _sum_up(total, len(waves), monotonic() - started, settings)
    return 0


def _entries(own: Mapping[str, Any]) -> tuple[tuple[Entry, ...], str]:
    """The checked entries of the file, and the name by which to speak of it."""
    path: Path | None = own["input_file"]
    shipped = resources.files("emdc.synthetic") / "samples"
    if path is None:
        raise ConfigError(f"--input_file: missing, expected a file or one of {_shipped()}")
    if path.is_file():
        if path.stat().st_size > _LARGEST_FILE:
            raise ConfigError(f"{path}: expected at most {_LARGEST_FILE} bytes")
        content = path.read_bytes()
    elif path.exists():
        raise ConfigError(f"--input_file: {path} is not a regular file, expected one")
    elif path.name == str(path) and (shipped / path.name).is_file():
        content = (shipped / path.name).read_bytes()
    else:
        raise ConfigError(f"--input_file: no file {path}, expected one or one of {_shipped()}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start} is not UTF-8, expected JSON") from error
    replaced = {row.flag: own[row.flag] for row in REPLACED if own[row.flag] is not None}
    return files.parse(text, str(path), replaced=replaced), str(path)


def _shipped() -> str:
    folder = resources.files("emdc.synthetic") / "samples"
    return ", ".join(sorted(file.name for file in folder.iterdir()))


Waves: TypeAlias = Mapping[str, tuple[Place, Sequence[Entry]]]
"""Place and entries by name of a topic."""


def _prepare(engine: Database, found: Sequence[Entry], source: str) -> Waves:
    """Find or create the topics. Raises ConfigError when one has measured values in the range."""
    with _registering(engine) as connection:
        numbers = {entry.topic_id for entry in found if entry.topic_id is not None}
        by_name = files.topics(found, source, names_of(connection, numbers))
        wanted = {
            name: entry.topic_id
            for name, entries in by_name.items()
            for entry in entries
            if entry.topic_id is not None
        }
        places = place(connection, list(by_name), numbers=wanted)
        for name, entries in by_name.items():
            where = places[name]
            for start, end in {entry.range_us for entry in entries}:
                ends = (_text(start), _text(end))
                hit = measured(connection, where.meter_id, {where.slot}, *ends)
                if hit is not None:
                    raise ConfigError(
                        f"topic {name}: has a measured value at {hit[0]} UTC, which made-up ones "
                        f"never replace: name another topic (--topic_name), another range in "
                        f"{source}, or another database"
                    )
    return {name: (places[name], entries) for name, entries in by_name.items()}


@contextmanager
def _registering(engine: Database) -> Iterator[Any]:
    """A connection in one transaction, while no other process adds topics."""
    with DIALECTS[engine.dialect.name].alone(engine), connected(engine, write=True) as connection:
        yield connection


def _fill(engine: Database, waves: Waves, share: Callable[[], float]) -> int:
    """Make and write all samples, one window of one meter at a time; gives how many."""
    total = 0
    try:
        with _progress(waves) as tell:
            for meter_id in dict.fromkeys(where.meter_id for where, _ in waves.values()):
                mine = {p.slot: entries for p, entries in waves.values() if p.meter_id == meter_id}
                everything = [entry for entries in mine.values() for entry in entries]
                for window in windows(everything, AT_ONCE):
                    added = _fill_window(engine, meter_id, (mine, window), share)
                    total += added
                    tell(added)
    except (KeyboardInterrupt, StorageError):
        # The end may come between a commit and its being counted.
        note(f"emdc: ended early, at least the first {total:,} samples are stored, none by halves")
        raise
    return total


def _fill_window(
    engine: Database,
    meter_id: int,
    what: tuple[Mapping[int, Sequence[Entry]], Window],
    share: Callable[[], float],
) -> int:
    by_slot, window = what
    rows: dict[int, dict[int, float]] = {}
    active = set()
    for slot, entries in by_slot.items():
        if any(e.range_us[0] < window.end and e.range_us[1] > window.start for e in entries):
            active.add(slot)
            for at, value in samples(entries, window, share).items():
                rows.setdefault(at, {})[slot] = value
    texts = {ts: rows[at] for at, ts in _texts(sorted(rows))}
    policy = Replace(active, _text(window.start), _text(window.end))
    with connected(engine, write=True) as connection:
        return merge(connection, meter_id, texts, policy=policy).added


def _texts(instants: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Each instant with its stored form; date and hour are worked out once an hour."""
    hour, beginning = -1, ""
    for at in instants:
        if at // _HOUR_US != hour:
            hour, beginning = at // _HOUR_US, _text(at)[:14]
        seconds, fraction = divmod(at % _HOUR_US, 1_000_000)
        yield at, f"{beginning}{_IN_HOUR[seconds]}{fraction:06d}"


def _text(microseconds: int) -> str:
    return to_text(from_microseconds(microseconds))


@contextmanager
def _progress(waves: Waves) -> Iterator[Tell]:
    """A bar on a terminal; what it gives is told how many samples were written."""
    from rich.console import Console  # noqa: PLC0415 (a fifth of a second)
    from rich.progress import Progress  # noqa: PLC0415

    total = sum(entry.count for _, entries in waves.values() for entry in entries)
    console = Console(stderr=True)
    with Progress(console=console, disable=not sys.stderr.isatty(), transient=True) as bar:
        yield partial(bar.advance, bar.add_task("samples", total=total))


def _sum_up(total: int, topics: int, seconds: float, settings: Settings) -> None:
    many = "topic" if topics == 1 else "topics"
    where = settings.redacted_url()
    say(f"{total:,} samples of {topics} {many} in {seconds:.1f} s: {where}")


def _create_topics(settings: Settings) -> None:
    units = {}
    for meter, map_name in METERS.items():
        by_metric = {metric.name: metric.unit for metric in library.find(map_name).metrics}
        units.update({f"{meter}/{metric}": by_metric[metric] for metric in METRICS})
    engine = stores.open_database(settings)
    try:
        with _registering(engine) as connection:
            places = place(connection, list(units), units=units)
    finally:
        engine.dispose()
    new = sum(found.new for found in places.values())
    say(f"{len(places)} topics of {len(METERS)} meters, {new} new: {settings.redacted_url()}")
