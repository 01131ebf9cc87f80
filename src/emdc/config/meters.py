"""The meters that a configuration describes: `[[meters]]` of the file, or the one of the flags.

Here is what concerns a whole meter or several: required keys, host with port, names that clash.
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from emdc.config.hosts import PORT, split_host
from emdc.config.sources import FromFile, Given, Notes
from emdc.config.table import PANEL
from emdc.config.transport import check_transport
from emdc.config.values import Read
from emdc.place import is_device

MOST_METERS: Final = 10_000
REQUIRED: Final = ("name", "host", "map")
OF_CONNECTION: Final = (
    *("connect_timeout", "connect_delay", "request_delay", "backoff_max", "pipeline", "transport"),
    *("baudrate", "parity", "stop_bits", "ignore_transaction_id"),
)
"""Settings of the one connection that all meters behind a host and port share."""
_DEFAULTS: Final = {row.field: row.default for row in PANEL if row.field in OF_CONNECTION}


def described_meters(
    given: Mapping[str, Given], file: FromFile, notes: Notes
) -> list[dict[str, Any]]:
    """Fields of each meter's struct, in the order of the file.

    `given` may hold keys `meters.…` from flags and environment: these describe one meter, which
    may not stand beside those of the file.
    """
    panel = {s.key: given[s.key] for s in PANEL if s.key in given}
    if panel and file.meters:
        fields = ", ".join(key.removeprefix("meters.") for key in panel)
        notes.fault(
            next(iter(panel.values())).where,
            f"describes the one meter of flags or environment, and so does {file.names[0]} one: "
            f"set {fields} there, or leave [[meters]] out",
        )
        panel = {}
    if len(file.meters) > MOST_METERS:
        notes.fault(file.names[0], f"{len(file.meters)} meters, expected at most {MOST_METERS}")
        return []
    found = [
        _fields(meter, {s.key: [f"{name}.{s.field}"] for s in PANEL}, notes)
        for name, meter in zip(file.names, file.meters, strict=True)
    ]
    _check_names(file.names, found, notes)
    _check_connections(file.names, found, notes)
    if panel:
        found.append(_fields(panel, {s.key: [f"--{s.flag}", *s.names] for s in PANEL}, notes))
    return found


def _fields(
    meter: Mapping[str, Given], places: Mapping[str, list[str]], notes: Notes
) -> dict[str, Any]:
    """Fields of one meter; `places`: where each setting can be given, the usual place first."""
    fields: dict[str, Any] = {s.field: meter[s.key].value for s in PANEL if s.key in meter}
    for setting in PANEL:
        where = places[setting.key]
        missing = setting.field in REQUIRED and setting.field not in fields
        if missing and not any(notes.blames(place) for place in where):
            notes.fault(
                where[0], f"missing, expected the {setting.help[0].lower()}{setting.help[1:]}"
            )
    if "host" in fields:
        _split(fields, meter, notes)
    check_transport(fields, meter, notes)
    if (unit := fields.get("unit", 1)) in {0, *range(248, 256)}:
        notes.warn(meter["meters.unit"].where, f"{unit} is reserved, most meters answer to 1-247")
    return fields


def _split(fields: dict[str, Any], meter: Mapping[str, Given], notes: Notes) -> None:
    """Part a host from the port behind it."""
    host = meter["meters.host"]
    fields["host"], port = split_host(str(host.value))
    if port is None:
        return
    if fields.setdefault("port", port) != port:
        apart: Read = fields["port"]
        notes.fault(
            host.where, f"port {port}, but {meter['meters.port'].where} says {apart}, expected one"
        )


def _check_names(places: list[str], meters: list[dict[str, Any]], notes: Notes) -> None:
    """Names must differ beyond case and Unicode form: some databases take such twins for one."""
    first: dict[str, str] = {}
    for place, fields in zip(places, meters, strict=True):
        name = str(fields.get("name", ""))
        twin = unicodedata.normalize("NFC", name).casefold()
        if twin and twin in first:
            notes.fault(
                f"{place}.name", f"{name!r}, expected another name than that of {first[twin]}"
            )
        first.setdefault(twin, place.rpartition(": ")[2])


def _check_connections(places: list[str], meters: list[dict[str, Any]], notes: Notes) -> None:
    """Meters behind one host and port share a connection, which cannot have two settings."""
    first: dict[tuple[str, int], tuple[str, dict[str, Any]]] = {}
    for place, fields in zip(places, meters, strict=True):
        host = str(fields.get("host", ""))
        # A device has many names and one line.
        same = str(Path(host).resolve()) if is_device(host) else host.lower()
        address = (same, fields.get("port", PORT))
        before, settings = first.setdefault(address, (place.rpartition(": ")[2], fields))
        for name, default in _DEFAULTS.items():
            if fields.get(name, default) != settings.get(name, default):
                notes.warn(
                    f"{place}.{name}",
                    f"differs from that of {before}, which is behind the same host and port: "
                    f"they share one connection, and {before} decides",
                )
