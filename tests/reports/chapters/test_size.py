"""The Pareto front of scores and sizes."""

from reports.chapters.size import find_pareto_front, write_section
from reports.read.winner import choose_winner
from reports.records import TrialRecord
from tests.support.make_search import make_search, make_trial


def sized(number: int, size: float, score: float) -> TrialRecord:
    return make_trial(number, score, metrics={"parameters": size})


TRIALS = [sized(0, 100, 0.8), sized(1, 50, 0.7), sized(2, 70, 0.6), sized(3, 100, 0.9)]


def test_no_smaller_trial_is_better_than_one_on_the_front() -> None:
    assert [t.number for t in find_pareto_front(TRIALS, "max", "parameters")] == [1, 3]
    assert [t.number for t in find_pareto_front(TRIALS, "min", "parameters")] == [1, 2]


def test_the_table_is_the_front() -> None:
    made = make_search(*TRIALS)
    choice = choose_winner(made)
    assert choice is not None
    found = write_section(made, choice)
    assert found is not None
    assert "| 1 | 50 | 70.00 % |\n| 3 | 100 | 90.00 % |" in found.text


def test_the_chart_has_every_trial_once_and_the_front() -> None:
    made = make_search(*TRIALS)
    choice = choose_winner(made)
    assert choice is not None
    found = write_section(made, choice)
    assert found is not None
    front, trials, winner = found.charts["parameters"]["data"]
    assert (front["x"], front["y"]) == ([50, 100, 100], [0.7, 0.9, 0.9])
    assert (trials["x"], winner["x"]) == ([100, 50, 70], [100])
    assert "trial 3, complete" in winner["text"][0]


def test_networks_of_equal_size_have_no_figure() -> None:
    made = make_search(sized(0, 100, 0.8), sized(1, 100, 0.9), make_trial(2))
    choice = choose_winner(made)
    assert choice is not None
    assert write_section(made, choice) is None


def test_trainable_parameters_are_preferred() -> None:
    sizes = [(0, 100.0, 0.9), (1, 5.0, 0.8)]
    made = make_search(
        *(
            make_trial(n, score, metrics={"parameters": 100.0, "trainable_parameters": size})
            for n, size, score in sizes
        )
    )
    choice = choose_winner(made)
    assert choice is not None
    found = write_section(made, choice)
    assert found is not None
    assert "| trial | trainable parameters |" in found.text
    assert "| 1 | 5 | 80.00 % |\n| 0 | 100 | 90.00 % |" in found.text
