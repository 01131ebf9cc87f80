"""The database's settings and its address for SQLAlchemy, with and without the password.

The address is built here, not by SQLAlchemy, so that a configuration can be checked without it.
"""

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from emdc.config.secret import Secret
from emdc.config.table import DATABASE_TYPES
from emdc.place import place

_URL: Final = re.compile(
    r"(?P<type>[a-z0-9+]+)://"
    r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^:@/?#]*))?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?P<name>[^?#@]*))?(?:\?(?P<query>[^#@]*))?"
)
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HIDDEN: Final = re.compile(r"[?&][^=&]*(pass|pwd|secret|token)[^=&]*=", re.IGNORECASE)
_SERVER: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
# "postgresql" alone means a different driver in different versions of SQLAlchemy.
_DRIVERS: Final = {"postgresql": "postgresql+psycopg"}
_HINT: Final = "expected type://user:password@host:port/name, with @ : / ? # % in them as %40 %3A …"


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where readings are stored: `url`, or the parts that make one."""

    url: Secret | None = None
    type: str = "sqlite"
    user: str = "uwsolar"
    password: Secret | None = None
    host: str = ":memory:"
    """The server; with sqlite the file."""
    port: int | None = None
    name: str = "uwsolar"
    pool_size: int = 3
    tls_ca: Path | None = None
    """With it the server's certificate and name are verified."""
    spool: Path | None = None
    """None: a file in the state folder."""
    spool_mb: int = 1024

    @property
    def in_memory(self) -> bool:
        """What is stored ends with the process."""
        return self.address() in {"sqlite://", "sqlite:///", "sqlite:///:memory:"}

    def address(self) -> str:
        """The URL for SQLAlchemy, everything percent-encoded. It holds the password."""
        return self._address(self.password)

    def redacted(self) -> str:
        """The URL as it may be shown."""
        return redact(self._address(self.password and Secret("***")))

    def _address(self, password: Secret | None) -> str:
        if self.url:
            return _with_password(self.url.reveal(), password)
        if self.type == "sqlite":
            return "sqlite://" if self.host == ":memory:" else f"sqlite:///{quote(self.host)}"
        where = place(self.host, self.port)
        user = quote(self.user, safe="") + _encoded(password)
        return f"{_driver(self.type)}://{user}@{where}/{quote(self.name, safe='')}"


def check_server_host(host: str) -> None:
    """Raise ValueError when `host` is no host name or address of a database server."""
    if "@" in host:
        # Not shown: a password may stand before it.
        raise ValueError("a user before the host, expected a host name or an address alone")
    if not _SERVER.fullmatch(host):
        raise ValueError(f"{host!r}, expected a host name or an address; a socket goes into db_url")


def check_url(url: str) -> None:
    """Raise ValueError, without showing the URL, when it is no address of a known database."""
    kind, separator, _rest = url.partition("://")
    if not separator or not re.fullmatch(r"[a-z0-9+]+", kind):
        raise ValueError(f"no type of database in it, {_HINT}")
    if _HIDDEN.search(url):
        raise ValueError(f"a password behind the question mark, {_HINT}")
    known = [*DATABASE_TYPES, *_DRIVERS.values()]
    if kind not in known:
        raise ValueError(f"{kind!r} is no known type, expected one of {', '.join(known)}")
    if kind == "sqlite":
        if not url.startswith("sqlite:///") and url != "sqlite://":
            raise ValueError(
                "no file in it, expected sqlite:///file.db or sqlite:////folder/file.db"
            )
        return
    found = _URL.fullmatch(url)
    if found is None or _ESCAPE.search(url):
        raise ValueError(f"not readable, {_HINT}")
    if not found["name"] or not found["host"]:
        raise ValueError(f"no {'name of a database' if found['host'] else 'host'} in it, {_HINT}")


def url_type(url: str) -> str:
    """The kind of database that a URL names, one of DATABASE_TYPES."""
    kind = url.partition("://")[0]
    return next((name for name, driver in _DRIVERS.items() if driver == kind), kind)


def url_password(url: str) -> str:
    """The password inside a URL, decoded; empty without one."""
    found = _URL.fullmatch(url)
    return unquote(found["password"] or "") if found else ""


def redact(url: str) -> str:
    """`url` with *** for its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


def _with_password(url: str, password: Secret | None) -> str:
    kind, _, rest = url.partition("://")
    if password and (found := _URL.fullmatch(url)) and found["user"] and not found["password"]:
        rest = rest.replace("@", f"{_encoded(password)}@", 1)
    return f"{_driver(kind)}://{rest}"


def _encoded(password: Secret | None) -> str:
    return f":{quote(password.reveal(), safe='')}" if password else ""


def _driver(kind: str) -> str:
    return _DRIVERS.get(kind, kind)
