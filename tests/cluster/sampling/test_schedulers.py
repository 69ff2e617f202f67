"""ASHA's rungs, and the number of reports that a search is likely to make."""

from cluster.sampling.schedulers import expected_reports, rungs


def test_rungs_are_powers_of_the_reduction_below_the_budget() -> None:
    assert rungs(9, 1) == [1, 3]
    assert rungs(27, 1) == [1, 3, 9]
    assert rungs(28, 1) == [1, 3, 9, 27]
    assert rungs(10, 2) == [2, 6]
    assert rungs(1, 1) == []


def test_asha_is_expected_to_continue_one_in_three_trials_at_each_rung() -> None:
    assert expected_reports(9, 9, 1, "none") == 81
    assert expected_reports(9, 9, 1, "asha") == 9 * 1 + 3 * 2 + 1 * 6
    assert expected_reports(9, 1, 1, "asha") == 9
