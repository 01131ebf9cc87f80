from pathlib import Path

import pytest

from emdc.errors import RegisterMapError
from emdc.meters import library
from tests.meters import sheets

OWN = sheets.data(sheets.VOLTAGE)


@pytest.fixture(name="maps_dir")
def _maps_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "maps"
    folder.mkdir()
    sheets.written(folder, "roof.xlsx", OWN)
    sheets.written(folder, "~$roof.xlsx", b"the lock file of a spreadsheet program")
    return folder


def refusal(name: str, maps_dir: Path | None = None) -> str:
    with pytest.raises(RegisterMapError) as caught:
        library.find(name, maps_dir=maps_dir)
    return str(caught.value)


def test_a_path_is_a_map(maps_dir: Path) -> None:
    assert library.find(str(maps_dir / "roof.xlsx")).name == "roof"


def test_a_path_may_start_with_the_home_folder(
    maps_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(maps_dir))
    assert library.find("~/roof.xlsx").name == "roof"


@pytest.mark.parametrize("name", ["roof", "roof.xlsx"])
def test_a_name_is_looked_up_in_the_users_folder(maps_dir: Path, name: str) -> None:
    assert len(library.find(name, maps_dir=maps_dir).metrics) == 1


@pytest.mark.parametrize("name", ["nexus-1272", "nexus-1272.xlsx"])
def test_a_name_is_looked_up_among_the_shipped_maps(maps_dir: Path, name: str) -> None:
    assert library.find(name, maps_dir=maps_dir).name == "nexus-1272"


def test_a_users_map_hides_a_shipped_one_of_its_name(maps_dir: Path) -> None:
    own = sheets.written(maps_dir, "nexus-1272.xlsx", OWN)
    assert len(library.find("nexus-1272", maps_dir=maps_dir).metrics) == 1
    found = dict(library.names(maps_dir))
    assert list(found) == sorted(found)
    assert found["eaton-pxm-4000"] == "shipped"
    assert found["nexus-1272"] == str(own)
    assert found["roof"] == str(maps_dir / "roof.xlsx")


def test_a_folder_that_is_called_like_a_map_is_not_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nexus-1272").mkdir()
    assert library.find("nexus-1272").name == "nexus-1272"


def test_names_without_a_folder_are_the_shipped_ones(tmp_path: Path) -> None:
    shipped = library.names()
    assert {"eaton-pxm-4000", "nexus-1272", "eastron-sdm630"} <= {name for name, _ in shipped}
    assert {origin for _, origin in shipped} == {"shipped"}
    assert library.names(tmp_path / "none") == shipped


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("nexus-metrics.xlsx", "nexus-1272"),
        ("/opt/collector/eaton-metrics.xlsx", "eaton-pxm-4000"),
        ("../nexus-metrics.xlsx", "nexus-1272"),
    ],
)
def test_an_old_file_name_that_does_not_exist_means_the_shipped_map(old: str, new: str) -> None:
    found = library.find(old)
    assert found.name == new
    assert found.warnings == (
        f"no file {old}: the shipped map {new} is used; name it {new} in the setting",
    )


def test_an_old_file_name_that_exists_means_that_file(maps_dir: Path) -> None:
    own = sheets.written(maps_dir, "nexus-metrics.xlsx", OWN)
    assert len(library.find(str(own)).metrics) == 1
    found = library.find("nexus-metrics.xlsx", maps_dir=maps_dir)
    assert (len(found.metrics), found.warnings) == (1, ())


def test_an_unknown_name_is_told_the_nearest_and_where_all_are(maps_dir: Path) -> None:
    text = refusal("nexus1272", maps_dir)
    known = len(library.names(maps_dir))
    assert text == (
        f"nexus1272: did you mean nexus-1272? no such file, no such map in {maps_dir}; "
        f"emdc map list shows all {known}"
    )


@pytest.mark.parametrize("path", ["maps/nexus1272", "maps/roof.xlsx", "roof.xlsx"])
def test_a_path_is_only_told_that_there_is_no_such_file(path: str) -> None:
    assert refusal(path) == f"{path}: no such file"


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("sdm630", "eastron-sdm630"),
        ("SDM72D", "eastron-sdm72d-m-v2"),
        ("em24", "carlo-gavazzi-em24-rs485"),
        ("PAC2200.xlsx", "siemens-pac2200"),
        ("iem3155", "schneider-iem3155"),
        ("Shark100", "eig-shark-100"),
        ("ION6200", "ion-6200"),
        ("umg96rm", "janitza-umg96rm-e"),
        ("DTSU666", "chint-dtsu666"),
    ],
)
def test_the_type_of_a_meter_leads_to_its_map(wanted: str, meant: str) -> None:
    assert refusal(wanted).startswith(f"{wanted}: did you mean {meant}?")


@pytest.mark.parametrize("name", ["./nexus-1272", "maps/roof", "x" * 5000, "a\0b", "~nobody/x", ""])
def test_what_is_neither_file_nor_name_is_refused(name: str, maps_dir: Path) -> None:
    assert "no such file" in refusal(name, maps_dir)


def test_a_folder_given_as_a_path_is_no_file(maps_dir: Path) -> None:
    assert "not a regular readable file" in refusal(str(maps_dir))


def test_another_worksheet_can_be_named(tmp_path: Path) -> None:
    path = sheets.written(tmp_path, "a.xlsx", sheets.data(sheets.VOLTAGE, title="Roof"))
    assert len(library.find(str(path), worksheet="Roof").metrics) == 1


def test_the_users_folder_lies_in_the_configuration_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/srv/config")
    assert library.default_maps_dir() == Path("/srv/config/emdc/maps")
