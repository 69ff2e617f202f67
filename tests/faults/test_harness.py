"""One search with every fault once; `harness --faults 13 --seed N` repeats those of a seed."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.faults.harness import attack, can_mount
from tests.support.faults.kinds import FAULTS

pytestmark = [pytest.mark.fault, pytest.mark.timeout(700)]


def test_a_search_with_every_fault_loses_nothing(tmp_path: Path) -> None:
    seed = random.randrange(10_000)
    print(f"seed {seed}")
    dice = random.Random(seed)
    faults = dice.sample(sorted(FAULTS), len(FAULTS))
    assert attack(tmp_path, faults, dice)
    if not can_mount():
        pytest.skip("passed, but without a full disk: this machine does not allow a mount")
