"""Probing simulated meters over real connections: what is found, and what is left alone."""

import asyncio
import random
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest

from emdc.daemon import open_links
from emdc.meters import library, sunspec_models
from emdc.meters.families import measured
from emdc.meters.probe import Candidate, Outcome, Prober, Tries, open_link
from emdc.meters.register_map import RegisterMap
from emdc.meters.sunspec import Block, Layout
from emdc.meters.variants import Turn, variant
from emdc.modbus.server import Answer, Server, serve
from emdc.synthetic.simulator import Simulator, fixed_words
from tests import misbehaving, sunspec_device
from tests.program import free_port

MAPS = [library.find(name) for name, _ in library.names()]
NEXUS, EATON = library.find("nexus-1272"), library.find("eaton-pxm-4000")
NAMES = ("nexus-1272", "eaton-pxm-4000", "carlo-gavazzi-em340", "siemens-pac3200")
SOME = [library.find(name) for name in (*NAMES, "eastron-sdm630", "socomec-diris-a10")]
QUICK = Tries(pace_s=0)
WORDS, BYTES = Turn(words=True), Turn(bytes=True)


def now() -> datetime:
    return datetime.now(UTC)


async def asked(
    port: int, maps: Sequence[RegisterMap], tries: Tries, host: str = "127.0.0.1"
) -> Outcome:
    outcome = Outcome()
    links = open_links("a test")
    with closing(links):
        link = open_link(links, host, port, tries)
        await Prober(link, tries, outcome, clock=now).run(maps)
        outcome.held_by = link.dial.held_by
    return outcome


async def served(answer: Answer, maps: Sequence[RegisterMap], tries: Tries) -> Outcome:
    server: Server = await serve(answer, "127.0.0.1", 0)
    try:
        return await asked(server.port, maps, tries)
    finally:
        server.close()
        await server.wait_closed()


def probed(answer: Answer, maps: Sequence[RegisterMap] = MAPS, tries: Tries = QUICK) -> Outcome:
    """What is found at a meter with these answers."""
    return asyncio.run(served(answer, maps, tries))


def meter(register_map: RegisterMap, unit: int | None = None) -> Answer:
    return Simulator(register_map, unit=unit).answer


def best(outcome: Outcome) -> Candidate:
    assert outcome.has_fit
    return outcome.best[0]


def as_found(one: Candidate) -> tuple[str, int, int, Turn]:
    return one.register_map.name, one.unit, one.shift, one.order


# What is found


@pytest.mark.parametrize("name", NAMES)
def test_the_map_of_a_meter_is_found_among_all(name: str) -> None:
    found = best(probed(meter(library.find(name))))
    assert as_found(found) == (name, 1, 0, Turn())
    assert found.score.percent >= 95


@pytest.mark.parametrize("name", [name for name in NAMES if name != "carlo-gavazzi-em340"])
@pytest.mark.parametrize("shift", [-1, 1])
def test_addresses_that_are_all_one_off_are_found(name: str, shift: int) -> None:
    moved = variant(library.find(name), shift, Turn())
    assert moved is not None
    found = best(probed(meter(moved), SOME))
    # Swapped words one register off come near it, since the high word is there.
    assert as_found(found) == (name, 1, shift, Turn())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("order", [WORDS, BYTES, Turn(words=True, bytes=True)])
def test_the_order_of_words_and_bytes_is_found(name: str, order: Turn) -> None:
    turned = variant(library.find(name), 0, order)
    assert turned is not None
    assert as_found(best(probed(meter(turned), SOME))) == (name, 1, 0, order)


def test_a_meter_behind_a_gateway_is_found_at_its_unit() -> None:
    outcome = probed(meter(NEXUS, unit=3))
    assert as_found(best(outcome)) == ("nexus-1272", 3, 0, Turn())
    assert [unit for unit, state in outcome.tally.units.items() if state.is_mute] == [1, 255, 2]


def test_every_unit_that_is_named_is_tried_and_the_others_are_not() -> None:
    tries = replace(QUICK, units=(7, 8), every_unit=True)
    outcome = probed(meter(NEXUS), [NEXUS], tries)
    assert [one.unit for one in outcome.best] == [7, 8]
    assert all(one.score.fits for one in outcome.best)
    assert set(outcome.tally.units) == {7, 8}


def test_the_first_unit_that_fits_ends_the_search_when_none_is_named() -> None:
    assert set(probed(meter(NEXUS), [NEXUS]).tally.units) == {1}


def test_a_refused_block_is_read_in_parts_and_the_map_still_fits() -> None:
    answer = meter(NEXUS)
    refused = 207  # within the block that holds the powers

    def picky(unit: int, code: int, address: int, count: int) -> bytes | int:
        return 2 if address <= refused < address + count else answer(unit, code, address, count)

    found = best(probed(picky, [NEXUS]))
    assert any("values are missing" in reason for reason in found.score.reasons)


def still(name: str, **by_family: float | None) -> Answer:
    """A meter all of whose values of a family are the same."""
    found = library.find(name)
    fixed = {
        metric.name: by_family[what.family.name]
        for metric in found.metrics
        if (what := measured(metric.name)).family and what.family.name in by_family
    }
    return Simulator(found, fixed=fixed).answer


IDLE = dict.fromkeys(("W", "VAR", "VA", "Current", "Wh", "VARh", "VAh"), 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_a_meter_without_load_is_found_by_its_voltages_and_frequency(name: str) -> None:
    found = best(probed(still(name, **IDLE, pf=1.0), SOME))
    assert as_found(found) == (name, 1, 0, Turn())


def test_power_that_flows_back_is_no_sign_of_a_wrong_map() -> None:
    back = {"W_A": -1000.0, "W_B": -1100.0, "W_C": -900.0, "W": -3000.0, "VAR": 4000.0}
    turned = Simulator(EATON, fixed=back | {"VA": 5000.0, "pf": -0.6}).answer
    assert as_found(best(probed(turned, SOME))) == ("eaton-pxm-4000", 1, 0, Turn())


def described(layout: Layout) -> Answer:
    """A device that holds these SunSpec models, with values that stand still."""
    found = sunspec_models.map_of(layout)
    simulator = Simulator(found)
    end = layout.blocks[-1].address + 2 + layout.blocks[-1].length
    words = dict.fromkeys(range(layout.base, end + 2), 0)

    def write(address: int, content: bytes) -> None:
        for place in range(0, len(content), 2):
            words[address + place // 2] = int.from_bytes(content[place : place + 2])

    for metric in found.metrics:
        content = simulator.answer(1, 3, metric.address, metric.size)
        assert isinstance(content, bytes)
        write(metric.address, content)
    for block in layout.blocks:
        write(block.address, block.model.to_bytes(2) + block.length.to_bytes(2))
    write(layout.base, b"SunS")
    write(end, bytes.fromhex("FFFF 0000"))
    return fixed_words({3: words})


@pytest.mark.parametrize("base", [40000, 0])
def test_a_device_that_describes_itself_is_found(base: int) -> None:
    layout = Layout(base, (Block(1, base + 2, 66), Block(213, base + 70, 124)))
    found = best(probed(described(layout)))
    assert as_found(found) == ("sunspec", 1, 0, Turn())
    assert any(f"SunSpec marker at {base}, models 1, 213" in text for text in found.score.reasons)


def test_the_marker_alone_is_no_fit() -> None:
    subject = sunspec_device.device(sunspec_device.common(), sunspec_device.blank(213, 2))
    (found,) = probed(subject.answer, [], replace(QUICK, units=(1,))).best
    assert not found.score.fits
    assert "- nothing beside the marker speaks for it" in found.score.reasons


def test_a_device_whose_models_are_empty_is_left_out_with_the_reason() -> None:
    subject = sunspec_device.device(sunspec_device.Block(103, []))
    found = probed(subject.answer, [], replace(QUICK, units=(1,)))
    assert not found.has_fit
    assert "models 103 with 0 registers" in found.dropped["sunspec"]


# What is not found


def constant(word: int) -> Answer:
    return lambda _unit, _code, _address, count: word.to_bytes(2) * count


def test_no_map_fits_a_meter_of_another_make() -> None:
    outcome = probed(meter(NEXUS), [EATON])
    assert not outcome.has_fit
    assert outcome.best == []
    assert "refused with exception 2" in outcome.dropped["eaton-pxm-4000"]


@pytest.mark.parametrize("word", [0, 0xFFFF, 0x7FFF, 0x8000, 0x4248, 1])
def test_no_map_fits_a_meter_that_says_the_same_everywhere(word: int) -> None:
    outcome = probed(constant(word), tries=replace(QUICK, most_requests=3000, units=(1,)))
    assert not outcome.tally.limited
    assert {one.score.verdict for one in outcome.best} <= {"no", "too little"}


@pytest.mark.parametrize("seed", range(3))
def test_no_map_fits_noise(seed: int) -> None:
    chance = random.Random(seed)

    def noise(_unit: int, _code: int, _address: int, count: int) -> bytes:
        return chance.randbytes(2 * count)

    outcome = probed(noise, tries=replace(QUICK, most_requests=5000, units=(1,)))
    assert not outcome.has_fit
    assert all(one.score.verdict in ("no", "too little") for one in outcome.best)


def test_values_that_jump_between_two_reads_speak_against_a_map() -> None:
    first, second = (
        Simulator(NEXUS, fixed=dict.fromkeys(("Voltage_AN", "Voltage_BN", "Voltage_CN"), volts))
        for volts in (120.0, 277.0)
    )
    count = 0

    def jumping(unit: int, code: int, address: int, size: int) -> bytes | int:
        nonlocal count
        count += address == 179 and size > 2
        return (first if count < 2 else second).answer(unit, code, address, size)

    candidates = probed(jumping, [NEXUS], replace(QUICK, units=(1,))).candidates
    (found,) = (one for one in candidates if (one.shift, one.order) == (0, Turn()))
    assert "- voltage or frequency jumps between two reads" in found.score.reasons


def test_a_map_with_few_values_is_never_sure() -> None:
    small = replace(NEXUS, name="small", metrics=NEXUS.metrics[:1])
    (found,) = probed(meter(NEXUS), [small], replace(QUICK, units=(1,))).best
    assert found.score.verdict == "too little"


# How gently


def recorded(answer: Answer) -> tuple[Answer, list[tuple[int, int, int, int]]]:
    requests: list[tuple[int, int, int, int]] = []

    def answered(*request: int) -> bytes | int:
        unit, code, address, count = request
        requests.append((unit, code, address, count))
        return answer(unit, code, address, count)

    return answered, requests


def test_it_asks_no_more_than_it_may_and_says_so() -> None:
    answer, requests = recorded(constant(7))
    outcome = probed(answer, tries=replace(QUICK, most_requests=20))
    assert outcome.tally.limited
    assert len(requests) == outcome.tally.requests <= 20


def test_a_meter_that_answers_under_each_unit_alike_is_searched_once() -> None:
    answer, requests = recorded(constant(7))
    outcome = probed(answer, SOME, replace(QUICK, most_requests=3000))
    assert not outcome.has_fit
    asked_of = [sum(request[0] == unit for request in requests) for unit in outcome.tally.units]
    assert len(asked_of) == 7
    assert max(asked_of[1:]) < 10 < asked_of[0]
    assert {outcome.tally.twin(unit) for unit in outcome.tally.units} == {None, 1}


def test_it_reads_within_the_map_and_each_order_costs_no_request() -> None:
    answer, requests = recorded(meter(NEXUS))
    outcome = probed(answer, [NEXUS])
    assert outcome.has_fit
    spans = {(metric.function_code, metric.address) for metric in NEXUS.metrics}
    assert {(code, address) for _, code, address, _ in requests} <= spans
    assert len(requests) == outcome.tally.requests
    # One value first, then all of them twice.
    assert max(requests.count(request) for request in requests) <= 3


def test_it_rests_between_two_requests() -> None:
    times: list[float] = []
    answer = meter(NEXUS)

    def timed(*request: int) -> bytes | int:
        times.append(time.monotonic())
        return answer(*request)

    probed(timed, [NEXUS], replace(QUICK, pace_s=0.03))
    assert min(second - first for first, second in pairwise(times)) >= 0.025


# Meters that do not answer


def test_nothing_that_listens_is_said_at_once() -> None:
    outcome = asyncio.run(asked(free_port(), MAPS, QUICK))
    assert outcome.tally.problem is not None
    assert outcome.tally.problem.reason == "connect_refused"
    assert outcome.tally.requests == 1


def misbehaved(
    script: misbehaving.Script, tries: Tries, maps: Sequence[RegisterMap] = MAPS
) -> Outcome:
    async def run() -> Outcome:
        async with misbehaving.meter(script) as subject:
            return await asked(subject.port, maps, tries)

    return asyncio.run(run())


async def silent(connection: misbehaving.Connection) -> None:
    await connection.silent()


async def rude(connection: misbehaving.Connection) -> None:
    await connection.request()


@pytest.mark.parametrize(
    ("script", "reason"), [(silent, "read_timeout"), (rude, "connection_reset")]
)
def test_a_unit_that_never_answers_is_given_up_soon(
    script: misbehaving.Script, reason: str
) -> None:
    outcome = misbehaved(script, replace(QUICK, units=(1, 2), timeout_s=0.05))
    assert {unit: state.is_mute for unit, state in outcome.tally.units.items()} == {
        1: True,
        2: True,
    }
    assert all(reason in state.failures for state in outcome.tally.units.values())
    assert outcome.tally.requests <= 8


def test_a_unit_that_is_silent_on_some_registers_is_not_given_up() -> None:
    async def picky(connection: misbehaving.Connection) -> None:
        simulator = Simulator(NEXUS)
        while True:
            request = await connection.request()
            unit, code = request[6], request[7]
            data = simulator.answer(
                unit, code, *(int.from_bytes(request[i : i + 2]) for i in (8, 10))
            )
            if isinstance(data, bytes):
                head = bytes([unit, code, len(data)])
                await connection.send(misbehaving.framed(request[:2], head + data))

    outcome = misbehaved(picky, replace(QUICK, units=(1,), timeout_s=0.1), [EATON, NEXUS, EATON])
    assert as_found(best(outcome)) == ("nexus-1272", 1, 0, Turn())


def test_a_meter_that_another_holds_is_left_alone() -> None:
    async def run() -> tuple[Outcome, int]:
        answer, requests = recorded(meter(NEXUS))
        server = await serve(answer, "127.0.0.1", 0)
        with closing(open_links("the other one")) as others:
            link = open_link(others, "127.0.0.1", server.port, QUICK)
            with closing(await link.dial.connect(timeout_s=5)):
                outcome = await asked(server.port, [NEXUS], QUICK)
        server.close()
        await server.wait_closed()
        return outcome, len(requests)

    outcome, requests = asyncio.run(run())
    assert outcome.held_by == "the other one"
    assert outcome.tally.problem is not None
    assert outcome.tally.problem.reason == "meter_held"
    assert requests == 0


# Variants


def test_a_variant_keeps_all_but_addresses_and_orders() -> None:
    moved = variant(NEXUS, -1, WORDS)
    assert moved is not None
    for old, new in zip(NEXUS.metrics, moved.metrics, strict=True):
        assert (new.address, new.byte_order) == (old.address - 1, old.byte_order)
        assert new.word_order != old.word_order
        assert replace(new, address=old.address, word_order=old.word_order) == old


def test_no_variant_leaves_the_addresses_that_there_are() -> None:
    first = replace(NEXUS, metrics=(replace(NEXUS.metrics[0], address=0),))
    last = replace(NEXUS, metrics=(replace(NEXUS.metrics[0], address=65_534),))
    assert variant(first, -1, Turn()) is None
    assert variant(last, 1, Turn()) is None
    assert variant(last, 0, Turn()) is not None
