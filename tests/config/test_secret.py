import os
from pathlib import Path

import pytest

from emdc.config.secret import LARGEST, Secret, exposure, read_secret_file


def test_a_secret_shows_nothing_of_itself() -> None:
    secret = Secret("hunter2")
    assert {str(secret), repr(secret), f"{secret}", f"{secret!r:>3}"} == {"***"}
    assert secret.reveal() == "hunter2"


def test_secrets_compare_by_their_text_and_an_empty_one_is_false() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


@pytest.mark.parametrize(
    "content", [b"hunter2", b"hunter2\n", b"hunter2\r\n", b"\xef\xbb\xbfhunter2\n"]
)
def test_the_line_end_of_a_secret_file_is_left_out(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    assert read_secret_file(file) == Secret("hunter2")


def test_spaces_and_letters_of_any_language_belong_to_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(" pä ß\n", encoding="utf-8")
    assert read_secret_file(file).reveal() == " pä ß"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"hunter2\nhunter3\n", "several lines"),
        (b"hun\0ter2", "control character"),
        (b"hunter\xff2", "byte 7 is not UTF-8"),
        (b"h" * (LARGEST + 1), "more than 64 kB"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_without_its_content(
    content: bytes, problem: str, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=problem) as caught:
        read_secret_file(file)
    assert "hunter" not in str(caught.value)


def test_what_is_no_regular_file_is_never_read(tmp_path: Path) -> None:
    for path in (tmp_path, Path("/dev/zero")):
        with pytest.raises(ValueError, match="not a regular file"):
            read_secret_file(path)
    with pytest.raises(ValueError, match="No such file"):
        read_secret_file(tmp_path / "missing")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o700])
def test_a_file_of_its_owner_and_group_is_not_exposed(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(mode)
    assert exposure(file) is None


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604, 0o666])
def test_a_file_that_others_read_or_the_group_writes_is_exposed(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(mode)
    assert f"mode {mode:04o}, expected 0640" in str(exposure(file))


def test_a_file_of_another_user_is_exposed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "secret"
    file.write_text("x")
    file.chmod(0o600)
    owner = file.stat().st_uid
    if owner == 0:
        os.chown(file, 65534, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert "expected this user or root" in str(exposure(file))


def test_a_link_is_judged_by_the_file_that_it_leads_to(tmp_path: Path) -> None:
    file, link = tmp_path / "secret", tmp_path / "link"
    file.write_text("hunter2\n")
    file.chmod(0o604)
    link.symlink_to(file)
    assert read_secret_file(link) == Secret("hunter2")
    assert "mode 0604" in str(exposure(link))
    file.unlink()
    with pytest.raises(ValueError, match="No such file"):
        read_secret_file(link)
