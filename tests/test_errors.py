import pytest

from emdc.errors import (
    BusyError,
    ConfigError,
    EmdcError,
    ExceptionResponseError,
    LinkError,
    MeterError,
    ProtocolError,
    RegisterMapError,
    SchemaError,
    StorageError,
)


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (ConfigError, EmdcError),
        (RegisterMapError, ConfigError),
        (MeterError, EmdcError),
        (LinkError, MeterError),
        (ProtocolError, MeterError),
        (ExceptionResponseError, MeterError),
        (BusyError, EmdcError),
        (StorageError, EmdcError),
        (SchemaError, StorageError),
    ],
)
def test_the_tree_is_the_one_that_the_docstring_draws(
    error: type[Exception], parent: type[Exception]
) -> None:
    assert error.__bases__ == (parent,)


def test_a_meter_error_shows_its_reason_and_its_detail_if_there_is_one() -> None:
    assert str(LinkError("read_timeout")) == "read_timeout"
    assert str(LinkError("dns_failure", "no-such-host")) == "dns_failure: no-such-host"


def test_an_exception_answer_is_named_by_its_code() -> None:
    error = ExceptionResponseError(2)
    assert (error.code, error.reason, str(error)) == (2, "exception:2", "exception:2")


def test_one_fault_of_a_map_is_one_line() -> None:
    error = RegisterMapError("nexus.xlsx", [("Metrics!D17", "size 3 for FLOAT32, expected 2")])
    assert str(error) == "nexus.xlsx: Metrics!D17: size 3 for FLOAT32, expected 2"
    assert str(RegisterMapError("nexus.xlsx", [("", "no sheet")])) == "nexus.xlsx: no sheet"


def test_many_faults_of_a_map_are_counted_and_listed_in_order() -> None:
    faults = [("Metrics!B3", "no number"), ("Metrics!C4", "no size")]
    error = RegisterMapError("nexus.xlsx", faults)
    assert error.faults == tuple(faults)
    assert str(error).splitlines() == [
        "nexus.xlsx: 2 faults",
        "  Metrics!B3: no number",
        "  Metrics!C4: no size",
    ]
