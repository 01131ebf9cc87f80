"""One value of one setting: from text or TOML to its type, within its limits.

Every function raises ValueError with "value, what was expected"; the caller adds where it was.
A secret's text never appears in a message. Pure.
"""

import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from emdc.config.hosts import check_bind_host, split_host
from emdc.config.secret import Secret
from emdc.config.table import Setting
from emdc.zone import zone

Read: TypeAlias = str | int | float | bool | Secret | Path

# ASCII on purpose: int() and float() also take full-width digits and underscores.
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?([0-9]{1,18}(\.[0-9]*)?|\.[0-9]{1,18})([eE][+-]?[0-9]{1,3})?")
_PLATE: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*/\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)")
"""Primary and secondary of a transformer as its plate names them, such as 400/5."""
_SWITCH: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
METER: Final = "meter"
"""The word for a transformer ratio that is read from the meter."""
LONGEST_NAME: Final = 255
"""Characters of a meter's name; a topic, which adds the metric's, has room for 512."""


def from_text(setting: Setting, text: str) -> Read:
    """The value that a flag or an environment variable spells."""
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("bytes that are not UTF-8, expected text")
    if setting.kind == "secret":
        return check(setting, text)
    text = text.strip()
    if setting.kind == "whole":
        return check(setting, int(_matching(_WHOLE, text, "a whole number")))
    if setting.kind == "number":
        return check(setting, float(_matching(_NUMBER, text, "a number such as 2.5")))
    if setting.kind == "ratio":
        return check(setting, float(text) if _NUMBER.fullmatch(text) else text)
    if setting.kind == "switch":
        if text.lower() not in _SWITCH:
            raise ValueError(f"{shown(text)}, expected true or false")
        return _SWITCH[text.lower()]
    return check(setting, text)


def check(setting: Setting, value: object) -> Read:
    """`value` of the right type and within the limits; for TOML, which has types of its own."""
    return _CHECKS[setting.kind](setting, value)


def shown(value: object) -> str:
    """A value as an error may show it: quoted, on one line, cut."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"


def _matching(pattern: re.Pattern[str], text: str, expected: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"{shown(text)}, expected {expected}")
    return text


def _whole(setting: Setting, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{shown(value)}, expected a whole number{_unquote(value)}")
    return int(_within(setting, value))


def _number(setting: Setting, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"{shown(value)}, expected a number{_unquote(value)}")
    return float(_within(setting, value))


def _ratio(setting: Setting, value: object) -> float | str:
    if not isinstance(value, str):
        return _number(setting, value)
    if value.strip().lower() == METER:
        return METER
    plate = _PLATE.fullmatch(value.strip())
    if plate is None or not float(plate[2]):
        said = ", without quotes" if _NUMBER.fullmatch(value) else f" such as 80, 400/5 or {METER}"
        raise ValueError(f"{shown(value)}, expected a number{said}")
    return _number(setting, float(plate[1]) / float(plate[2]))


def _unquote(value: object) -> str:
    return ", without quotes" if isinstance(value, str) else ""


def _within(setting: Setting, value: float) -> float:
    low, high = setting.low, setting.high
    if low is not None and high is not None and not low <= value <= high:
        raise ValueError(f"{value}, expected {limits(setting)}")
    return value


def limits(setting: Setting) -> str:
    """The range of a number as people write it, such as `0.1-86400`; empty without one."""
    if setting.low is None or setting.high is None:
        return ""
    return f"{setting.low:.15g}-{setting.high:.15g}"


def _switch(_setting: Setting, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{shown(value)}, expected true or false")
    return value


def _secret(_setting: Setting, value: object) -> Secret:
    if not isinstance(value, str):
        raise ValueError("not a text, expected it in quotes")
    if any(ord(character) < 32 or ord(character) == 127 for character in value):
        raise ValueError("several lines or a control character, expected one line of text")
    return Secret(value)


def _text(setting: Setting, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)}, expected a text in quotes")
    if not value.strip():
        raise ValueError("empty, expected a text")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in value):
        raise ValueError(f"{shown(value)}, expected a text without control characters")
    return _chosen(setting.choices, value) if setting.choices else value


def _chosen(choices: tuple[str, ...], value: str) -> str:
    for choice in choices:
        if choice.lower() == value.lower():
            return choice
    raise ValueError(f"{shown(value)}, expected one of {', '.join(choices)}")


def _path(setting: Setting, value: object) -> Path:
    text = _text(setting, value)
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError(f"{shown(text)}, expected a path; this user has no home folder") from None


def _name(setting: Setting, value: object) -> str:
    name = _text(setting, value)
    if name != name.strip():
        raise ValueError(f"{shown(name)}, expected a name without spaces at its ends")
    if len(name) > LONGEST_NAME:
        raise ValueError(f"{len(name)} characters, expected at most {LONGEST_NAME}")
    return name


def _host(setting: Setting, value: object) -> str:
    host = _text(setting, value)
    split_host(host)
    return host


def _bind(setting: Setting, value: object) -> str:
    return check_bind_host(_text(setting, value))


def _zone(setting: Setting, value: object) -> str:
    return zone(_text(setting, value)).key


_CHECKS: Final[dict[str, Callable[[Setting, object], Read]]] = {
    "text": _text,
    "whole": _whole,
    "number": _number,
    "ratio": _ratio,
    "switch": _switch,
    "secret": _secret,
    "path": _path,
    "name": _name,
    "host": _host,
    "bind": _bind,
    "zone": _zone,
}
