"""Modbus, reading only: requests and answers, framing, the client's links, a server.

Standard library and `emdc.errors` only, so that it could be a distribution of its own.
"""

from emdc.modbus.link import Link
from emdc.modbus.links import Links
from emdc.modbus.pdu import Request, read_request
from emdc.modbus.settings import Line, LinkSettings

__all__ = ["Line", "Link", "LinkSettings", "Links", "Request", "read_request"]
