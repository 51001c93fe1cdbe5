"""The benchmark's arithmetic and its tables."""

from __future__ import annotations

import pytest

from tests.bench.measures import BULK, FAIR, MB, NEAR, Outcome, far
from tests.bench.table import Cell, markdown, number, text_of

BASE = Cell([300.0, 100.0, 200.0])


@pytest.mark.parametrize(("value", "text"), [(0.652, "0.65"), (45.04, "45.0"), (1234.5, "1,234")])
def test_a_number_has_three_digits_or_all_before_the_point(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Cell([260.0, 240.0]), "250 (1.25)"),
        (Cell([100.0], errors=2), "100 (0.50, 2 failed)"),
        (Cell(errors=1), "failed"),
        (Cell(), "–"),
    ],
)
def test_a_cell_is_its_median_and_the_ratio_to_the_base(cell: Cell, text: str) -> None:
    assert text_of(cell, BASE) == text


def test_the_base_has_no_ratio_and_without_a_base_nothing_has() -> None:
    assert text_of(BASE, BASE) == "200"
    assert text_of(BASE, Cell()) == "200"


def test_the_spread_is_shown_on_demand_and_only_of_several_values() -> None:
    assert text_of(BASE, BASE, spread=True) == "200 (100..300)"
    assert text_of(Cell([100.0]), BASE, spread=True) == "100 (0.50)"


def test_a_table_is_markdown_and_aligned_for_a_terminal() -> None:
    assert markdown(["", "ssh -L"], [["download", "1"], ["up", "12,345"]]).splitlines() == [
        "|          | ssh -L |",
        "|----------|-------:|",
        "| download |      1 |",
        "| up       | 12,345 |",
    ]


def test_the_rows_take_their_value_from_what_the_load_printed() -> None:
    outcome = Outcome.parse("0.500000 1500.0 3000.0 0 40000000\n")
    values = {row.title: row.value(outcome) for run in (*NEAR, *FAIR) for row in run.rows}
    assert values["download, 1 stream, MB/s"] == BULK / MB / 0.5
    assert values["1 byte there and back, p50 µs"] == 1500
    assert values["1 byte there and back, p99 µs"] == 3000
    assert values["new connections a second, 32 at once"] == 800
    assert values["that upload meanwhile, MB/s"] == 80


def test_titles_are_unique_where_they_meet_in_one_table() -> None:
    for runs in ((*NEAR, *FAIR), far(40.0)):
        titles = [row.title for run in runs for row in run.rows]
        assert len(titles) == len(set(titles))


@pytest.mark.parametrize(("delay", "size"), [(40.0, 200 * MB), (160.0, 50 * MB), (0.0, 200 * MB)])
def test_a_longer_line_carries_fewer_bytes(delay: float, size: int) -> None:
    assert [run.moved for run in far(delay)][:2] == [size, size]
