"""Settings as a start gets them: order of the sources, faults with their places, secrets."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from emdc.config import (
    Http,
    MeterSettings,
    Settings,
    check_bind,
    check_meters,
    load,
)
from emdc.config.database import Database
from emdc.config.secret import Secret
from emdc.config.table import SETTINGS
from emdc.errors import ConfigError

PANEL = {
    "panel_host": "192.168.1.10",
    "panel_topic_prefix": "UW/Mercer/nexus_meter",
    "panel_metrics_workbook": "nexus-metrics.xlsx",
}
METER = 'name = "UW/a"\nhost = "10.0.0.1"\nmap = "nexus-1272"\n'


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


# The table and the structs


def test_each_setting_is_a_field_with_the_same_default() -> None:
    structs = {"database": Database(), "http": Http(), "": Settings()}
    meter = MeterSettings(name="", host="", map="")
    for setting in SETTINGS:
        table = setting.key.rpartition(".")[0]
        struct = meter if table == "meters" else structs[table]
        if setting.field.endswith("_file") or setting.field in {"name", "host", "map"}:
            continue
        assert getattr(struct, setting.field) == setting.default, setting.key


def test_each_field_is_a_setting() -> None:
    keys = {setting.key for setting in SETTINGS}
    fields = {f"database.{name}" for name in Database.__struct_fields__}
    fields |= {f"http.{name}" for name in Http.__struct_fields__}
    fields |= {f"meters.{name}" for name in MeterSettings.__struct_fields__}
    fields |= set(Settings.__struct_fields__) - {"database", "http", "meters", "warnings"}
    assert fields == {key for key in keys if not key.endswith("_file")}


def test_flags_and_variables_are_unique() -> None:
    flags = [setting.flag for setting in SETTINGS]
    names = [name for setting in SETTINGS for name in setting.names]
    assert len(set(flags)) == len(flags)
    assert len(set(names)) == len(names)


def test_defaults_equal_what_the_table_says_for_a_command_line() -> None:
    for setting in SETTINGS:
        assert setting.default is None or type(setting.default) is setting.type


# Order of the sources


def test_nothing_given_is_sqlite_in_memory_and_no_meter() -> None:
    nothing = settings()
    assert nothing.database_url() == "sqlite://"
    assert nothing.database.in_memory
    assert nothing.http == Http(host="127.0.0.1", port=8080)
    assert (nothing.meters, nothing.warnings) == ((), ())


def test_another_server_may_have_another_default_file() -> None:
    made = load(flags={}, environment={}, default_db_host="sqlite.db")
    assert made.database_url() == "sqlite:///sqlite.db"
    server = load(
        flags={}, environment={"UWSOLAR_DB_TYPE": "mysql+pymysql"}, default_db_host="sqlite.db"
    )
    assert server.database_url() == "mysql+pymysql://uwsolar@localhost/uwsolar"


def test_flag_wins_over_environment_over_file_over_default(toml: Path) -> None:
    toml.write_text("[database]\npool_size = 4\nname = 'f'\nuser = 'f'\n[http]\nport = 4\n")
    environment = {"EMDC_DB_POOL_SIZE": "5", "EMDC_DB_NAME": "e"}
    got = settings({"db_pool_size": 6}, environment, toml)
    assert got.database.pool_size == 6
    assert (got.database.name, got.database.user) == ("e", "f")
    assert (got.http.port, got.http.host) == (4, "127.0.0.1")


def test_a_flag_that_contradicts_a_variable_is_noted_once() -> None:
    got = settings({"db_pool_size": 6}, {"UWSOLAR_DB_POOL_SIZE": "5"})
    assert got.warnings == ("UWSOLAR_DB_POOL_SIZE: --db_pool_size says otherwise and is used",)
    assert settings({"db_pool_size": 5}, {"UWSOLAR_DB_POOL_SIZE": "5"}).warnings == ()


def test_a_new_name_wins_over_an_old_one() -> None:
    got = settings({}, {"UWSOLAR_DB_NAME": "old", "EMDC_DB_NAME": "new"})
    assert got.database.name == "new"
    assert got.warnings == ("UWSOLAR_DB_NAME: differs from EMDC_DB_NAME, which is used",)


def test_http_port_answers_to_both_of_its_names() -> None:
    assert settings({}, {"EMDC_HTTP_PORT": "81"}).http.port == 81
    assert settings({}, {"EMDC_PORT": "81"}).http.port == 81


@pytest.mark.parametrize("empty", ["", " ", "\n"])
def test_an_empty_variable_was_not_given(empty: str) -> None:
    got = settings({}, {"EMDC_DB_POOL_SIZE": empty, "EMDC_CONFIG": empty, "EMDC_LOG_LEVEL": empty})
    assert got == Settings()


def test_flags_may_be_typed_or_text_and_none_was_not_given() -> None:
    assert settings({"port": "81", "db_name": None}).http.port == 81
    assert settings({"port": 81}).http.port == 81


def test_emdc_config_names_the_file_and_a_flag_wins(toml: Path) -> None:
    toml.write_text("[http]\nport = 1\n")
    Path("other.toml").write_text("[http]\nport = 2\n")
    assert settings({}, {"EMDC_CONFIG": "emdc.toml"}).http.port == 1
    assert settings({}, {"EMDC_CONFIG": "emdc.toml"}, Path("other.toml")).http.port == 2


def test_debug_logs_everything_unless_a_level_is_given() -> None:
    assert settings({"debug": True}).log_level == "DEBUG"
    assert settings({"debug": True, "log_level": "info"}).log_level == "INFO"


# The meters


def test_the_old_flags_describe_one_meter() -> None:
    flags = PANEL | {"panel_modbus_retries": 5, "panel_modbus_retry_wait_time": 2}
    assert settings(flags).meters == (
        MeterSettings(
            name="UW/Mercer/nexus_meter",
            host="192.168.1.10",
            map="nexus-metrics.xlsx",
            retries=5,
            retry_wait=2.0,
        ),
    )


def test_the_old_environment_describes_one_meter_and_a_database() -> None:
    environment = {f"UWSOLAR_{name.upper()}": value for name, value in PANEL.items()} | {
        "UWSOLAR_DB_TYPE": "mysql+mysqlconnector",
        "UWSOLAR_DB_USER": "solar",
        "UWSOLAR_DB_PASSWORD": "hunter2",
        "UWSOLAR_DB_HOST": "db",
        "UWSOLAR_DB_NAME": "uw",
        "UWSOLAR_DB_POOL_SIZE": "4",
        "UWSOLAR_PANEL_METRICS_WORKSHEET_NAME": "Metrics",
        "UWSOLAR_PANEL_MODBUS_RETRIES": "3",
        "UWSOLAR_PANEL_MODBUS_RETRY_WAIT_TIME": "1",
    }
    got = settings({}, environment)
    assert got.database_url() == "mysql+mysqlconnector://solar:hunter2@db/uw"
    assert got.redacted_url() == "mysql+mysqlconnector://solar:***@db/uw"
    assert got.meters == settings(PANEL).meters
    assert got.warnings == ()


def test_every_setting_of_a_meter_can_be_given_in_each_way(toml: Path) -> None:
    values = {"interval": 0.5, "unit": 3, "ct_ratio": 120.0, "max_gap": 8, "connect_delay": 0.2}
    toml.write_text("[[meters]]\n" + METER + "".join(f"{k} = {v}\n" for k, v in values.items()))
    from_file = settings(file=toml).meters[0]
    flags = PANEL | {f"panel_{name}": value for name, value in values.items()}
    names = {f"EMDC_{name.upper()}": str(value) for name, value in flags.items()}
    from_flags, from_environment = settings(flags).meters[0], settings({}, names).meters[0]
    for name, value in values.items():
        assert {getattr(m, name) for m in (from_file, from_flags, from_environment)} == {value}


def test_a_zone_that_is_none_is_refused_where_it_was_given(toml: Path) -> None:
    toml.write_text("[[meters]]\n" + METER + 'timezone = "Los Angeles"\n')
    said = "'Los Angeles', expected a time zone of the IANA list, did you mean America/Los_Angeles"
    assert fault(file=toml) == f"emdc.toml: meters[1].timezone: {said}"
    assert fault(PANEL | {"panel_timezone": "Los Angeles"}) == f"--panel_timezone: {said}"


def test_a_host_may_carry_its_port(toml: Path) -> None:
    assert settings(PANEL | {"panel_host": "[fd00::5]:1502"}).meters[0].port == 1502
    toml.write_text("[[meters]]\n" + METER.replace("10.0.0.1", "10.0.0.1:503") + "port = 503\n")
    assert (settings(file=toml).meters[0].host, settings(file=toml).meters[0].port) == (
        "10.0.0.1",
        503,
    )


def test_two_different_ports_of_one_meter_are_refused(toml: Path) -> None:
    toml.write_text("[[meters]]\n" + METER.replace("10.0.0.1", "10.0.0.1:503") + "port = 502\n")
    assert "meters[1].host: port 503, but emdc.toml: meters[1].port says 502" in fault(file=toml)


def test_meters_may_share_a_host_and_port(toml: Path) -> None:
    second = METER.replace("UW/a", "UW/b") + "unit = 2\n"
    toml.write_text(f"[[meters]]\n{METER}[[meters]]\n{second}")
    assert [meter.unit for meter in settings(file=toml).meters] == [1, 2]


@pytest.mark.parametrize("twin", ["UW/a", "uw/A", "UW/\u00e4"])
def test_names_that_a_database_could_take_for_one_are_refused(twin: str, toml: Path) -> None:
    first = "UW/a\u0308" if "\u00e4" in twin else "UW/a"
    meters = [METER.replace("UW/a", name) for name in (first, twin)]
    toml.write_text("".join(f"[[meters]]\n{meter}" for meter in meters), encoding="utf-8")
    assert "emdc.toml: meters[2].name" in (text := fault(file=toml))
    assert "expected another name than that of meters[1]" in text


def test_meters_that_share_a_connection_are_told_whose_settings_hold(toml: Path) -> None:
    other = METER.replace("UW/a", "UW/b").replace("10.0.0.1", "10.0.0.2")
    shared = METER.replace("UW/a", "UW/c") + "unit = 2\nrequest_delay = 0.5\n"
    toml.write_text("\n".join(f"[[meters]]\n{meter}" for meter in (METER, other, shared)))
    assert settings(file=toml).warnings == (
        "emdc.toml: meters[3].request_delay: differs from that of meters[1], which is behind the "
        "same host and port: they share one connection, and meters[1] decides",
    )


def test_a_serial_line_is_one_connection_however_its_device_is_spelled(toml: Path) -> None:
    device, link = toml.absolute().with_name("ttyUSB0"), toml.absolute().with_name("by-id")
    device.touch()
    link.symlink_to(device)
    meters = [
        f'name = "UW/{unit}"\nhost = "{path}"\nmap = "nexus-1272"\nunit = {unit}\nbaudrate = {rate}'
        for unit, path, rate in ((1, link, 9600), (2, device, 19200))
    ]
    toml.write_text("\n".join(f"[[meters]]\n{meter}" for meter in meters))
    (warning,) = settings(file=toml).warnings
    assert warning.startswith("emdc.toml: meters[2].baudrate: differs from that of meters[1]")


def test_a_setting_of_a_connection_that_is_the_default_differs_from_none_that_is_absent(
    toml: Path,
) -> None:
    other = METER.replace("UW/a", "UW/b") + 'unit = 2\npipeline = 1\ntransport = "tcp"\n'
    for meters in ((METER, other), (other, METER)):
        toml.write_text("".join(f"[[meters]]\n{meter}" for meter in meters), encoding="utf-8")
        assert settings(file=toml).warnings == ()


def test_flags_of_a_meter_do_not_go_with_meters_of_the_file(toml: Path) -> None:
    toml.write_text("[[meters]]\n" + METER)
    text = fault(PANEL, file=toml)
    assert text.startswith("--panel_topic_prefix: describes the one meter of flags")
    assert "and so does emdc.toml: meters[1]" in text


def test_one_flag_beside_meters_of_the_file_is_one_fault(toml: Path) -> None:
    toml.write_text("[[meters]]\n" + METER)
    text = fault({"panel_interval": "10"}, file=toml)
    assert text.endswith(": set interval there, or leave [[meters]] out")
    assert "\n" not in text


def test_a_meter_names_what_it_lacks(toml: Path) -> None:
    assert fault({"panel_host": "10.0.0.1"}).count("missing") == 2
    assert "--panel_metrics_workbook: missing" in fault({"panel_host": "10.0.0.1"})
    toml.write_text("[[meters]]\nname = 'x'\nhost = 'y_z'\n")
    text = fault(file=toml)
    assert "emdc.toml: meters[1].map: missing, expected the register map" in text
    assert "meters[1].host: 'y_z', expected a host name" in text
    assert text.count("missing") == 1


@pytest.mark.parametrize(("unit", "warned"), [(0, 1), (1, 0), (247, 0), (248, 1), (255, 1)])
def test_a_reserved_unit_is_warned_of(unit: int, warned: int) -> None:
    assert len(settings(PANEL | {"panel_unit": unit}).warnings) == warned
    assert "--panel_unit: 256, expected 0-255" in fault(PANEL | {"panel_unit": 256})


def test_too_many_meters_are_refused_by_number(toml: Path) -> None:
    toml.write_text("[[meters]]\n" * 10_001)
    assert fault(file=toml).endswith("10001 meters, expected at most 10000")


def test_a_start_without_a_meter_says_how_to_give_one() -> None:
    with pytest.raises(ConfigError, match=r"--panel_host.*\[\[meters\]\]"):
        check_meters(settings())
    check_meters(settings(PANEL))


# Where the server may listen


@pytest.mark.parametrize(
    "http",
    [
        Http(),
        Http(host="localhost"),
        Http(host="::1"),
        Http(host="0.0.0.0", token=Secret("x")),
        Http(host="0.0.0.0", allow_anonymous=True),
    ],
)
def test_this_machine_or_a_guarded_network_may_be_listened_to(http: Http) -> None:
    check_bind(http)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_an_open_address_without_a_token_tells_the_three_ways(host: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_bind(Http(host=host))
    for way in (host, "--http_token", "--allow_anonymous", "--host=127.0.0.1"):
        assert way in str(caught.value)
