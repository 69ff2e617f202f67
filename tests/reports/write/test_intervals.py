"""Numbers with intervals as text: shares stay in 0 to 100 %, differences in ±100 points."""

from reports.numbers.statistics import Interval, mean_interval
from reports.write.intervals import format_difference, format_interval


def test_ends_of_a_share_stay_shares() -> None:
    found = mean_interval([0.9588, 0.9758])  # Student's t of two seeds reaches 107 %
    assert format_interval(found, "validation_accuracy") == "96.73 % (85.93 to 100.00 %)"
    assert format_interval(Interval(0.1, -0.3, 0.5, 2), "acc") == "10.00 % (0.00 to 50.00 %)"
    assert format_interval(Interval(3.0, -1.0, 7.0, 2), "validation_loss") == "3 (-1 to 7)"


def test_ends_of_a_difference_of_shares() -> None:
    wide = Interval(0.2, -2.3, 2.7, 2)
    assert format_difference(wide, "accuracy").endswith("(95 % interval -100.00 to +100.00)")
    assert format_difference(wide, "mean_return") == "+0.2 (95 % interval -2.3 to +2.7)"
