"""Quarter hours of a meter: what is in them, and that it does not matter how they are folded."""

from collections.abc import Sequence
from decimal import Decimal
from math import fsum

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emdc.energy.answers import CELL_S, Quality
from emdc.energy.cells import Cell, Due, Folded, MeterFacts, Row, SlotFacts, fold
from emdc.energy.counter import NEW, Mark, Point, Rules
from emdc.energy.following import follow
from emdc.energy.precision import number
from emdc.reading import Value
from tests.energy.ledger import Ledger

METER = Rules(max_rate=100.0)
COUNTER = SlotFacts("counter", METER)
EVERY_MINUTE = (Due(0.0, 60.0, frozenset({0})),)


def rows_of(values: Sequence[Value], *, start: float = 0.0, step: float = 60.0) -> list[Row]:
    """Readings of one metric."""
    return [(start + step * n, [value]) for n, value in enumerate(values)]


def folded(
    rows: Sequence[Row],
    cells: int,
    *,
    slot: SlotFacts = COUNTER,
    schedule: tuple[Due, ...] = EVERY_MINUTE,
) -> Folded:
    facts = MeterFacts((slot,), schedule)
    return fold(facts, rows, states={}, start=0.0, end=float(cells * CELL_S))


def column(found: Folded, name: str) -> list[object]:
    return [getattr(cell, name)[0] for cell in found.cells]


def test_a_cell_holds_what_was_read_in_it() -> None:
    facts = MeterFacts((SlotFacts("gauge"), SlotFacts("text"), SlotFacts("gauge")))
    rows: list[Row] = [(0.0, [1, "a", None]), (60.0, [4.0, "b", None]), (120.0, [2.5, "c"])]
    (cell,) = fold(facts, rows, states={}, start=0.0, end=900.0).cells
    assert cell == Cell(
        start=0.0,
        counts=[3, None, 0],
        minima=[1, None, None],
        maxima=[4.0, None, None],
        means=[2.5, None, None],
        firsts=[1, None, None],
        lasts=[2.5, None, None],
        energies=[None, None, None],
        dues=[None, None, None],
        qualities=[None, None, None],
        states={},
    )


def test_consumption_goes_from_boundary_to_boundary() -> None:
    found = folded(rows_of([53700 + n * 0.5 for n in range(48)]), 3)
    assert column(found, "energies") == [7.5, 7.5, 7.5]
    assert column(found, "dues") == [15, 15, 15]
    assert column(found, "qualities") == [Quality.MEASURED] * 3
    assert found.settled == 2700.0


def test_a_counter_that_begins_within_a_cell_counts_from_there() -> None:
    found = folded(rows_of([53700 + n for n in range(25)], start=300.0), 2)
    assert column(found, "energies") == [10, 14]
    # Nothing is shared by time in the first one: what came before it is not in it.
    assert column(found, "qualities") == [Quality.MEASURED, Quality.RECOVERED]
    assert column(found, "counts") == [10, 15]
    assert column(found, "dues") == [15, 15]


def test_a_cell_without_a_reading_at_its_boundary_shares_the_step_over_it() -> None:
    values = [53700 + n for n in range(46)]
    del (rows := rows_of(values))[15]
    found = folded(rows, 3)
    assert column(found, "energies") == [15, 15, 15]
    assert column(found, "qualities") == [Quality.RECOVERED, Quality.RECOVERED, Quality.MEASURED]


def test_an_outage_is_shared_by_time() -> None:
    rows = rows_of([100, 101, 102]) + rows_of([163, 164, 165, 166], start=3780.0)
    found = folded(rows, 5)
    assert column(found, "energies") == [2 + 13, 15, 15, 15, 3 + 3]
    assert column(found, "qualities") == [Quality.RECOVERED] * 5


def test_ticks_that_never_hit_a_boundary_measure_it_all_the_same() -> None:
    rows = [(700.0 * n, [100 + n]) for n in range(10)]
    found = folded(rows, 6, schedule=(Due(0.0, 700.0, frozenset({0})),))
    assert column(found, "qualities") == [Quality.MEASURED] * 6
    assert column(found, "dues") == [2, 1, 1, 2, 1, 1]
    assert sum(map(Decimal, map(str, column(found, "energies")))) == Decimal("7.714285714286")


def test_without_a_schedule_a_quarter_hour_apart_is_near_enough() -> None:
    rows = [(700.0 * n, [100 + n]) for n in range(5)] + [(5000.0, [110])]
    found = folded(rows, 4, schedule=())
    assert column(found, "qualities") == [Quality.MEASURED] * 3 + [Quality.RECOVERED]
    assert column(found, "dues") == [None] * 4


def test_a_leap_makes_its_cells_suspect() -> None:
    rows = rows_of([53700.0] * 20 + [0.0] * 30)
    found = folded(rows, 3)
    assert column(found, "energies") == [0.0, 0.0, 0.0]
    assert column(found, "qualities") == [Quality.MEASURED, Quality.SUSPECT, Quality.MEASURED]
    assert [(slot, epoch.at, epoch.kind) for slot, epoch in found.epochs] == [(0, 1200.0, "reset")]


def test_a_transient_zero_counts_nothing() -> None:
    values: list[Value] = [53700 + n for n in range(46)]
    values[20] = 0
    found = folded(rows_of(values), 3)
    assert column(found, "energies") == [15, 15, 15]
    assert column(found, "minima") == [53700, 0, 53730]
    assert found.epochs == []


def test_registers_beyond_2_to_53_come_as_text_and_stay_exact() -> None:
    values: list[Value] = [str(10**16 + n) for n in range(16)]
    found = folded(rows_of(values), 1)
    assert column(found, "energies") == [15]
    assert column(found, "firsts") == [10**16]


def test_texts_and_gaps_in_a_counter_are_no_readings() -> None:
    values: list[Value] = [53700 + n for n in range(31)]
    values[3], values[7], values[20] = None, "offline", None
    found = folded(rows_of(values), 2)
    assert column(found, "energies") == [15, 15]
    assert column(found, "counts") == [13, 14]


def test_rows_may_be_shorter_than_a_meter_is_now() -> None:
    facts = MeterFacts((COUNTER, COUNTER))
    rows: list[Row] = [*rows_of([100 + n for n in range(20)])]
    rows += [(1200.0 + 60 * n, [120 + n, 7 + n]) for n in range(20)]
    found = fold(facts, rows, states={}, start=0.0, end=1800.0)
    assert [cell.energies for cell in found.cells] == [[15, None], [15, 10]]
    assert [cell.counts for cell in found.cells] == [[15, 0], [15, 10]]


def test_rows_without_any_value_leave_cells_empty() -> None:
    found = folded(rows_of([None] * 20), 2)
    assert column(found, "energies") == [None, None]
    assert column(found, "counts") == [0, 0]
    assert column(found, "dues") == [15, 15]
    assert (found.states[0].tail, found.settled) == ((), 1800.0)


def test_no_rows_at_all_are_empty_cells() -> None:
    found = folded([], 2)
    assert column(found, "counts") == [0, 0]
    assert found.settled == 1800.0


def test_seconds_have_half_minutes_and_minutes_have_none() -> None:
    facts = MeterFacts((SlotFacts("gauge"), SlotFacts("text"), SlotFacts("gauge")))
    rows: list[Row] = [(900.0 + n, [n, "x", None]) for n in range(61)]
    (cell,) = fold(facts, rows, states={}, start=900.0, end=1800.0).cells
    assert cell.details is not None
    halves, text, empty = cell.details
    assert text is None
    assert empty is None
    assert halves is not None
    assert [each[:3] for each in halves] == [
        [30, 30, 1],
        [0, 30, 60],
        [29, 59, 60],
        [14.5, 44.5, 60],
        [29, 59, 60],
    ]
    assert [each[3] for each in halves] == [0, None, None, None, None]
    (cell,) = fold(facts, rows[:60], states={}, start=900.0, end=1800.0).cells
    assert cell.details is None


def test_what_is_not_final_is_folded_again() -> None:
    # The last three readings could be spikes: 14:57 is final, so its cell is not.
    found = folded(rows_of([100 + n for n in range(15)]), 1)
    assert found.settled == 0.0
    found = folded(rows_of([100 + n for n in range(18)]), 1)
    assert found.settled == 900.0


def test_a_counter_that_fell_silent_keeps_no_cell_open() -> None:
    facts = MeterFacts((COUNTER, COUNTER))
    rows: list[Row] = [(60.0 * n, [n, n if n < 5 else None]) for n in range(100)]
    found = fold(facts, rows, states={}, start=0.0, end=4500.0)
    assert found.settled == 4500.0


def test_a_meter_without_any_more_readings_keeps_no_cell_open() -> None:
    assert folded(rows_of([100 + n for n in range(15)]), 4).settled == 0.0
    assert folded(rows_of([100 + n for n in range(15)]), 5).settled == 5 * CELL_S


def test_a_counter_that_comes_back_shares_its_rise_over_all_cells_of_its_silence() -> None:
    ledger = Ledger(MeterFacts((COUNTER, COUNTER)))
    silent = range(5, 300)
    ledger.read((60.0 * n, [n, None if n in silent else n]) for n in range(400))
    for cell in range(1, 26):
        ledger.advance(cell * 900.0)
    assert ledger.restarts > 0
    assert ledger.energies(1) == [15.0] * 25


def test_a_restart_says_how_the_silence_ends_to_pieces_that_do_not_reach_it() -> None:
    ledger = Ledger(MeterFacts((COUNTER, COUNTER)))
    ledger.read((60.0 * n, [n, None if 5 <= n < 3000 else n]) for n in range(3100))
    ledger.advance(3000 * 60.0, piece=4)
    assert ledger.restarts == 1
    assert ledger.energies(1) == [15.0] * 200


@pytest.mark.parametrize("piece", [1, 4, 96])
def test_false_zeros_make_all_cells_suspect_until_the_register_is_back(piece: int) -> None:
    ledger = Ledger(MeterFacts((COUNTER,)))
    ledger.read((60.0 * n, [0 if 20 <= n < 3000 else 50000 + n]) for n in range(3100))
    for end in (18_000.0, 184_500.0):
        ledger.advance(end, piece=piece)
    assert ledger.restarts == 1
    assert ledger.energies() == [15.0] * 205
    qualities = [ledger.cells[900.0 * n].qualities for n in range(205)]
    false = range(1, 200)  # from the minute 19 to the minute 3000
    assert qualities == [[Quality.SUSPECT if n in false else Quality.MEASURED] for n in range(205)]
    assert [epoch.kind for epoch in ledger.epochs.values()] == ["return"]


def test_in_the_middle_of_a_silence_it_is_known_how_it_ends() -> None:
    rows = rows_of([100, 101, 102]) + rows_of([163, 164, 165, 166], start=3780.0)
    whole = folded(rows, 5)
    (alone,) = fold(
        MeterFacts((COUNTER,), EVERY_MINUTE),
        [],
        states=whole.cells[2].states,
        start=1800.0,
        end=2700.0,
    ).cells
    assert alone == whole.cells[2]


def test_what_was_put_aside_before_a_silence_is_told_to_pieces_before_it() -> None:
    ledger = Ledger(MeterFacts((COUNTER,)))
    ledger.read([(300.0, [0]), (1200.0, [53700.8])])
    ledger.read(rows_of([53701.4, 53702.4, 53702.8, 53704.1], start=9300.0))
    ledger.advance(10800.0, piece=1, behind=0)
    assert ledger.restarts < 5
    assert ledger.energies()[:2] == [None, 0.0444444444]


def test_late_readings_change_what_was_shared() -> None:
    ledger = Ledger(MeterFacts((COUNTER,)))
    ledger.read(rows_of([100, 101, 102]) + rows_of([163, 164, 165, 166], start=3780.0))
    ledger.advance(4500.0)
    assert ledger.energies()[1:4] == [15, 15, 15]
    ledger.read(rows_of([103 + n for n in range(59)], start=180.0))
    ledger.advance(4500.0)
    whole = Ledger(ledger.facts)
    whole.read(ledger.rows)
    whole.fold_all(4500.0)
    assert ledger.cells == whole.cells
    assert ledger.cells[1800.0].qualities == [Quality.MEASURED]


def test_a_swap_shares_what_is_known_of_both_meters() -> None:
    marks = (Mark(1800.0, "swap", before=53731.0, after=10.0),)
    rows = rows_of([53700.0 + n for n in range(30)] + [11.0 + n for n in range(30)])
    found = folded(rows, 3, slot=SlotFacts("counter", METER, marks))
    assert column(found, "energies") == [15, 17, 15]
    assert column(found, "qualities") == [Quality.MEASURED, Quality.SUSPECT, Quality.MEASURED]


VALUES = st.one_of(
    st.integers(0, 160).map(lambda tenths: ("rise", tenths / 100)),
    st.sampled_from([("silent", 1), ("silent", 25), ("silent", 90)]),
    st.sampled_from([("set", 0.0), ("set", 53700.0), ("set", 1e9), ("glitch", 0.0)]),
    st.just(("glitch", 1e9)),
    st.sampled_from([("false", 3), ("false", 20), ("false", 45)]),
)


@st.composite
def metered(draw: st.DrawFn) -> list[Row]:
    """Minutes of two counters, of which the second is read now and then."""
    sequence = draw(st.lists(VALUES, min_size=4, max_size=40))
    step = draw(st.sampled_from([60.0, 90.0, 300.0]))
    rows: list[Row] = []
    at, value = 0.0, 53700.0
    for what, by in sequence:
        at += step
        if what == "silent":
            at += step * by
            continue
        if what == "false":  # so often it shows 0 and counts on
            rows += [(at + step * n, [0.0, None]) for n in range(round(by))]
            at += step * (round(by) - 1)
            continue
        value = by if what == "set" else round(value + by, 2) if what == "rise" else value
        shown = by if what == "glitch" else value
        rows.append((at, [shown, value if draw(st.integers(0, 9)) == 0 else None]))
    return rows


quick = settings(max_examples=25, derandomize=True, deadline=None)
MARKS = (Mark(5000.0, "swap", after=50000.0), Mark(9000.0, "glitch"), Mark(12000.0, "ratio"))
TWO = MeterFacts((COUNTER, SlotFacts("counter", Rules(modulus=1e6), MARKS)), EVERY_MINUTE)


def whole(rows: Sequence[Row], end: float) -> Ledger:
    ledger = Ledger(TWO)
    ledger.read(rows)
    ledger.fold_all(end)
    return ledger


@quick
@given(
    rows=metered(),
    nows=st.lists(st.integers(1, 60), max_size=6).map(sorted),
    piece=st.sampled_from([1, 4, 96]),
    behind=st.sampled_from([0, 1, 6, 1000]),
)
def test_as_time_passes_and_in_one_go_the_cells_are_the_same(
    rows: list[Row], nows: list[int], piece: int, behind: int
) -> None:
    end = rows[-1][0] // CELL_S * CELL_S + CELL_S if rows else CELL_S
    ledger = Ledger(TWO)
    rest = list(rows)
    for now in nows:
        until = min(now * 1000.0, end)
        ledger.read([row for row in rest if row[0] < until])
        rest = [row for row in rest if row[0] >= until]
        ledger.advance(until // CELL_S * CELL_S, piece=piece, behind=behind)
    ledger.read(rest)
    ledger.advance(end, piece=piece, behind=behind)
    ledger.advance(end, piece=10**6)
    assert ledger.cells == whole(rows, end).cells
    assert ledger.epochs == whole(rows, end).epochs


@quick
@given(
    rows=metered(),
    turns=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 5)), max_size=12),
    piece=st.sampled_from([1, 4]),
)
def test_in_turns_that_end_early_the_cells_are_the_same(
    rows: list[Row], turns: list[tuple[int, int]], piece: int
) -> None:
    end = rows[-1][0] // CELL_S * CELL_S + CELL_S if rows else CELL_S
    ledger = Ledger(TWO)
    rest, known = list(rows), 0.0
    for now, most in turns:
        known = max(known, min(now * 1000.0, end))
        ledger.read([row for row in rest if row[0] < known])
        rest = [row for row in rest if row[0] >= known]
        ledger.advance(known // CELL_S * CELL_S, piece=piece, most=most)
    ledger.read(rest)
    ledger.advance(end, piece=piece)
    ledger.advance(end, piece=10**6)
    assert ledger.cells == whole(rows, end).cells
    assert ledger.epochs == whole(rows, end).epochs


@quick
@given(rows=metered(), late=st.sets(st.integers(0, 59)), piece=st.sampled_from([1, 4, 96]))
def test_readings_that_come_late_make_the_cells_that_they_would_have_made(
    rows: list[Row], late: set[int], piece: int
) -> None:
    end = rows[-1][0] // CELL_S * CELL_S + CELL_S if rows else CELL_S
    ledger = Ledger(TWO)
    ledger.read([row for n, row in enumerate(rows) if n not in late])
    ledger.advance(end, piece=piece)
    ledger.read([row for n, row in enumerate(rows) if n in late])
    ledger.advance(end, piece=piece)
    ledger.advance(end, piece=10**6)
    assert ledger.cells == whole(rows, end).cells
    assert ledger.epochs == whole(rows, end).epochs


@quick
@given(
    rises=st.lists(st.integers(0, 99), min_size=2, max_size=50),
    digits=st.integers(0, 6),
    step=st.sampled_from([7.0, 60.0, 61.0, 700.0, 3333.0]),
)
def test_the_cells_add_up_exactly_to_what_the_counter_rose(
    rises: list[int], digits: int, step: float
) -> None:
    raw = [99_950_000_000 + sum(rises[: n + 1]) for n in range(len(rises))]
    values = [int(value) / 10**digits for value in raw]
    slot = SlotFacts("counter")
    cells = int(step * len(rises) // CELL_S) + 1
    found = folded(rows_of(values, step=step), cells, slot=slot, schedule=())
    energies = [energy for energy in column(found, "energies") if energy is not None]
    assert sum(map(Decimal, map(repr, energies))) == Decimal(raw[-1] - raw[0]).scaleb(-digits)


@quick
@given(rows=metered())
def test_the_cells_hold_what_the_steps_hold(rows: list[Row]) -> None:
    end = rows[-1][0] // CELL_S * CELL_S + CELL_S if rows else CELL_S
    ledger = whole(rows, end)
    for slot, facts in enumerate(TWO.slots):
        points = [
            Point(at, value) for at, values in rows if (value := number(values[slot])) is not None
        ]
        steps = follow(NEW, points, rules=facts.rules, marks=facts.marks).steps
        energies = [energy for energy in ledger.energies(slot) if energy is not None]
        assert fsum(energies) == pytest.approx(
            fsum(step.energy for step in steps), rel=1e-13, abs=1e-9
        )
        suspect = {
            start
            for start in ledger.cells
            for step in steps
            if step.suspect and step.start.at < start + CELL_S and step.end.at > start
        }
        qualities = {start: cell.qualities[slot] for start, cell in ledger.cells.items()}
        assert {at for at, quality in qualities.items() if quality is Quality.SUSPECT} == suspect


def test_registers_with_all_digits_of_a_double_add_up() -> None:
    values: list[Value] = [(3_519_000_123 + 977 * n) * 1.52588e-05 for n in range(200)]
    found = folded(rows_of(values, step=61.0), 14, schedule=())
    energies = [energy for energy in column(found, "energies") if isinstance(energy, float)]
    assert fsum(energies) == pytest.approx(199 * 977 * 1.52588e-05, abs=2e-10)
