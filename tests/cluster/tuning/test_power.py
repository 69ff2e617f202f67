"""The difference that seeds are said to find is found so often by the test of the reports."""

import math

import pytest

from cluster.tuning.power import describe_power, find_detectable
from tests.benchmarks.calibration.means import measure_power


@pytest.mark.parametrize(("rows", "seeds"), [(2, 3), (2, 5), (2, 10), (3, 4), (6, 3), (6, 5)])
def test_the_difference_is_found_in_80_per_cent(rows: int, seeds: int) -> None:
    difference = find_detectable(rows, seeds)
    assert difference is not None
    found = measure_power(rows, seeds, difference / math.sqrt(2 / seeds), experiments=400)
    assert 0.75 - 2 * found.get_error() <= found.value <= 0.88 + 2 * found.get_error()


def test_more_seeds_find_less_and_more_rows_need_more() -> None:
    found = [find_detectable(2, seeds) or 0 for seeds in (3, 5, 10, 20)]
    assert found == sorted(found, reverse=True)
    assert (find_detectable(6, 5) or 0) > found[1]


def test_two_seeds_or_one_row_find_nothing() -> None:
    assert find_detectable(6, 2) is None
    assert find_detectable(1, 5) is None
    text = describe_power(6, 2)
    assert "2 seeds no difference of two of 6 arms, however large, is found in 80 % of" in text
    assert "; 10 seeds, " in text
    assert describe_power(1, 5) == ""


def test_the_sentence_names_ten_seeds_beside_fewer() -> None:
    text = describe_power(2, 3)
    assert text.startswith("3 seeds find a difference of two of 2 arms in 80 % of comparisons if")
    assert text.endswith("; 10 seeds, 1.4")
    assert "10 seeds" not in describe_power(2, 12)
