import io
import os
import struct
import zipfile
from pathlib import Path

import openpyxl
import pytest

from emdc.errors import RegisterMapError
from emdc.meters import archive, workbook
from tests.meters import sheets

GOOD = sheets.data(sheets.VOLTAGE)


def refusal(book: bytes) -> str:
    with pytest.raises(RegisterMapError) as caught:
        archive.check(book, "map.xlsx")
    return str(caught.value)


def zipped(**entries: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for name, content in entries.items():
            new.writestr(name, content)
    return file.getvalue()


def unreadable(path: Path) -> str:
    with pytest.raises(RegisterMapError) as caught:
        workbook.load(path)
    return str(caught.value)


def test_a_missing_path_is_no_such_file(tmp_path: Path) -> None:
    assert unreadable(tmp_path / "none.xlsx").endswith("none.xlsx: no such file")


def test_a_folder_is_not_a_regular_file(tmp_path: Path) -> None:
    assert "not a" in unreadable(tmp_path)
    assert "readable file" in unreadable(tmp_path)


def test_a_link_to_itself_is_not_a_readable_file(tmp_path: Path) -> None:
    (tmp_path / "loop.xlsx").symlink_to("loop.xlsx")
    assert "not a readable file: too many levels" in unreadable(tmp_path / "loop.xlsx")


def test_a_file_without_permission_is_not_a_readable_file(tmp_path: Path) -> None:
    path = sheets.written(tmp_path, "mine.xlsx", GOOD)
    path.chmod(0)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # root may read everything, nobody may not
    try:
        assert "not a readable file: permission denied" in unreadable(path)
    finally:
        os.seteuid(me)


def test_a_pipe_that_nobody_writes_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.xlsx")
    assert "not a regular readable file" in unreadable(tmp_path / "pipe.xlsx")


def test_an_endless_device_is_refused() -> None:
    assert "not a regular readable file" in unreadable(Path("/dev/zero"))


def test_an_empty_file_is_called_empty(tmp_path: Path) -> None:
    assert "empty file" in unreadable(sheets.written(tmp_path, "empty.xlsx", b""))


def test_a_file_above_five_megabytes_is_refused(tmp_path: Path) -> None:
    path = sheets.written(tmp_path, "large.xlsx", b"PK" + bytes(archive.MAX_FILE))
    assert "larger than 5 MB" in unreadable(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"Metric Name,Address\nW,1\n", "not a zip/xlsx"),
        (b"\xef\xbb\xbf<!DOCTYPE html><html>", "not a zip/xlsx but a web page"),
        (archive._OLE + bytes(600), "old .xls"),
        (archive._OLE + "EncryptedPackage".encode("utf-16-le"), "encrypted with a password"),
        (GOOD[: len(GOOD) // 2], "damaged"),
        (zipped(**{"readme.txt": b"x"}), "no workbook inside"),
        (zipped(mimetype=b"application/vnd.oasis.opendocument.spreadsheet"), ".ods"),
        (zipped(**{"[Content_Types].xml": b"<Types/>", "xl/workbook.bin": b"x"}), ".xlsb"),
        (zipped(**{"[Content_Types].xml": b"<a>macroEnabled.main</a>"}), ".xlsm"),
        (sheets.repacked(GOOD, {}, **{"xl/vbaProject.bin": b"x"}), ".xlsm"),
    ],
)
def test_a_file_of_another_kind_is_named(content: bytes, kind: str) -> None:
    assert kind in refusal(content)


def with_directory_field(offset: int, value: int, size: str) -> bytes:
    """The good workbook with one field of the metrics sheet's directory entry overwritten.

    Offsets are those of the central directory header: APPNOTE.TXT, section 4.3.12.
    """
    changed = bytearray(GOOD)
    directory = GOOD.index(b"PK\x01\x02")
    entry = GOOD.index(sheets.METRICS_PART.encode(), directory) - 46
    struct.pack_into(size, changed, entry + offset, value)
    return bytes(changed)


def test_a_wrong_checksum_is_damage() -> None:
    assert "damaged" in refusal(with_directory_field(16, 0x12345678, "<I"))


def test_an_encrypted_part_is_named() -> None:
    assert "encrypted with a password" in refusal(with_directory_field(8, 1, "<H"))


def test_a_packing_that_nobody_uses_is_refused() -> None:
    assert "packed in a way that no spreadsheet does" in refusal(with_directory_field(10, 99, "<H"))


def test_ten_thousand_files_inside_are_refused() -> None:
    many = zipped(**{f"xl/{number}.xml": b"" for number in range(10_000)})
    assert "10000 files inside, expected at most 100" in refusal(many)


@pytest.mark.parametrize("name", ["../up.xml", "/etc/passwd", "xl\\a.xml", "c:/a.xml"])
def test_a_name_that_leads_out_is_refused(name: str) -> None:
    assert "leads out of the workbook" in refusal(sheets.repacked(GOOD, {}, **{name: b"<a/>"}))


def test_the_same_name_twice_is_refused() -> None:
    double = sheets.repacked(GOOD, {}, **{"XL/Workbook.xml": b"<a/>"})
    assert "is inside twice" in refusal(double)


def test_a_link_inside_is_refused() -> None:
    file = io.BytesIO(GOOD)
    with zipfile.ZipFile(file, "a") as book:
        link = zipfile.ZipInfo("xl/link.xml")
        link.external_attr = 0o120777 << 16
        book.writestr(link, "/etc/passwd")
    assert "is a link" in refusal(file.getvalue())


def test_a_sheet_that_grows_two_hundred_times_is_refused_before_unpacking() -> None:
    bomb = sheets.repacked(GOOD, {sheets.METRICS_PART: lambda _: b" " * 40_000_000})
    assert "grows more than 200 times" in refusal(bomb)


def test_more_than_fifty_megabytes_unpacked_are_refused() -> None:
    noise = os.urandom(60_000) * 170  # 10 MB that pack to about a hundredth
    parts = {f"xl/media/{number}.bin": noise for number in range(6)}
    book = sheets.repacked(GOOD, {}, **parts)
    assert "too large unpacked" in refusal(book)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_doctype_is_refused_whatever_its_encoding(encoding: str) -> None:
    start = f'<?xml version="1.0" encoding="{encoding}"?>'
    part = f'{start}<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode(encoding)
    book = sheets.repacked(GOOD, {"docProps/app.xml": lambda _: part})
    assert "XML entities not allowed: DOCTYPE in docProps/app.xml" in refusal(book)


def test_a_part_that_is_no_xml_is_damage() -> None:
    book = sheets.repacked(GOOD, {"xl/workbook.xml": lambda _: b"{}"})
    assert "xl/workbook.xml is not XML" in refusal(book)


def test_a_strict_workbook_is_named() -> None:
    strict = b'<workbook xmlns="http://purl.oclc.org/ooxml/spreadsheetml/main"/>'
    book = sheets.repacked(GOOD, {"xl/workbook.xml": lambda _: strict})
    assert "strict Open XML" in refusal(book)


def test_the_spreadsheet_library_parses_with_the_defused_parser() -> None:
    assert openpyxl.DEFUSEDXML
