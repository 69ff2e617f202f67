"""How many trials share a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cluster.packing import CONTEXT, HEADROOM, Load, measured, together
from trainables.trainable import Settings

GIB = 2**30


@pytest.mark.parametrize(
    ("load", "room", "expected"),
    [
        (Load(80 * GIB, GIB, 1.0), 16, 1),  # one keeps it busy
        (Load(80 * GIB, GIB, 0.5), 16, 2),
        (Load(80 * GIB, GIB, 0.3), 16, 4),  # the fourth fills what is left
        (Load(80 * GIB, GIB, 0.3), 3, 3),  # the CPUs run three
        (Load(8 * GIB, 3 * GIB, 0.1), 16, 2),  # memory
        (Load(8 * GIB, 9 * GIB, 0.1), 16, 1),  # never none
        (Load(80 * GIB, GIB, 0.0), 16, 16),
    ],
)
def test_as_many_as_end_the_most_per_hour(load: Load, room: int, expected: int) -> None:
    assert together(load, room) == expected


def test_what_is_packed_fits() -> None:
    for peak in range(1, 40):
        load = Load(40 * GIB, peak * GIB, 0.01)
        used = together(load, 100) * (load.peak + CONTEXT)
        assert used <= HEADROOM * load.free or together(load, 100) == 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_probe_sees_memory_and_kernels(tmp_path: Path) -> None:
    settings = Settings("svhn_150k", tmp_path, tmp_path, reports=3, source="made-up")
    load = measured(settings, {})
    assert 2**20 < load.peak < load.free
    assert 0 < load.busy <= 1
