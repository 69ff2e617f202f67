"""Losses: accepted up to a fraction, else named."""

from __future__ import annotations

import pytest

from trainables.data.losses import check_losses, count_losses
from trainables.errors import UserError


def test_more_than_one_percent_is_an_error_that_says_how_to_accept_it() -> None:
    names = [f"cat/{i}.jpg: empty" for i in range(7)]
    check_losses("pets", count_losses(700, names), 0.01)
    check_losses("pets", count_losses(0, []), 0.0)
    with pytest.raises(UserError, match=r"pets: 7 of 699 examples cannot be used") as caught:
        check_losses("pets", count_losses(699, names), 0.01)
    for part in ("  cat/0.jpg: empty\n", "and 2 more", "--set accept_losses=0.02"):
        assert part in str(caught.value)
    assert "cat/5.jpg" not in str(caught.value)
    check_losses("pets", count_losses(699, names), 0.02)
    check_losses("pets", count_losses(7, names), 1.0)
