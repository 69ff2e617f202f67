"""Durations as people read them."""

import pytest

from trainables.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.44, "0.4 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (4_000_000, "1,111 h 06 min"),
    ],
)
def test_durations(seconds: float, written: str) -> None:
    assert format_duration(seconds) == written
