"""The times of events, on a machine whose clock is set forward and back."""

from __future__ import annotations

import pytest

from cluster.ledger.clock import start_clock


def test_a_clock_follows_no_step_of_the_machines_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    clock = start_clock()
    first = clock()
    assert 1000.0 <= first < 1100.0
    for now in (0.0, 1e12):
        monkeypatch.setattr("time.time", lambda now=now: now)
        assert first <= clock() < first + 100


def test_a_resumed_search_never_goes_back_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert 5000.0 <= start_clock(after=5000.0)() < 5100.0
