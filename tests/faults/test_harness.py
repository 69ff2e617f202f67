"""One search that suffers every fault once; `harness --faults 8 --seed N` does a seed's again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.faults.harness import FAULTS, attack, may_mount

pytestmark = [pytest.mark.fault, pytest.mark.timeout(400)]


def test_a_search_that_suffers_everything(tmp_path: Path) -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    faults = dice.sample(sorted(FAULTS), len(FAULTS))
    assert attack(tmp_path, faults, dice)
    if not may_mount():
        pytest.skip("passed, but without a full disk: none may be mounted here")
