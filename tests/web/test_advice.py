import pytest

from emdc.reading import GAP_REASONS
from emdc.web.advice import advice


@pytest.mark.parametrize(
    ("reason", "named"),
    [
        ("meter_held", "another process"),
        ("identity_mismatch", "another meter"),
        ("protocol_error:pid", "RTU over TCP"),
        ("protocol_error:tid", "ignore_transaction_id"),
        ("protocol_error:crc", "parity"),
        ("dns_failure", "name is not found"),
        ("connect_refused", "Modbus TCP switched on"),
        ("connection_reset", "transport"),
        ("exception:10", "gateway"),
        ("exception:11", "gateway"),
        ("exception:2", "emdc probe"),
        ("not_available", "right map"),
        ("connect_timeout", "power"),
    ],
)
def test_the_advice_fits_the_reason(reason: str, named: str) -> None:
    assert named in advice(reason)


def test_every_reason_has_advice_without_a_full_stop() -> None:
    for reason in GAP_REASONS:
        assert 0 < len(advice(reason)) <= 200
        assert not advice(reason).endswith(".")
