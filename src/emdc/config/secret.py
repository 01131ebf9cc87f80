"""Secrets: a type that never prints its text, and the files that hold one."""

import os
import stat
from pathlib import Path
from typing import Final

LARGEST: Final = 65536
"""Bytes in a secret's file; more is surely another file."""


class Secret:
    """A password or token; printing and formatting show nothing of it, an empty one is false."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that sends it."""
        return self._text

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "***"


def secret_from_bytes(content: bytes) -> Secret:
    """The secret that a file holds: UTF-8 text without its last line end.

    Raises ValueError, which says what is wrong and nothing of the content.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8, expected text") from None
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        raise ValueError("empty file, expected a secret")
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("several lines or a control character, expected one line of text")
    return Secret(text)


def read_secret_file(path: Path) -> Secret:
    """The secret in `path`, at most 64 kB. Raises ValueError saying what is wrong with the file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ValueError("not a regular file, expected a file with one line")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{error.strerror or error}, expected a readable file") from error
    if len(content) > LARGEST:
        raise ValueError(f"more than {LARGEST // 1024} kB, expected a file with one line")
    return secret_from_bytes(content)


def exposure(path: Path) -> str | None:
    """Why others could read or change the file at `path`; None when only its owner and group can.

    Group may read (0640); the owner is this user or root.
    """
    try:
        status = path.stat()
    except OSError:
        return None
    if status.st_mode & 0o037:
        return f"mode {stat.S_IMODE(status.st_mode):04o}, expected 0640 or stricter: chmod 0640"
    if status.st_uid not in {0, os.geteuid()}:
        return f"owned by user {status.st_uid}, expected this user or root"
    return None
