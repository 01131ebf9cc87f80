"""Maps by name: the user's own in a folder, and the shipped ones inside the package.

A name becomes a file here and nowhere else; `workbook` reads it.
"""

import difflib
from dataclasses import replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

import platformdirs

from emdc.errors import RegisterMapError
from emdc.meters import sunspec, workbook
from emdc.meters.register_map import RegisterMap

SHIPPED: Final = "shipped"
_SUFFIX: Final = ".xlsx"
_NEAR: Final = 0.4
_ALIKE: Final = 0.8
"""How similar a name must be to be named, from 0 to 1; one of a file may be anybody's own."""
# The file names that the collector before this one was installed with.
_OLD_NAMES: Final = {
    "nexus-metrics.xlsx": "nexus-1272",
    "eaton-metrics.xlsx": "eaton-pxm-4000",
}


def default_maps_dir() -> Path:
    """The folder for a user's own maps; it need not exist."""
    return platformdirs.user_config_path("emdc") / "maps"


def names(maps_dir: Path | None = None) -> list[tuple[str, str]]:
    """(name, origin) of every map, in order of name.

    The origin is the path of a file in `maps_dir`, or SHIPPED; a user's map hides a shipped one of
    the same name.
    """
    found = dict.fromkeys(_shipped(), SHIPPED)
    found.update((path.stem, str(path)) for path in _own(maps_dir))
    return sorted(found.items())


def find(
    name_or_path: str,
    *,
    maps_dir: Path | None = None,
    worksheet: str = workbook.WORKSHEET,
    unverified: bool = False,
) -> RegisterMap:
    """The map in an existing file, else the one of that name in `maps_dir`, else a shipped one.

    `unverified`: with the metrics of its sheet Unverified.
    `.xlsx` may be left out of a name. The file names of the old collector mean the shipped maps
    when no such file exists. Raises RegisterMapError with what was tried and the nearest name.
    """
    path = _expanded(name_or_path)
    if _is_file(path):
        return workbook.load(path, worksheet=worksheet, unverified=unverified)
    if len(path.parts) == 1 and path.name == name_or_path:
        name = _stem(name_or_path)
        for own in _own(maps_dir):
            if own.stem == name:
                return workbook.load(own, worksheet=worksheet, unverified=unverified)
        if name in _shipped():
            return _load_shipped(name, worksheet, unverified=unverified)
    old = _OLD_NAMES.get(path.name)
    if old is None:
        raise _unknown(name_or_path, maps_dir)
    found = _load_shipped(old, worksheet, unverified=unverified)
    notice = f"no file {name_or_path}: the shipped map {old} is used; name it {old} in the setting"
    return replace(found, warnings=(notice, *found.warnings))


def shipped(name: str) -> bytes:
    """The workbook of a shipped map, as it is. Raises RegisterMapError when there is none."""
    plain = _stem(name)
    if plain not in _shipped():
        raise _unknown(name, None)
    return (_folder() / f"{plain}{_SUFFIX}").read_bytes()


def _load_shipped(name: str, worksheet: str, *, unverified: bool) -> RegisterMap:
    with resources.as_file(_folder() / f"{name}{_SUFFIX}") as path:
        return workbook.load(path, worksheet=worksheet, unverified=unverified)


def _folder() -> Traversable:
    return resources.files("emdc.meters") / "maps"


def _shipped() -> list[str]:
    files = (entry.name for entry in _folder().iterdir())
    return sorted(_stem(name) for name in files if name.endswith(_SUFFIX))


def _own(maps_dir: Path | None) -> list[Path]:
    """Workbooks in the user's folder; lock files of spreadsheet programs are none."""
    if maps_dir is None or not maps_dir.is_dir():
        return []
    return sorted(path for path in maps_dir.glob(f"*{_SUFFIX}") if path.name[0] not in "~.")


def _stem(name: str) -> str:
    return name.removesuffix(_SUFFIX)


def _expanded(name_or_path: str) -> Path:
    try:
        return Path(name_or_path).expanduser()
    except RuntimeError:  # `~nobody`, a user without a home
        return Path(name_or_path)


def _is_file(path: Path) -> bool:
    """Whether the path is meant: anything but a folder that merely has the name of a map."""
    try:
        return path.exists() and not (path.is_dir() and len(path.parts) <= 1)
    except (OSError, ValueError):  # a name too long, or one with a NUL
        return False


def _unknown(name_or_path: str, maps_dir: Path | None) -> RegisterMapError:
    if len(Path(name_or_path).parts) > 1:
        return RegisterMapError(name_or_path, [("", "no such file")])
    known = [name for name, _ in names(maps_dir)]
    own = f", no such map in {maps_dir}" if maps_dir is not None else ""
    is_file = name_or_path.endswith(_SUFFIX)
    near = _nearest(
        _stem(name_or_path.casefold()), [*known, sunspec.NAME], _ALIKE if is_file else _NEAR
    )
    hint = f"did you mean {near}? " if near else ""
    more = "" if is_file else f"; emdc map list shows all {len(known)}"
    problem = f"{hint}no such file{own}{more}"
    return RegisterMapError(name_or_path or "an empty name", [("", problem)])


def _nearest(wanted: str, known: list[str], cutoff: float) -> str | None:
    """The name that holds `wanted`, such as the type of a meter, else the most similar one."""
    plain = _letters(wanted)
    within = [name for name in known if plain and plain in _letters(name)]
    similar = difflib.get_close_matches(
        wanted, within or known, n=1, cutoff=0.0 if within else cutoff
    )
    return next(iter(similar), None)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))
