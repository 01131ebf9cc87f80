"""Why a value is missing, in words: what stands in tables for the reasons of `reading`. Pure."""

from collections.abc import Mapping
from typing import Final

from emdc.reading import GapReason

WORDS: Final[Mapping[GapReason, str]] = {
    "connect_refused": "nothing listened at the meter's address",
    "connect_timeout": "no connection in time",
    "connection_reset": "the connection was closed",
    "read_timeout": "no answer in time",
    "dns_failure": "the meter's name was not found",
    "meter_held": "another process had the meter",
    "protocol_error:tid": "the answer was to another request",
    "protocol_error:pid": "the answer was no Modbus",
    "protocol_error:length": "the answer had a wrong length",
    "protocol_error:unit": "another unit answered",
    "protocol_error:fc": "the answer was to another function",
    "protocol_error:count": "the answer had another number of registers",
    "protocol_error:crc": "the answer came damaged",
    "decode_error": "the answer was no value of this type",
    "not_discovered": "where the value is was not known",
    "not_available": "the meter said that it has no value",
    "out_of_range": "the value was out of its range",
    "identity_mismatch": "another meter answered",
    "overrun": "the reading before was not finished",
    "backoff_skipped": "the meter failed before and was not asked",
    "queue_full": "the database took nothing for too long",
    "spool_overflow": "the database took nothing, and the spool was full",
    "poison_row": "the database refused the reading",
    "retention": "deleted by emdc retention",
    "clock_step": "the clock was set forward",
    "clock_back": "the clock was set back",
    "daemon_stopped": "the collector was stopped",
    "daemon_killed": "the collector was killed",
    "internal_error": "a fault of the program, see its log",
}

_EXCEPTION: Final = "exception:"
# Modbus Application Protocol V1.1b3, section 7.
_EXCEPTIONS: Final[Mapping[str, str]] = {
    "1": "illegal function",
    "2": "illegal data address",
    "3": "illegal data value",
    "4": "device failure",
    "5": "it will take long",
    "6": "busy",
    "8": "memory parity error",
    "10": "the gateway has no path",
    "11": "the gateway got no answer",
}


def in_words(reason: GapReason) -> str:
    """What happened, as a sentence without a full stop; a reason that is not known as it is."""
    if reason.startswith(_EXCEPTION):
        code = reason.removeprefix(_EXCEPTION)
        said = _EXCEPTIONS.get(code)
        return f"the meter refused: {said or 'exception'} ({code})"
    return WORDS.get(reason, reason)
