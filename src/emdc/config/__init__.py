"""The configuration: emdc.toml, environment and flags become frozen structs, or one ConfigError.

A flag wins over the environment, the environment over the file, the file over the default; each key
for itself. `table` lists the settings, `sources` reads them, `values` and `hosts` check them; here
they are put together. Called by the commands and by the entry points of other servers.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from emdc.config.database import Database, url_password, url_type
from emdc.config.hosts import PORT, is_loopback
from emdc.config.meters import described_meters
from emdc.config.secret import Secret
from emdc.config.settle import settle
from emdc.config.sources import (
    FromFile,
    Given,
    Notes,
    from_environment,
    from_file,
    from_flags,
    merged,
)
from emdc.config.table import CONFIG, SETTINGS
from emdc.errors import ConfigError
from emdc.place import place


class Http(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the HTTP server listens, and whom it answers."""

    host: str = "127.0.0.1"
    port: int = 8080
    """0 takes a free one."""
    token: Secret | None = None
    allow_anonymous: bool = False


class MeterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One meter: how it is reached, what is read and how often. Times are seconds."""

    name: str
    """Starts the meter's topics; unique."""
    host: str
    """Without the port; or the path of a serial device."""
    map: str
    """Path of a workbook, or the name of a map."""
    port: int = PORT
    unit: int = 1
    worksheet: str = "Metrics"
    interval: float | None = None
    """None: the meter is read only when asked."""
    timeout: float = 3.0
    connect_timeout: float = 3.0
    retries: int = 3
    retry_wait: float = 1.0
    ct_ratio: float | Literal["meter"] = 1.0
    pt_ratio: float | Literal["meter"] = 1.0
    invert: str | None = None
    """Metric names with commas between them, or the word for all powers."""
    timezone: str | None = None
    """IANA name; None: that of the machine."""
    max_power: float | None = None
    """Kilowatts."""
    unverified: bool = False
    max_registers: int | None = None
    """None: what the map says; so is `max_gap`."""
    max_gap: int | None = None
    connect_delay: float = 0.0
    request_delay: float = 0.0
    backoff_max: float | None = None
    """None: twice the interval, at least 1 and at most 30; 30 without a schedule."""
    pipeline: int = 1
    ignore_transaction_id: bool = False
    identity: str | None = None
    transport: str = "tcp"
    """Over a network; a serial device always speaks RTU."""
    baudrate: int = 19200
    parity: Literal["even", "odd", "none"] = "even"
    stop_bits: int = 1

    @property
    def place(self) -> str:
        """Where the meter is reached, for people."""
        return place(self.host, self.port)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything that a start needs to know. Its repr shows no secret."""

    database: Database = msgspec.field(default_factory=Database)
    http: Http = msgspec.field(default_factory=Http)
    meters: tuple[MeterSettings, ...] = ()
    maps_dir: Path | None = None
    log_level: str = "WARNING"
    log_format: str = "auto"
    debug: bool = False
    warnings: tuple[str, ...] = ()
    """What was strange but usable, each with its place; to be logged once."""

    def database_url(self) -> str:
        """The database's address for SQLAlchemy; it holds the password."""
        return self.database.address()

    def redacted_url(self) -> str:
        """The database's address as it may be shown."""
        return self.database.redacted()

    def secrets(self) -> tuple[str, ...]:
        """Every text that no log line may show, as given and as it stands in a URL."""
        url = self.database.url.reveal() if self.database.url else ""
        known = [self.database.password, self.http.token, Secret(url_password(url))]
        texts = [secret.reveal() for secret in known if secret]
        return tuple(dict.fromkeys([*texts, *(quote(text, safe="") for text in texts)]))


def load(
    *,
    flags: Mapping[str, object],
    environment: Mapping[str, str],
    config_file: Path | None = None,
    default_db_host: str = ":memory:",
) -> Settings:
    """The settings that `flags` (by name with underscores, None: not given), `environment` and the
    file say; without `config_file` the file is the one that EMDC_CONFIG names, or none.

    `default_db_host` is the SQLite file when nothing names a database. Whether there is any meter
    and whether the server may listen where it is told are asked by `check_meters` and `check_bind`.
    Raises ConfigError with every fault, each naming its source, key, value and what was expected.
    """
    notes = Notes()
    named = environment.get(CONFIG.names[0], "").strip()
    path = config_file or (Path(named) if named else None)
    file = from_file(path, notes) if path else FromFile()
    spoken = merged([from_flags(flags, notes), from_environment(environment, notes)], notes)
    given = merged([spoken, file.values], notes)
    credentials = environment.get("CREDENTIALS_DIRECTORY", "")
    settle(given, Path(credentials) if credentials else None, notes)
    meters = described_meters(given, file, notes)
    notes.end()
    return Settings(
        database=_database(given, default_db_host),
        http=Http(**_fields("http", given)),
        meters=tuple(MeterSettings(**fields) for fields in meters),
        warnings=tuple(notes.warnings),
        **_plain(given),
    )


def check_bind(http: Http) -> None:
    """Raise ConfigError when the network could reach the server without a token."""
    if is_loopback(http.host) or http.token or http.allow_anonymous:
        return
    raise ConfigError(
        f"http.host: {http.host!r} is open to the network and nothing guards it, expected one of: "
        "a token (--http_token, EMDC_HTTP_TOKEN or token_file), --allow_anonymous to let everyone "
        "in, or --host=127.0.0.1 for this machine alone"
    )


def check_meters(settings: Settings) -> None:
    """Raise ConfigError when there is no meter to read."""
    if not settings.meters:
        raise ConfigError(
            "no meter is configured, expected --panel_host, --panel_topic_prefix and "
            "--panel_metrics_workbook, or [[meters]] in the file that --config or EMDC_CONFIG names"
        )


def _fields(table: str, given: Mapping[str, Given]) -> dict[str, Any]:
    rows = [s for s in SETTINGS if s.key == f"{table}.{s.field}"]
    return {s.field: given[s.key].value for s in rows if s.key in given}


def _plain(given: Mapping[str, Given]) -> dict[str, Any]:
    plain: dict[str, Any] = {key: one.value for key, one in given.items() if "." not in key}
    if plain.get("debug"):
        plain.setdefault("log_level", "DEBUG")
    return plain


def _database(given: Mapping[str, Given], default_db_host: str) -> Database:
    fields = _fields("database", given)
    if "url" in fields:
        fields["type"] = url_type(fields["url"].reveal())
    sqlite = fields.get("type", "sqlite") == "sqlite"
    fields.setdefault("host", default_db_host if sqlite else "localhost")
    return Database(**fields)
