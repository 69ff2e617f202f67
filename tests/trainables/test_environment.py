from __future__ import annotations

from pathlib import Path

import pytest

from trainables.environment import default_cache


def test_default_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNERY_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("TUNERY_CACHE")
    assert default_cache() == Path.home() / ".cache" / "tunery"
