"""Settings that can be given in more than one form: a secret or its file, a URL or its parts.

Works on the merged values of all sources, after which each such setting has one form.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from emdc.config.database import check_server_host, check_url, url_password
from emdc.config.secret import Secret, exposure, read_secret_file
from emdc.config.sources import CREDENTIAL, Given, Notes

SHORT_TOKEN: Final = 16
"""Characters below which a token is called short."""

# Names under which a service manager hands over secrets: systemd.exec(5), LoadCredential.
_CREDENTIALS: Final = {"database.password": "db_password", "http.token": "http_token"}
_PARTS: Final = tuple(f"database.{part}" for part in ("type", "user", "host", "port", "name"))


def settle(given: dict[str, Given], credentials: Path | None, notes: Notes) -> None:
    """Leave one form of each secret and of the database's address in `given`.

    `credentials` is the folder with the service manager's secrets; they come last.
    """
    for key, name in _CREDENTIALS.items():
        _settle_secret(given, key, credentials / name if credentials else None, notes)
    _settle_url(given, notes)
    _check_token(given, notes)


def _settle_secret(
    given: dict[str, Given], key: str, credential: Path | None, notes: Notes
) -> None:
    file = given.pop(f"{key}_file", None)
    value = given.get(key)
    if file and value and file.rank == value.rank:
        notes.fault(file.where, f"given together with {value.where}, expected one of them")
    elif file and (value is None or file.rank < value.rank):
        _read_secret(given, key, file, notes)
    elif value is None and credential and credential.exists():
        _read_secret(given, key, Given(credential, "CREDENTIALS_DIRECTORY", CREDENTIAL), notes)


def _read_secret(given: dict[str, Given], key: str, file: Given, notes: Notes) -> None:
    path = Path(str(file.value))
    where = f"{file.where}: {path}"
    try:
        given[key] = Given(read_secret_file(path), where, file.rank)
    except ValueError as error:
        notes.fault(where, error)
    else:
        if (problem := exposure(path)) is not None:
            notes.warn(where, problem)


def _settle_url(given: dict[str, Given], notes: Notes) -> None:
    """Keep the URL or the parts, whichever has the stronger source."""
    url = given.get("database.url")
    if url is None or not url.value:
        given.pop("database.url", None)
        _check_server(given, notes)
        return
    parts = [given[key] for key in _PARTS if key in given]
    strongest = min(parts, key=lambda part: part.rank, default=None)
    if strongest and strongest.rank < url.rank:
        del given["database.url"]
        _check_server(given, notes)
        return
    if strongest and strongest.rank == url.rank:
        notes.fault(url.where, f"given together with {strongest.where}, expected one of them")
    for key in _PARTS:
        given.pop(key, None)
    _check_url(given, url, notes)


def _check_server(given: Mapping[str, Given], notes: Notes) -> None:
    kind, host = given.get("database.type"), given.get("database.host")
    if host and "://" in str(host.value):
        # Not shown: such an address may hold a password.
        notes.fault(host.where, "a whole address, expected a host or a file; give it as db_url")
    elif host and kind and kind.value != "sqlite":
        try:
            check_server_host(str(host.value))
        except ValueError as error:
            notes.fault(host.where, error)


def _check_url(given: dict[str, Given], url: Given, notes: Notes) -> None:
    assert isinstance(url.value, Secret)
    text = url.value.reveal()
    try:
        check_url(text)
    except ValueError as error:
        notes.fault(url.where, error)
    password = given.get("database.password")
    if password and url_password(text):
        if password.rank == CREDENTIAL:
            del given["database.password"]
        else:
            notes.fault(url.where, f"holds a password and so does {password.where}, expected one")


def _check_token(given: Mapping[str, Given], notes: Notes) -> None:
    token = given.get("http.token")
    if token is None or not isinstance(token.value, Secret) or not token.value:
        return
    text = token.value.reveal()
    if not (text.isascii() and text.isprintable() and " " not in text):
        notes.fault(token.where, "a space or a letter beyond ASCII, expected neither in a token")
    elif len(text) < SHORT_TOKEN:
        notes.warn(token.where, f"a short token is easily guessed, use {SHORT_TOKEN} characters")
