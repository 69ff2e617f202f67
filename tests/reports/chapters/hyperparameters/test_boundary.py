"""Warnings if the best trials are at an end of a range, and no other warnings."""

import pytest
from scipy.stats import fisher_exact

from reports.chapters.hyperparameters.boundary import Edge, count_near_edges, is_crowded
from reports.read.space import Parameter
from reports.read.winner import choose_winner
from tests.benchmarks.calibration.searches import measure_edge_warnings
from tests.support.make_search import make_search, make_trial

RATE = Parameter("rate", 1e-4, 1.0, log=True)


def check_edges(parameter: Parameter, values: list[float]) -> Edge:
    """The edges seen by trials with these values, the best first."""
    search_of_values = make_search(
        *(make_trial(i, 1 - i / 100, params={parameter.name: v}) for i, v in enumerate(values))
    )
    choice = choose_winner(search_of_values)
    assert choice is not None
    return count_near_edges((parameter,), parameter, choice, search_of_values.trials)


MIDDLE = [0.01, 0.02, 0.03, 0.004, 0.05] * 6


def test_the_winner_alone_is_no_warning() -> None:
    edge = check_edges(RATE, [1.5e-4, *MIDDLE])
    assert (edge.at_low, edge.at_high) == (1, 0)
    assert not edge.warning


def test_many_best_trials_at_an_end_are_a_warning() -> None:
    # 4 of the 10 best of 34: the chance of all four is 210 / 46,376 at each of two ends.
    edge = check_edges(RATE, [0.01, 0.9, 0.95, 0.85, 0.99, *MIDDLE[1:]])
    assert edge.high_warned
    assert edge.warning == "`rate`: 4 of the 10 best trials are at the upper end of the range, 1."
    # In linear scale all others would lie within 5 % of the lower end.
    assert not edge.low_warned


def test_an_end_that_all_trials_are_near_is_no_warning() -> None:
    depth = Parameter("depth", 1, 2, whole=True)
    assert not check_edges(depth, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, *[1, 2] * 3]).warning


@pytest.mark.parametrize(
    ("count", "best", "near", "trials"),
    [(3, 4, 5, 40), (2, 10, 30, 200), (10, 10, 60, 900), (0, 3, 0, 9), (1, 1, 1, 2)],
)
def test_the_warning_is_fishers_exact_test(count: int, best: int, near: int, trials: int) -> None:
    table = [[count, best - count], [near - count, trials - near - best + count]]
    p = fisher_exact(table, alternative="greater").pvalue
    assert is_crowded(count, best, near, trials, 1) == (p < 0.05)
    barely = 0.05 / p
    assert is_crowded(count, best, near, trials, barely * 0.99)
    assert not is_crowded(count, best, near, trials, barely * 1.01)


def test_noise_warns_in_no_more_than_5_per_cent_of_searches() -> None:
    found = measure_edge_warnings(parameters=6, trials=40, experiments=400)
    assert found.value <= 0.05 + 2 * found.get_error(0.05)


def test_choices_and_estimated_ranges_have_no_ends() -> None:
    assert not check_edges(Parameter("rate", 1e-4, 1.0, True, declared=False), [1e-4, 1.0]).warning
    edge = check_edges(Parameter("kind", choices=("a", "b")), ["b", "a", "b"])  # type: ignore[list-item]
    assert (edge.span, edge.warning) == ("b: 2, a: 1", "")


@pytest.mark.parametrize("missing", [{}, {"other": 1}])
def test_trials_without_the_hyperparameter(missing: dict[str, int]) -> None:
    search = make_search(make_trial(0, params=missing))
    choice = choose_winner(search)
    assert choice is not None
    assert count_near_edges((RATE,), RATE, choice, search.trials) == Edge(1, "")
