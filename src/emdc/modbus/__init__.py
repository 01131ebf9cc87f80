"""Modbus TCP, reading only: requests and answers, framing, the client's link, a server.

Standard library and `emdc.errors` only, so that it could be a distribution of its own.
"""

from emdc.modbus.link import Link, LinkSettings
from emdc.modbus.links import Links
from emdc.modbus.pdu import Request, read_request

__all__ = ["Link", "LinkSettings", "Links", "Request", "read_request"]
