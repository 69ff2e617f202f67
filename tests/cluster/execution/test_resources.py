"""The size of a cluster, and the resources of a trial."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cluster.execution import resources
from cluster.execution.resources import Resources, bundle_resources
from trainables.errors import UserError


def test_nodes_that_can_be_started_count_on_a_joined_cluster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kinds: dict[str, Any] = {
        "head": {"resources": {"CPU": 2}, "max_workers": 0},
        "spot": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 6},
        "big": {"resources": {"CPU": 8}, "max_workers": 2},
    }
    config = {"available_node_types": kinds, "head_node_type": "head", "max_workers": 7}
    assert resources.sum_autoscaler_limits(config) == {"CPU": 2 * 8 + 5 * 4, "GPU": 6}
    monkeypatch.setattr(resources, "read_autoscaler_limits", lambda: {"CPU": 4.0, "GPU": 2.0})
    monkeypatch.setattr(resources.ray, "cluster_resources", lambda: {"CPU": 8.0})
    assert resources.cluster_capacity(joined=True) == {"CPU": 8.0, "GPU": 2.0}
    monkeypatch.setenv("TUNERY_CAPACITY", "CPU=32, GPU=8,")
    assert resources.cluster_capacity(joined=True) == {"CPU": 32.0, "GPU": 8.0}
    for wrong in ("CPU=lots", "CPU", "8"):
        monkeypatch.setenv("TUNERY_CAPACITY", wrong)
        with pytest.raises(UserError, match=f"TUNERY_CAPACITY={wrong} is not of the form CPU="):
            resources.cluster_capacity(joined=True)


def test_the_cluster_file_of_ray_up_is_read_and_may_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "bootstrap.yaml"
    assert resources.read_autoscaler_limits(file) == {}
    file.write_text("not: JSON")
    assert resources.read_autoscaler_limits(file) == {}
    kinds = {"head": {}, "spot": {"resources": {"GPU": 1}, "max_workers": 3}}
    config = {"available_node_types": kinds, "head_node_type": "head", "max_workers": 2}
    file.write_text(json.dumps(config))
    assert resources.read_autoscaler_limits(file) == {"GPU": 2}


def test_a_ray_that_the_search_started_cannot_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the head of a cluster, too, where a file has the limits of the cluster's autoscaler."""
    monkeypatch.setattr(resources, "read_autoscaler_limits", lambda: {"CPU": 4.0, "GPU": 2.0})
    monkeypatch.setattr(resources.ray, "cluster_resources", lambda: {"CPU": 2.0})
    wanted = {"cpu": 1.0, "gpu": 1.0}
    alone = resources.allocate(wanted, None, None, joined=False)
    assert (alone.gpus, resources.max_concurrency(alone)) == (0.0, 2)
    member = resources.allocate(wanted, None, None, joined=True)
    assert (member.gpus, resources.max_concurrency(member)) == (1.0, 2)
    monkeypatch.setenv("TUNERY_CAPACITY", "CPU=32,GPU=8")
    assert resources.allocate(wanted, None, None, joined=False).gpus == 0.0


def test_a_trial_that_does_not_fit_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources.ray, "cluster_resources", lambda: {"CPU": 2.0})
    with pytest.raises(UserError, match=r"--gpus-per-trial 0\.5: Ray sees no GPU here"):
        resources.allocate({}, 0.5, None, joined=False)
    with pytest.raises(UserError, match="needs 4 CPUs, but Ray has 2"):
        resources.allocate({"cpu": 4.0}, None, None, joined=False)
    monkeypatch.setattr(resources.ray, "cluster_resources", lambda: {"CPU": 2.0, "GPU": 1.0})
    with pytest.raises(UserError, match="needs 2 GPUs, but Ray has 1"):
        resources.allocate({"gpu": 2.0}, None, None, joined=False)


def test_concurrency_is_limited_by_the_option_the_cpus_and_the_gpus(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resources.ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 1.0})
    for cpus, gpus, concurrency, expected in (
        (1.0, 0.0, None, 8),
        (3.0, 0.0, None, 2),
        (1.0, 0.3333, None, 3),
        (1.0, 0.25, 2, 2),
        (1.0, 0.0, 99, 8),
        (0.0, 0.5, None, 2),
        (16.0, 0.0, None, 1),
    ):
        asked = Resources(cpus, gpus, concurrency, joined=False)
        assert resources.max_concurrency(asked) == expected


@pytest.mark.parametrize(
    ("cpus", "machines", "expected"),
    [
        (1.0, [{}, {"CPU": 8.0}, {"CPU": 4.0}], 4.0),  # a head without CPUs
        (0.0, [{"CPU": 0.0}, {"CPU": 4.0}], 4.0),
        (2.0, [{"CPU": 1.0}, {"CPU": 4.0}], 4.0),
        (2.0, [{}], 2.0),  # no worker has been started
    ],
)
def test_an_exclusive_attempt_reserves_a_whole_node(
    monkeypatch: pytest.MonkeyPatch,
    cpus: float,
    machines: list[dict[str, float]],
    expected: float,
) -> None:
    nodes = [{"Alive": True, "Resources": have} for have in machines]
    monkeypatch.setattr(resources.ray, "nodes", lambda: nodes)
    bundle = bundle_resources(Resources(cpus, 0.0, None, joined=True), exclusive=True)
    assert bundle.bundles == [{"CPU": expected}]


def test_other_attempts_reserve_their_share() -> None:
    bundle = bundle_resources(Resources(1.0, 0.25, None, joined=False), exclusive=False)
    assert bundle.bundles == [{"CPU": 1.0, "GPU": 0.25}]
