"""Warnings if the best trials are at an end of a range, and no other warnings."""

import pytest

from reports.chapters.hyperparameters.boundary import Edge, count_near_edges
from reports.read.space import Parameter
from reports.read.winner import choose_winner
from tests.support.make_search import make_search, make_trial

RATE = Parameter("rate", 1e-4, 1.0, log=True)


def check_edges(parameter: Parameter, values: list[float]) -> Edge:
    """The edges seen by trials with these values, the best first."""
    search_of_values = make_search(
        *(make_trial(i, 1 - i / 100, params={parameter.name: v}) for i, v in enumerate(values))
    )
    choice = choose_winner(search_of_values)
    assert choice is not None
    return count_near_edges((parameter,), parameter, choice, "max")


def test_a_winner_at_an_end_in_log_scale_is_a_warning() -> None:
    edge = check_edges(RATE, [1.5e-4, 0.01, 0.02, 0.01, 0.03])
    assert (edge.at_low, edge.at_high) == (1, 0)
    assert edge.warning == "`rate`: the winner is at the lower end of the range, 0.0001."
    # In linear scale all of these would lie within 5 % of the lower end.
    assert not check_edges(RATE, [0.01, 0.02, 0.01, 0.03, 0.004]).warning


def test_many_best_trials_at_an_end_are_a_warning() -> None:
    edge = check_edges(RATE, [0.01, 0.9, 0.95, 0.85, 0.02, 0.03])
    assert edge.high_warned
    assert edge.warning.startswith("`rate`: 3 of the 6 best trials are at the upper end")
    assert not check_edges(RATE, [0.01, 0.9, 0.02, 0.03, 0.01, 0.02]).warning  # one is no crowd


def test_integers_are_often_at_an_end() -> None:
    depth = Parameter("depth", 1, 2, whole=True)
    # Half of evenly drawn values lie at either end, so these are no crowd, but the winner warns.
    assert check_edges(depth, [2, 1, 1, 2, 2, 1, 1, 2]).warning.count("end of the range") == 1
    wide = Parameter("width", 1, 101, whole=True)
    assert check_edges(wide, [50, 1, 1, 2, 60, 70]).low_warned


def test_choices_and_estimated_ranges_have_no_ends() -> None:
    assert not check_edges(Parameter("rate", 1e-4, 1.0, True, declared=False), [1e-4, 1.0]).warning
    edge = check_edges(Parameter("kind", choices=("a", "b")), ["b", "a", "b"])  # type: ignore[list-item]
    assert (edge.span, edge.warning) == ("b: 2, a: 1", "")


@pytest.mark.parametrize("missing", [{}, {"other": 1}])
def test_trials_without_the_hyperparameter(missing: dict[str, int]) -> None:
    choice = choose_winner(make_search(make_trial(0, params=missing)))
    assert choice is not None
    assert count_near_edges((RATE,), RATE, choice, "max") == Edge(1, "")
