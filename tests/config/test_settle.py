"""Settings with more than one form: the database's address, secrets and their files."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from emdc.config import Settings, load
from emdc.config.secret import Secret
from emdc.errors import ConfigError


def settings(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> Settings:
    return load(flags=flags or {}, environment=environment or {}, config_file=file)


def fault(
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    file: Path | None = None,
) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(flags, environment, file)
    return str(caught.value)


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Path of emdc.toml in the working directory, so that errors name it briefly."""
    monkeypatch.chdir(tmp_path)
    return Path("emdc.toml")


def test_a_url_and_parts_in_one_place_are_refused(toml: Path) -> None:
    toml.write_text("[database]\nurl = 'sqlite:///a.db'\nhost = 'b.db'\n")
    assert fault(file=toml).startswith("emdc.toml: database.url: given together with emdc.toml")


def test_of_a_url_and_parts_the_stronger_place_counts(toml: Path) -> None:
    toml.write_text("[database]\nurl = 'sqlite:///a.db'\n")
    assert settings({"db_host": "b.db"}, file=toml).database_url() == "sqlite:///b.db"
    toml.write_text("[database]\nhost = 'a.db'\n")
    assert settings({"db_url": "sqlite:///b.db"}, file=toml).database_url() == "sqlite:///b.db"


def test_the_type_of_a_url_is_known() -> None:
    got = settings({}, {"EMDC_DB_URL": "postgresql://me@db/x"})
    assert got.database.type == "postgresql"
    assert got.database_url() == "postgresql+psycopg://me@db/x"


def test_a_url_that_cannot_be_used_is_named_without_its_password() -> None:
    text = fault({}, {"EMDC_DB_URL": "postgresql://me:hunter2@x@db/x"})
    assert text.startswith("EMDC_DB_URL: not readable, expected type://user")
    assert "hunter2" not in text


def test_a_server_is_a_host_and_not_a_url() -> None:
    text = fault({"db_type": "postgresql", "db_host": "/run/postgresql"})
    assert text.startswith("--db_host: '/run/postgresql', expected a host name or an address")


def test_one_password_is_enough(tmp_path: Path) -> None:
    text = fault({}, {"EMDC_DB_URL": "postgresql://me:a@db/x", "EMDC_DB_PASSWORD": "hunter2"})
    assert text == "EMDC_DB_URL: holds a password and so does EMDC_DB_PASSWORD, expected one"
    (tmp_path / "db_password").write_text("hunter2")
    environment = {
        "EMDC_DB_URL": "postgresql://me:a@db/x",
        "CREDENTIALS_DIRECTORY": str(tmp_path),
    }
    assert settings({}, environment).database_url() == "postgresql+psycopg://me:a@db/x"


# Secrets


def test_a_secret_comes_from_a_file_or_the_service_manager(tmp_path: Path) -> None:
    file = tmp_path / "db_password"
    file.write_text("hunter2\n")
    file.chmod(0o600)
    named = settings({"db_password_file": str(file)})
    handed = settings({}, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert named.database.password == handed.database.password == Secret("hunter2")
    assert named.warnings == handed.warnings == ()
    stronger = settings({}, {"CREDENTIALS_DIRECTORY": str(tmp_path), "EMDC_DB_PASSWORD": "x"})
    assert stronger.database.password == Secret("x")


def test_the_stronger_of_a_secret_and_its_file_counts(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from-file-from-file")
    flags, environment = {"http_token_file": str(file)}, {"EMDC_HTTP_TOKEN": "given"}
    assert settings(flags, environment).http.token == Secret("from-file-from-file")
    environment["EMDC_HTTP_TOKEN_FILE"] = str(file)
    assert "EMDC_HTTP_TOKEN_FILE: given together with EMDC_HTTP_TOKEN" in fault({}, environment)


def test_a_secret_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    text = fault({"http_token_file": str(tmp_path / "gone")})
    assert text.startswith(f"--http_token_file: {tmp_path / 'gone'}: No such file")


def test_an_exposed_file_with_a_secret_is_warned_of(toml: Path) -> None:
    toml.write_text("[http]\ntoken = '0123456789abcdef'\n")
    toml.chmod(0o644)
    (warning,) = settings(file=toml).warnings
    assert warning.startswith("emdc.toml: holds token: mode 0644, expected 0640")
    toml.chmod(0o640)
    assert settings(file=toml).warnings == ()


def test_a_password_as_a_flag_works_and_is_warned_of() -> None:
    got = settings({"db_password": "hunter2", "db_type": "postgresql", "db_host": "db"})
    assert "hunter2" in got.database_url()
    (warning,) = got.warnings
    assert warning.startswith("--db_password: every user of this machine")
    assert settings({"db_url": "postgresql://me@db/x"}).warnings == ()
    assert len(settings({"db_url": "postgresql://me:a@db/x"}).warnings) == 1


def test_a_line_end_after_a_secret_in_the_environment_is_left_out() -> None:
    got = settings({}, {"EMDC_DB_PASSWORD": "hunter2\n"})
    assert got.database.password == Secret("hunter2")
    assert got.warnings == ("EMDC_DB_PASSWORD: the line end after the secret is left out",)


def test_a_variable_that_is_not_utf_8_is_refused_without_showing_it() -> None:
    text = fault({}, {"EMDC_DB_PASSWORD": "hunter2\udcff", "EMDC_DB_NAME": "\udcff"})
    assert "EMDC_DB_PASSWORD: bytes that are not UTF-8" in text
    assert "hunter2" not in text


def test_no_secret_shows_in_the_settings_or_their_warnings() -> None:
    flags = {"db_password": "hunter2", "http_token": "hunter2-token", "db_type": "postgresql"}
    got = settings(flags)
    assert "hunter2" not in repr(got) + str(got.warnings) + got.redacted_url()


def test_the_settings_name_what_a_log_must_mask() -> None:
    environment = {"EMDC_DB_PASSWORD": "p@ss", "EMDC_HTTP_TOKEN": "0123456789abcdef"}
    assert settings({}, environment).secrets() == ("p@ss", "0123456789abcdef", "p%40ss")
    inside = settings({}, {"EMDC_DB_URL": "postgresql://me:p%40ss@db/x"})
    assert inside.secrets() == ("p@ss", "p%40ss")


def test_a_token_is_visible_ascii_and_long() -> None:
    assert "expected neither in a token" in fault({}, {"EMDC_HTTP_TOKEN": "a b"})
    assert "short token" in settings({}, {"EMDC_HTTP_TOKEN": "abc"}).warnings[0]


def test_authority_and_spool_can_be_given_in_each_way_and_beside_a_url(toml: Path) -> None:
    values = {"tls_ca": Path("/etc/ca.pem"), "spool": Path("wait.db"), "spool_mb": 5}
    flags = {f"db_{name}": str(value) for name, value in values.items()}
    toml.write_text('[database]\ntls_ca = "/etc/ca.pem"\nspool = "wait.db"\nspool_mb = 5\n')
    for got in (
        settings(flags | {"db_url": "postgresql://me@db/x"}),
        settings({}, {f"EMDC_{flag.upper()}": value for flag, value in flags.items()}),
        settings(file=toml),
    ):
        assert {name: getattr(got.database, name) for name in values} == values
        assert got.warnings == ()
