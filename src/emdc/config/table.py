"""Every setting of the daemon, one row each: where it can be given, its default and its limits.

The loader, the command line and `docs/configuration.md` all follow this table, so a new setting is
one row here, one field of its struct and one row of that page. Pure data.
"""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal[
    "text", "whole", "number", "ratio", "switch", "secret", "path", "name", "host", "bind", "zone"
]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. Its place in the file is `key`, on the command line `--<flag>`."""

    key: str
    """Table and key of emdc.toml, such as `database.host`; `meters.…` stands for each meter."""
    flag: str
    """Name of the flag, with underscores."""
    kind: Kind
    default: str | int | float | bool | None
    help: str
    """What it means, one sentence without a full stop."""
    low: float | None = None
    high: float | None = None
    """Limits of a number, both allowed."""
    choices: tuple[str, ...] = ()
    env: str = ""
    """Preferred environment name where it is not EMDC_<FLAG>."""
    old: str = ""
    """Name that the collector before this one read from the environment."""

    @property
    def field(self) -> str:
        """The key without its table: the field of the struct that holds it."""
        return self.key.rpartition(".")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """Environment names, the preferred one first."""
        named = (self.env, f"EMDC_{self.flag.upper()}", self.old)
        return tuple(name for name in named if name)

    @property
    def type(self) -> type[str] | type[int] | type[float] | type[bool]:
        """The plain type of its value, for a command line."""
        plain: dict[str, type[int] | type[float] | type[bool]]
        plain = {"whole": int, "number": float, "ratio": float, "switch": bool}
        return plain.get(self.kind, str)


DATABASE_TYPES: Final = ("sqlite", "mysql+mysqlconnector", "mysql+pymysql", "postgresql")
LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
RTU_OVER_TCP: Final = "rtu-over-tcp"
TRANSPORTS: Final = ("tcp", RTU_OVER_TCP)
PARITIES: Final = ("even", "odd", "none")
FORMATS: Final = ("auto", "text", "json")

CONFIG: Final = Setting("", "config", "path", None, "File with these settings, in TOML")

# A row is easier to compare with its neighbours than a column of arguments.
# fmt: off
SETTINGS: Final = (
    Setting("database.url", "db_url", "secret", None,
            "Whole address of the database instead of its parts, its special characters as %XX"),
    Setting("database.type", "db_type", "text", "sqlite",
            "Kind of database", choices=DATABASE_TYPES, old="UWSOLAR_DB_TYPE"),
    Setting("database.user", "db_user", "text", "uwsolar",
            "User name at the database server", old="UWSOLAR_DB_USER"),
    Setting("database.password", "db_password", "secret", None,
            "Password at the database server; other users can see it on a command line",
            old="UWSOLAR_DB_PASSWORD"),
    Setting("database.password_file", "db_password_file", "path", None,
            "File that holds the password at the database server"),
    Setting("database.host", "db_host", "text", None,
            "Database server, localhost by default; with sqlite the file, in memory by default",
            old="UWSOLAR_DB_HOST"),
    Setting("database.port", "db_port", "whole", None,
            "Port of the database server; by default the usual one of its kind", 1, 65535),
    Setting("database.name", "db_name", "text", "uwsolar",
            "Database at the server", old="UWSOLAR_DB_NAME"),
    Setting("database.pool_size", "db_pool_size", "whole", 3,
            "Connections that are kept open to the database", 1, 100, old="UWSOLAR_DB_POOL_SIZE"),
    Setting("database.tls_ca", "db_tls_ca", "path", None,
            "File with the certificate authority that signed the database server's certificate; "
            "with it the connection must be TLS and is verified"),
    Setting("database.spool", "db_spool", "path", None,
            "File in which readings wait while the database does not take them; by default one in "
            "the state folder"),
    Setting("database.spool_mb", "db_spool_mb", "whole", 1024,
            "Megabytes of the file in which readings wait; beyond them the oldest become gaps",
            1, 1000000),
    Setting("http.host", "host", "bind", "127.0.0.1",
            "Address that the HTTP server listens on; 0.0.0.0 is every address of the machine",
            env="EMDC_HTTP_HOST"),
    Setting("http.port", "port", "whole", 8080,
            "Port that the HTTP server listens on; 0 takes a free one",
            0, 65535, env="EMDC_HTTP_PORT"),
    Setting("http.token", "http_token", "secret", None,
            "Secret that every HTTP client must send, as Bearer token or as the password of Basic"),
    Setting("http.token_file", "http_token_file", "path", None,
            "File that holds the secret of HTTP"),
    Setting("http.allow_anonymous", "allow_anonymous", "switch", False,
            "Answer clients of the network without a token", env="EMDC_HTTP_ALLOW_ANONYMOUS"),
    Setting("maps_dir", "maps_dir", "path", None,
            "Folder with your own register maps; by default one in your configuration folder"),
    Setting("log_level", "log_level", "text", "WARNING",
            "Least level that is logged", choices=LEVELS),
    Setting("log_format", "log_format", "text", "auto",
            "Form of the log; auto is text on a terminal and JSON lines elsewhere",
            choices=FORMATS),
    Setting("debug", "debug", "switch", False,
            "Log everything unless a log level is given"),
    Setting("meters.name", "panel_topic_prefix", "name", None,
            "Name of the meter, which starts its topics, such as UW/Mercer/nexus_meter",
            old="UWSOLAR_PANEL_TOPIC_PREFIX"),
    Setting("meters.host", "panel_host", "host", None,
            "Address of the meter, host or host:port, or its serial device such as /dev/ttyUSB0",
            old="UWSOLAR_PANEL_HOST"),
    Setting("meters.port", "panel_port", "whole", 502,
            "Modbus TCP port of the meter", 1, 65535),
    Setting("meters.unit", "panel_unit", "whole", 1,
            "Modbus unit of the meter; behind a gateway each meter has its own", 0, 255),
    Setting("meters.map", "panel_metrics_workbook", "text", None,
            "Register map: path of a spreadsheet, or name of a shipped or own map; sunspec: what "
            "the meter says of itself",
            old="UWSOLAR_PANEL_METRICS_WORKBOOK"),
    Setting("meters.worksheet", "panel_metrics_worksheet_name", "text", "Metrics",
            "Sheet of the register map", old="UWSOLAR_PANEL_METRICS_WORKSHEET_NAME"),
    Setting("meters.interval", "panel_interval", "number", None,
            "Seconds between readings; absent, the meter is read only when asked", 0.1, 86400),
    Setting("meters.timeout", "panel_timeout", "number", 3.0,
            "Seconds that one request may take, from its first byte to the last of its answer",
            0.05, 300),
    Setting("meters.connect_timeout", "panel_connect_timeout", "number", 3.0,
            "Seconds that opening a connection may take", 0.05, 300),
    Setting("meters.retries", "panel_modbus_retries", "whole", 3,
            "Times that a failed request is sent again",
            0, 100, old="UWSOLAR_PANEL_MODBUS_RETRIES"),
    Setting("meters.retry_wait", "panel_modbus_retry_wait_time", "number", 1.0,
            "Seconds before a failed request is sent again",
            0, 3600, old="UWSOLAR_PANEL_MODBUS_RETRY_WAIT_TIME"),
    Setting("meters.ct_ratio", "panel_ct_ratio", "ratio", 1.0,
            "Ratio of the current transformers, for maps that need it; meter reads it there",
            0.000001, 1000000),
    Setting("meters.pt_ratio", "panel_pt_ratio", "ratio", 1.0,
            "Ratio of the voltage transformers, for maps that need it; meter reads it there",
            0.000001, 1000000),
    Setting("meters.invert", "panel_invert", "text", None,
            "Metrics whose sign is turned, with commas between them; power means all powers and "
            "power factors"),
    Setting("meters.timezone", "panel_timezone", "zone", None,
            "Time zone by whose clock days and months of its energy begin, such as "
            "America/Los_Angeles; by default that of the machine"),
    Setting("meters.max_power", "panel_max_power", "number", None,
            "Most kilowatts that the meter can measure; a counter that rises faster is not "
            "believed", 0.001, 10000000),
    Setting("meters.unverified", "panel_unverified", "switch", False,
            "Read the metrics too that the map calls unverified"),
    Setting("meters.max_registers", "panel_max_registers", "whole", None,
            "Most registers that one request may ask for; by default what the map says", 1, 125),
    Setting("meters.max_gap", "panel_max_gap", "whole", None,
            "Most unmapped registers that one request may cross; by default what the map says",
            0, 124),
    Setting("meters.connect_delay", "panel_connect_delay", "number", 0.0,
            "Seconds of rest after a connection is opened", 0, 60),
    Setting("meters.request_delay", "panel_request_delay", "number", 0.0,
            "Seconds of rest between two requests", 0, 60),
    Setting("meters.backoff_max", "panel_backoff_max", "number", None,
            "Most seconds between two attempts to reach a meter that does not answer; by default "
            "twice the interval, at least 1 and at most 30, and 30 without a schedule", 0.1, 3600),
    Setting("meters.pipeline", "panel_pipeline", "whole", 1,
            "Most requests that are sent to the meter before it has answered the first of them",
            1, 16),
    Setting("meters.ignore_transaction_id", "panel_ignore_transaction_id", "switch", False,
            "Take answers under any transaction id, of a meter that does not send it back"),
    Setting("meters.identity", "panel_identity", "text", None,
            "What the metric that the map calls its identity must say, such as a serial number; "
            "what another meter says is no value"),
    Setting("meters.transport", "panel_transport", "text", "tcp",
            "What a meter that is reached by its address speaks", choices=TRANSPORTS),
    Setting("meters.baudrate", "panel_baudrate", "whole", 19200,
            "Bits a second of the serial device", 300, 4000000),
    Setting("meters.parity", "panel_parity", "text", "even",
            "Parity bit of the serial device", choices=PARITIES),
    Setting("meters.stop_bits", "panel_stop_bits", "whole", 1,
            "Stop bits of the serial device", 1, 2),
)
# fmt: on

PANEL: Final = tuple(row for row in SETTINGS if row.key.startswith("meters."))
"""Settings of one meter; their flags and environment names describe a single one."""
