import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import HTTPException

from emdc.web.exchange import Parameter, nearest, read_query, wants_csv, wants_json

COUNT = Parameter("count", "how many", "whole", 1, 1, 60)
WAIT = Parameter("wait", "how long", "seconds")
FRESH = Parameter("fresh", "now", "flag", 0)
NAME = Parameter("name", "which", required=True)
PER = Parameter("per", "how long", "choice", "day", choices=("hour", "day"))


def refusal(raw: bytes, *parameters: Parameter) -> str:
    with pytest.raises(HTTPException) as caught:
        read_query(raw, parameters)
    assert caught.value.status_code == 400
    return caught.value.detail


def test_parameters_are_read_by_their_kind() -> None:
    raw = b"count=60&wait=0.5&fresh=1&name=A%20B"
    assert read_query(raw, (COUNT, WAIT, FRESH, NAME)) == {
        "count": 60,
        "wait": 0.5,
        "fresh": True,
        "name": "A B",
    }


def test_a_parameter_that_is_not_given_has_its_default() -> None:
    assert read_query(b"", (COUNT, WAIT)) == {"count": 1, "wait": None}


@pytest.mark.parametrize(
    "text", ["0", "61", "-1", "5.0", "1e3", "+5", " 5", "\uff11", "", "9" * 999]
)
def test_a_whole_number_is_ascii_digits_within_its_bounds(text: str) -> None:
    said = refusal(f"count={text}".encode(), COUNT)
    assert "expected a whole number from 1 to 60" in said
    assert len(said) < 200


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "1e3", "1_0", ".", "true", "9" * 30])
def test_seconds_are_plain_decimal_digits(text: str) -> None:
    assert "expected seconds from 0" in refusal(f"wait={text}".encode(), WAIT)


@pytest.mark.parametrize("text", ["week", "DAY", " day", "", "hour, day"])
def test_a_choice_is_one_of_those_that_are_there(text: str) -> None:
    assert "expected one of hour, day" in refusal(f"per={text}".encode(), PER)
    assert read_query(b"per=hour", (PER,)) == {"per": "hour"}
    assert read_query(b"", (PER,)) == {"per": "day"}


def test_a_repeated_parameter_is_refused() -> None:
    assert refusal(b"count=1&count=1", COUNT) == (
        "parameter count is given more than once; give it once"
    )


def test_an_unknown_parameter_is_refused_with_the_known_ones() -> None:
    assert refusal(b"cuont=1", COUNT, WAIT) == (
        "unknown parameter 'cuont'; this address takes: count, wait"
    )


def test_a_missing_or_empty_required_parameter_is_refused_with_its_meaning() -> None:
    assert refusal(b"", NAME) == refusal(b"name=", NAME) == "parameter name is missing: which"


def test_a_text_is_at_most_twice_as_long_as_any_name() -> None:
    assert read_query(b"name=" + b"a" * 1000, (NAME,)) == {"name": "a" * 1000}
    said = refusal(b"name=" + b"a" * 1001, NAME)
    assert "expected at most 1000 characters" in said
    assert len(said) < 200


def test_a_nul_character_which_some_databases_do_not_take_is_refused() -> None:
    assert "a NUL character, expected none" in refusal(b"name=a%00", NAME)


@pytest.mark.parametrize("raw", [b"name=%ff", b"name=\xff", b"&".join([b"a=1"] * 40)])
def test_a_query_that_does_not_parse_is_refused(raw: bytes) -> None:
    assert "does not parse" in refusal(raw, NAME)


@given(st.binary(max_size=60))
def test_any_query_is_read_or_refused(raw: bytes) -> None:
    status = 200
    try:
        read_query(raw, (COUNT, WAIT, FRESH, NAME))
    except HTTPException as error:
        status = error.status_code
    assert status in {200, 400}


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/json, text/plain, */*",
        "text/plain;q=0.5, application/json",
    ],
)
def test_json_is_given_when_it_is_named_first_or_best(accept: str) -> None:
    assert wants_json(accept)


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/*",
        "text/plain",
        "text/plain, application/json",
        "application/json;q=0",
        "application/json;q=0.5, text/*;q=0.9",
        "application/json;q=much",
        "image/png",
    ],
)
def test_text_is_given_otherwise(accept: str) -> None:
    assert not wants_json(accept)


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("text/csv", True),
        ("Text/CSV; header=present, */*", True),
        ("text/csv, application/json", True),
        ("application/json, text/csv", False),
        ("application/json;q=0.5, text/csv;q=0.9", True),
        ("text/csv;q=0", False),
        ("text/*", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_csv_is_given_when_it_is_named_before_json(accept: str, csv: bool) -> None:
    assert wants_csv(accept) is csv


@given(st.text(max_size=80))
def test_any_accept_header_is_understood_somehow(accept: str) -> None:
    assert wants_json(accept) in {True, False}


def test_nearest_names_are_found_whatever_the_case() -> None:
    assert nearest("voltage_an", ["Voltage_AN", "W"]) == "; nearest: Voltage_AN"
    assert nearest("zzzz", ["Voltage_AN"]) == ""
