"""Where settings come from: flags, environment, emdc.toml. Each value keeps the place it was given.

Every source is read to its end; what cannot be used is collected in `Notes`, so that one start
shows all of it.
"""

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from emdc.config import broken
from emdc.config.database import url_password
from emdc.config.secret import Secret, exposure
from emdc.config.table import CONFIG, SETTINGS, Setting
from emdc.config.values import Read, check, from_text
from emdc.errors import ConfigError

FLAG, ENVIRONMENT, FILE, CREDENTIAL = range(4)
"""Ranks of the sources: the lowest given wins."""

LARGEST_FILE: Final = 16 * 1024 * 1024
"""Bytes in emdc.toml; ten thousand meters need about two million."""


class Given(NamedTuple):
    """A value as somebody gave it; `where` is the flag, the variable or the file and key."""

    value: Read
    where: str
    rank: int


@dataclass(slots=True)
class Notes:
    """Everything wrong or strange about a configuration."""

    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def fault(self, where: str, problem: object) -> None:
        """Add what keeps the daemon from starting."""
        self.faults.append(f"{where}: {problem}")

    def warn(self, where: str, problem: object) -> None:
        """Add what is only strange."""
        self.warnings.append(f"{where}: {problem}")

    def blames(self, where: str) -> bool:
        """A fault of this very place is known."""
        return any(fault.startswith(f"{where}:") for fault in self.faults)

    def end(self) -> None:
        """Raise ConfigError with all faults, one a line, when there are any."""
        if len(self.faults) == 1:
            raise ConfigError(self.faults[0])
        if self.faults:
            lines = "\n  ".join(self.faults)
            raise ConfigError(f"{len(self.faults)} settings cannot be used\n  {lines}")


def from_flags(flags: Mapping[str, object], notes: Notes) -> dict[str, Given]:
    """Values by key; a flag that is None was not given."""
    rows = {setting.flag: setting for setting in SETTINGS}
    given: dict[str, Given] = {}
    for name, raw in flags.items():
        flag = name.replace("-", "_")
        if raw is None or flag == CONFIG.flag:
            continue
        where = f"--{flag}"
        if flag not in rows:
            notes.fault(where, f"unknown flag{_meant(flag, rows)}")
            continue
        setting = rows[flag]
        _take(given, setting, raw, (where, FLAG), notes)
        if _holds_secret(setting, given):
            notes.warn(
                where,
                "every user of this machine can see a secret on a command line; "
                f"give it by {setting.names[0]} or a file",
            )
    return given


def from_environment(environment: Mapping[str, str], notes: Notes) -> dict[str, Given]:
    """Values by key; an empty variable was not given, a new name wins over an old one."""
    rows = {name: setting for setting in SETTINGS for name in setting.names}
    known = {*rows, *CONFIG.names}
    for name in sorted(environment):
        if name in known or not name.startswith(("EMDC_", "UWSOLAR_")):
            continue
        # Files of the old collector may hold names of its neighbours; ours are only ever meant so.
        tell = notes.fault if name.startswith("EMDC_") else notes.warn
        tell(name, f"unknown variable{_meant_variable(name, known)}")
    given: dict[str, Given] = {}
    for name, setting in rows.items():
        text = environment.get(name, "")
        if not text.strip():
            continue
        if setting.kind == "secret" and text != text.rstrip("\r\n"):
            notes.warn(name, "the line end after the secret is left out")
            text = text.rstrip("\r\n")
        before = given.get(setting.key)
        if before is None:
            _take(given, setting, text, (name, ENVIRONMENT), notes)
        elif environment[before.where] != environment[name]:
            notes.warn(name, f"differs from {before.where}, which is used")
    return given


@dataclass(slots=True)
class FromFile:
    """What emdc.toml says: values by key, and one such dictionary for each of its meters."""

    values: dict[str, Given] = field(default_factory=dict)
    meters: list[dict[str, Given]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    """Where each meter is: `emdc.toml: meters[1]`; the first is 1."""


def from_file(path: Path, notes: Notes) -> FromFile:
    """The settings in `path`. Raises ConfigError when the file cannot be read as TOML at all."""
    content = read_toml(path)
    found = FromFile()
    meters = content.pop("meters", [])
    tables: dict[str, object] = {"": content}
    for name in sorted({s.key.partition(".")[0] for s in SETTINGS if "." in s.key} - {"meters"}):
        tables[name] = content.pop(name, {})
    for name, table in tables.items():
        found.values |= _table(table, (name, f"{path}: {name}".rstrip(": ")), notes)
    if not isinstance(meters, list):
        notes.fault(f"{path}: meters", "one table, expected [[meters]], with two brackets")
        return found
    for number, table in enumerate(meters, 1):
        where = f"{path}: meters[{number}]"
        found.names.append(where)
        found.meters.append(_table(table, ("meters", where), notes))
    _warn_of_exposed_secrets(path, found, notes)
    return found


def read_toml(path: Path) -> dict[str, object]:
    """The content of a TOML file. Raises ConfigError naming file, line and column."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: no such regular file, expected a file in TOML")
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}, expected a readable file") from error
    if len(content) > LARGEST_FILE:
        raise ConfigError(f"{path}: more than {LARGEST_FILE // 1024**2} MB, expected less")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}: line {line}: a byte that is not UTF-8") from error
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {broken.described(str(error), text)}") from error


def _table(table: object, place: tuple[str, str], notes: Notes) -> dict[str, Given]:
    """Values of one table; `place` is its name in the file and how an error calls it."""
    name, where = place
    prefix = f"{name}." if name else ""
    rows = {s.field: s for s in SETTINGS if s.key == f"{prefix}{s.field}"}
    given: dict[str, Given] = {}
    if not isinstance(table, dict):
        heading = "[[meters]]" if name == "meters" else f"[{name}]"
        # The value is not shown: it may be what belongs into the table, such as a password.
        notes.fault(where, f"no table, expected {heading} above its keys")
        return given
    for key, raw in table.items():
        at = f"{where}.{key}" if name else f"{where}: {key}"
        if key in rows:
            _take(given, rows[key], raw, (at, FILE), notes)
        else:
            tables = () if name else ("database", "http", "meters")
            notes.fault(at, f"unknown key{_meant(str(key), [*rows, *tables])}")
    return given


def _take(
    given: dict[str, Given], setting: Setting, raw: object, place: tuple[str, int], notes: Notes
) -> None:
    """Add a checked value, or the fault that it has; `place` is where it was given and its rank."""
    where, rank = place
    try:
        spelled = rank != FILE and isinstance(raw, str)
        value = from_text(setting, str(raw)) if spelled else check(setting, raw)
    except ValueError as error:
        notes.fault(where, error)
    else:
        given[setting.key] = Given(value, where, rank)


def merged(sources: Sequence[Mapping[str, Given]], notes: Notes) -> dict[str, Given]:
    """One value per key, the first source's; a flag that contradicts a variable is noted."""
    result: dict[str, Given] = {}
    for source in sources:
        for key, given in source.items():
            first = result.setdefault(key, given)
            differs = first.value != given.value and given.rank == ENVIRONMENT
            if differs and first.rank == FLAG:
                notes.warn(given.where, f"{first.where} says otherwise and is used")
    return result


def _warn_of_exposed_secrets(path: Path, found: FromFile, notes: Notes) -> None:
    secrets = [s.field for s in SETTINGS if _holds_secret(s, found.values)]
    problem = exposure(path) if secrets else None
    if problem:
        notes.warn(str(path), f"holds {' and '.join(secrets)}: {problem}")


def _holds_secret(setting: Setting, given: Mapping[str, Given]) -> bool:
    value = given[setting.key].value if setting.key in given else None
    if not isinstance(value, Secret):
        return False
    return bool(url_password(value.reveal()) if setting.field == "url" else value)


def _meant(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1)
    return f", did you mean {near[0]}" if near else ""


def _meant_variable(name: str, known: Iterable[str]) -> str:
    renamed = "EMDC_" + name.partition("_")[2]
    return f", did you mean {renamed}" if renamed in known else _meant(name, known)
