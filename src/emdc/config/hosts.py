"""Host names and addresses of meters: which are one clear machine. Pure: nothing is resolved.

The path of a serial device stands in the place of a host.
"""

import ipaddress
import re
from typing import Final

from emdc.place import is_device

PORT: Final = 502
"""Where meters listen, unless a setting says otherwise."""

_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")
_PORT: Final = re.compile(r"[0-9]{1,5}")


def split_host(text: str) -> tuple[str, int | None]:
    """Host and port of `host`, `host:port`, `[v6]:port`, a bare IPv6 address or a device's path.

    Raises ValueError for a port outside 1-65535 and for what no host can be.
    """
    if is_device(text):
        return _check_device(text), None
    _refuse_spelling(text)
    host, port = text, ""
    if text.startswith("["):
        host, closing, port = text[1:].partition("]")
        if not closing or (port and not port.startswith(":")):
            raise ValueError(f"{text!r}, expected [address]:port")
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    if not port and text.endswith(":") and text != host:
        raise ValueError(f"{text!r}, expected a port after the colon")
    if port and (not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r}, expected a port of 1-65535 after the host")
    return check_host(host), int(port) if port else None


def _check_device(path: str) -> str:
    if path.endswith("/") or not path.isprintable():
        raise ValueError(f"{path!r}, expected a serial device such as /dev/ttyUSB0")
    return path


def check_host(host: str) -> str:
    """`host` in lower case, an international name in its ASCII form.

    Raises ValueError, with a hint, for spellings that are no host name, that several programs read
    differently, or that name no single machine. RFC 1123 section 2.1; RFC 5735.
    """
    _refuse_spelling(host)
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _check_name(host)
    return _check_address(host, address)


def check_bind_host(host: str) -> str:
    """`host` as an address to listen on: any address, 0.0.0.0 and :: too, or a host name.

    Raises ValueError for anything else, such as host:port.
    """
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        if ":" in host:
            raise ValueError(f"{host!r}, expected an address alone; set the port apart") from None
        return check_host(host)


def is_loopback(host: str) -> bool:
    """Only programs of this machine reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_spelling(host: str) -> None:
    hints = {
        "://": "the host alone, without the protocol",
        "/": "the host alone, without a path",
        "@": "the host alone, without a user",
        "_": "a host name of letters, digits and hyphens; give the address instead",
    }
    if not host:
        raise ValueError("empty, expected a host name or an address")
    for mark, hint in hints.items():
        if mark in host:
            raise ValueError(f"{host!r}, expected {hint}")
    if any(character.isspace() or not character.isprintable() for character in host):
        raise ValueError(f"{host!r}, expected a host name without spaces")


def _check_name(host: str) -> str:
    if ":" in host:
        raise ValueError(f"{host!r}, expected an IPv6 address such as fd00::5")
    labels = host.removesuffix(".").split(".")
    if _NUMBER.fullmatch(labels[-1]):
        raise ValueError(f"{host!r}: ambiguous address, expected four numbers such as 192.168.1.5")
    try:
        name = host.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise ValueError(f"{_short(host)}, expected a host name with parts of 1-63") from None
    parts = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(part) for part in parts):
        raise ValueError(f"{_short(host)}, expected a host name, at most 253 long")
    return name


def _check_address(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        raise ValueError(f"{host!r}: ambiguous address, expected {address.ipv4_mapped}")
    if address.is_multicast or address.is_unspecified or _reserved(address):
        raise ValueError(f"{host!r}, expected the address of one machine")
    if not address.is_link_local:
        return str(address)
    if isinstance(address, ipaddress.IPv4Address):
        raise ValueError(f"{host!r}: link-local address, expected one that a network assigned")
    if not address.scope_id:
        raise ValueError(f"{host!r}: link-local address, expected its interface too: {host}%eth0")
    return str(address)


def _reserved(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    # 0/8 is "this network" and 240/4, with the broadcast address, was never given to anyone.
    return address.version == 4 and (address.packed[0] == 0 or address.packed[0] >= 240)


def _short(host: str) -> str:
    return repr(host if len(host) <= 40 else host[:40] + "…")
