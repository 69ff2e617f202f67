"""A clock for drivers that wait for each other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cluster.storage import lease


class Clock:
    """Time that passes only in `sleep`; `during` is called in every sleep."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.during: Callable[[], object] = lambda: None
        patch.setattr(lease, "monotonic", lambda: self.now)
        patch.setattr(lease, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.during()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)
