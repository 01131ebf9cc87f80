"""Where a meter or a server is, as one text: a host with its port, or a serial device. Pure."""


def is_device(host: str) -> bool:
    """Whether it is the path of a serial device, which stands in the place of a host."""
    return host.startswith("/")


def place(host: str, port: int | None) -> str:
    """Host and port as a setting takes them, an IPv6 address in brackets; a device has no port."""
    if is_device(host):
        return host
    named = f"[{host}]" if ":" in host else host
    return f"{named}:{port}" if port else named
