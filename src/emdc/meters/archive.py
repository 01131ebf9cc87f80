"""The guard before a workbook is opened: its bytes, and what kind of file they are.

An xlsx is a zip of XML files. Everything that can hurt a reader (a device, a bomb, a lying name, an
entity) is refused here, so that `workbook` may hand the bytes to a general library.
"""

import io
import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from defusedxml import DTDForbidden
from defusedxml.ElementTree import ParseError, iterparse

from emdc.errors import RegisterMapError

MAX_FILE: Final = 5_000_000
MAX_UNPACKED: Final = 50_000_000
MAX_ENTRIES: Final = 100
MAX_RATIO: Final = 200
_RATIO_FROM: Final = 1_000_000  # a small file of zeros packs well and harms nobody

_OLE: Final = bytes.fromhex("D0CF11E0A1B11AE1")
_ENCRYPTED_STREAM: Final = "EncryptedPackage".encode("utf-16-le")  # MS-OFFCRYPTO, section 1.3.1
_STRICT: Final = "{http://purl.oclc.org/ooxml/"
_SAVE: Final = "open it in a spreadsheet program and save it as .xlsx"


def read(path: Path) -> bytes:
    """The bytes of a regular file of at most MAX_FILE bytes, read once; a pipe never blocks it.

    Raises RegisterMapError when it is something else, too large, empty, or cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _refused(path, "no such file") from error
    except (OSError, ValueError) as error:
        raise _refused(path, f"not a readable file: {_reason(error)}") from error
    try:
        data = _content(descriptor, path)
    except OSError as error:
        raise _refused(path, f"not a readable file: {_reason(error)}") from error
    finally:
        os.close(descriptor)
    if not data:
        raise _refused(path, "empty file, expected an .xlsx workbook")
    if len(data) > MAX_FILE:
        raise _refused(path, f"larger than {MAX_FILE // 1_000_000} MB, too large for a map")
    return data


def _content(descriptor: int, path: Path) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise _refused(path, "not a regular readable file")
    with open(descriptor, "rb", closefd=False) as file:
        return file.read(MAX_FILE + 1)


def check(data: bytes, book: str) -> list[str]:
    """Names of the files inside a workbook that is safe to open.

    Raises RegisterMapError with the kind of file when it is no xlsx, and with the reason when it is
    damaged, encrypted, too large, or holds names or XML that no spreadsheet program writes.
    """
    _check_kind(data, book)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_entries(archive.infolist(), book)
            names = archive.namelist()
            _check_content(archive, names, book)
            damaged = archive.testzip()
            if damaged is None:
                _check_xml(archive, names, book)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise _refused(book, f"damaged ({error}): {_SAVE}, or fetch it again") from error
    except (NotImplementedError, RuntimeError) as error:
        raise _refused(book, f"packed in a way that no spreadsheet does: {error}") from error
    if damaged is not None:
        raise _refused(book, f"damaged: {damaged} has a wrong checksum; fetch the file again")
    return names


def _check_kind(data: bytes, book: str) -> None:
    if data.startswith(_OLE):
        if _ENCRYPTED_STREAM in data:
            raise _refused(book, "encrypted with a password: save it without one")
        raise _refused(book, f"an old .xls workbook: {_SAVE}")
    if data.startswith(b"PK"):
        return
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<table", b"<?xml")):
        raise _refused(book, f"not a zip/xlsx but a web page or XML file: {_SAVE}")
    raise _refused(book, f"not a zip/xlsx; if it is a text file such as CSV, {_SAVE}")


def _check_entries(entries: list[zipfile.ZipInfo], book: str) -> None:
    if len(entries) > MAX_ENTRIES:
        raise _refused(book, f"{len(entries)} files inside, expected at most {MAX_ENTRIES}")
    seen: set[str] = set()
    for entry in entries:
        _check_entry(entry, book)
        if entry.filename.casefold() in seen:
            raise _refused(book, f"{entry.filename!r} is inside twice")
        seen.add(entry.filename.casefold())
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > MAX_UNPACKED:
        raise _refused(
            book,
            f"too large unpacked: {unpacked // 1_000_000} MB, expected at most "
            f"{MAX_UNPACKED // 1_000_000}; delete what is not the map",
        )


def _check_entry(entry: zipfile.ZipInfo, book: str) -> None:
    name = entry.filename
    path = PurePosixPath(name)
    if ".." in path.parts or path.is_absolute() or "\\" in name or ":" in name:
        raise _refused(book, f"file name {name!r} inside leads out of the workbook")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise _refused(book, f"{name!r} inside is a link")
    if entry.flag_bits & 1:
        raise _refused(book, "encrypted with a password: save it without one")
    if entry.file_size > max(_RATIO_FROM, MAX_RATIO * entry.compress_size):
        raise _refused(book, f"too large unpacked: {name!r} grows more than {MAX_RATIO} times")


def _check_content(archive: zipfile.ZipFile, names: list[str], book: str) -> None:
    kind = _other_kind(archive, names)
    if kind:
        raise _refused(book, f"{kind}: {_SAVE}")
    if "[Content_Types].xml" not in names:
        raise _refused(book, "a zip file, but no workbook inside, expected .xlsx")


def _other_kind(archive: zipfile.ZipFile, names: list[str]) -> str:
    if "mimetype" in names and b"opendocument" in archive.read("mimetype"):
        return "an OpenDocument file (.ods)"
    if "xl/workbook.bin" in names:
        return "a binary workbook (.xlsb)"
    macros = any(name.lower().endswith("vbaproject.bin") for name in names)
    if macros or ("[Content_Types].xml" in names and _macro_type(archive)):
        return "a workbook with macros (.xlsm)"
    return ""


def _macro_type(archive: zipfile.ZipFile) -> bool:
    return b"macroenabled" in archive.read("[Content_Types].xml").lower()


def _check_xml(archive: zipfile.ZipFile, names: list[str], book: str) -> None:
    for name in names:
        if not name.lower().endswith((".xml", ".rels")):
            continue
        with archive.open(name) as part:
            try:
                # A DOCTYPE can only stand before the root element, so that is as far as this reads.
                root = next(iterparse(part, events=("start",), forbid_dtd=True))[1]
            except DTDForbidden as error:
                raise _refused(book, f"XML entities not allowed: DOCTYPE in {name}") from error
            except (ParseError, StopIteration) as error:
                raise _refused(book, f"damaged: {name} is not XML ({error})") from error
        if root.tag.startswith(_STRICT):
            raise _refused(book, "a strict Open XML workbook: save it as the ordinary .xlsx kind")


def _refused(book: Path | str, problem: str) -> RegisterMapError:
    return RegisterMapError(str(book), [("", problem)])


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
