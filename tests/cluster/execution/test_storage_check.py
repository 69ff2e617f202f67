"""Every node of a cluster must be able to use the storage of the search."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster.execution import storage_check
from cluster.storage.location import Location
from trainables.errors import UserError


def test_a_node_must_see_the_drivers_folder(tmp_path: Path) -> None:
    probe = tmp_path / "shared" / ".seen"
    assert "does not see" in storage_check.check_node(probe, None)
    probe.parent.mkdir()
    probe.write_text(".seen")
    assert storage_check.check_node(probe, None) == ""
    assert [path.name for path in probe.parent.iterdir()] == [".seen"]
    assert storage_check.check_node(probe, Location((tmp_path / "bucket").as_uri())) == ""


@pytest.mark.slow
def test_a_cluster_with_a_node_that_does_not_see_the_storage_is_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        ray.init(address=cluster.address, log_to_driver=False, include_dashboard=False)
        monkeypatch.chdir(tmp_path)
        unshared = Path("/proc/self/cwd")  # each process has its own
        storage_check.check_nodes(unshared, None)  # one node: nothing to compare
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        storage_check.check_nodes(tmp_path, None)
        storage_check.check_nodes(tmp_path, Location((tmp_path / "bucket").as_uri()))
        with pytest.raises(UserError, match=r"the node (.|\n)*/proc/self/cwd(.|\n)*s3://"):
            storage_check.check_nodes(unshared, None)
        assert list(tmp_path.glob(".seen*")) == []
    finally:
        ray.shutdown()
        cluster.shutdown()
