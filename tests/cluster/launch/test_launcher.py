from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from cluster.execution import resources
from cluster.launch import head_job, launcher
from cluster.storage.redaction import redact
from cluster.tracking.client import open_client
from trainables.errors import UserError


def test_words_are_translated_for_the_head(tmp_path: Path) -> None:
    mine = tmp_path / "searchspaces" / "mine.py"
    config = {"file_mounts": {"~/tunery/searchspaces": str(mine.parent), "~/.ray": "~/.ray"}}
    file = Path("x.yaml")
    words = ["--space", str(mine), "--set", "a=1", "--cluster", "x.yaml"]
    there = launcher.translate_arguments(words, config, file)
    assert there == ["--space", "searchspaces/mine.py", "--set", "a=1", "--address", "auto"]
    there = launcher.translate_arguments([f"--space={mine}", "--cluster=x.yaml"], config, file)
    assert there == ["--space=searchspaces/mine.py", "--address", "auto"]
    with pytest.raises(UserError, match="not taken along"):
        launcher.translate_arguments(["--space", str(tmp_path / "mine.py")], config, file)


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:planted@server:5000",
        "https://planted@server",
        "postgresql://h/d?user=me&password=planted",
    ],
)
def test_a_login_does_not_become_a_word_of_a_job(uri: str) -> None:
    for words in (["--tracking-uri", uri], [f"--tracking-uri={uri}"]):
        with pytest.raises(UserError, match="login") as refused:
            launcher.translate_arguments(words, {}, Path("x.yaml"))
        assert "planted" not in str(refused.value)


def test_an_address_that_was_written_down_without_its_password_is_asked_for_again() -> None:
    with pytest.raises(UserError, match="give --tracking-uri again"):
        open_client(redact("postgresql://host/mlflow?password=planted"))


@pytest.mark.parametrize(
    "uri", ["http://server:5000/a@b", "abfs://container@account.net/x", "postgresql://me@host/d"]
)
def test_a_name_is_no_login(uri: str) -> None:
    there = launcher.translate_arguments(["--storage", uri], {}, Path("x.yaml"))
    assert there == ["--storage", uri, "--address", "auto"]


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "there is no such file"), ("a: [", "cannot be read"), ("- 1", "no provider")],
)
def test_a_cluster_file_that_is_none_is_refused(
    tmp_path: Path, text: str | None, says: str
) -> None:
    pytest.importorskip("aiohttp_cors")
    file = tmp_path / "x.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=says):
        launcher.read_cluster_file(file)


def test_a_job_with_the_same_words_is_attached_to() -> None:
    class Info:
        def __init__(self, entrypoint: str, over: bool, number: str) -> None:
            self.entrypoint, self.submission_id, self.status = entrypoint, number, self
            self.is_terminal = lambda: over

    class Client:
        def __init__(self) -> None:
            same = head_job.entrypoint(["a"])
            self.jobs = [Info(same, True, "1"), Info(same, False, "2")]

        def list_jobs(self) -> list[Info]:
            return self.jobs

        def submit_job(self, entrypoint: str) -> str:
            self.jobs.append(Info(entrypoint, False, "3"))
            return "3"

    client = Client()
    assert head_job.submit(["a"], client) == "2"
    assert head_job.submit(["b"], client) == "3"
    assert head_job.submit(["b"], client) == "3"


def test_what_can_be_rented_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
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
        with pytest.raises(UserError, match=f"TUNERY_CAPACITY={wrong} is not such as"):
            resources.cluster_capacity(joined=True)


def test_a_ray_of_ones_own_has_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the head of a cluster, too, where a file tells what could be rented for the cluster."""
    monkeypatch.setattr(resources, "read_autoscaler_limits", lambda: {"CPU": 4.0, "GPU": 2.0})
    monkeypatch.setattr(resources.ray, "cluster_resources", lambda: {"CPU": 2.0})
    wanted = {"cpu": 1.0, "gpu": 1.0}
    alone = resources.allocate(wanted, None, None, joined=False)
    assert (alone.gpus, resources.max_concurrency(alone)) == (0.0, 2)
    member = resources.allocate(wanted, None, None, joined=True)
    assert (member.gpus, resources.max_concurrency(member)) == (1.0, 2)
    monkeypatch.setenv("TUNERY_CAPACITY", "CPU=32,GPU=8")
    assert resources.allocate(wanted, None, None, joined=False).gpus == 0.0


@pytest.mark.parametrize(
    ("cpus", "machines", "expected"),
    [
        (1.0, [{}, {"CPU": 8.0}, {"CPU": 4.0}], 4.0),  # a head without CPUs
        (0.0, [{"CPU": 0.0}, {"CPU": 4.0}], 4.0),
        (2.0, [{"CPU": 1.0}, {"CPU": 4.0}], 4.0),
        (2.0, [{}], 2.0),  # none is there yet
    ],
)
def test_a_trial_that_is_to_be_alone_takes_a_machine(
    monkeypatch: pytest.MonkeyPatch,
    cpus: float,
    machines: list[dict[str, float]],
    expected: float,
) -> None:
    nodes = [{"Alive": True, "Resources": resources} for resources in machines]
    monkeypatch.setattr(resources.ray, "nodes", lambda: nodes)
    bundle = resources._bundle(resources.Resources(cpus, 0.0, None, joined=True), alone=True)
    assert bundle.bundles == [{"CPU": expected}]


def test_every_machine_that_is_always_there_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ray.util import state

    def list_nodes(limit: int = 100, **_: Any) -> list[int]:
        return list(range(151))[:limit]

    kinds = {"head": {}, "worker": {"min_workers": 150}}
    (tmp_path / "plan.json").write_text(json.dumps({"available_node_types": kinds}))
    monkeypatch.setattr(head_job, "PLAN", tmp_path / "plan.json")
    monkeypatch.setattr(head_job, "PATIENCE", -1.0)
    monkeypatch.setattr(state, "list_nodes", list_nodes)
    head_job.wait_for_nodes()
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("says", "code", "expected"),
    [("the search has ended with exit code 1", 1, ""), ("Shared connection closed", 1, "lost")],
)
def test_a_search_that_failed_is_not_a_lost_head(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    says: str,
    code: int,
    expected: str,
) -> None:
    monkeypatch.setattr(
        launcher,
        "_ray",
        lambda words, stdout: subprocess.Popen(["echo", says], stdout=stdout, text=True),
    )
    assert launcher.follow(Path("x.yaml"), []) == code
    assert ("lost from sight" in capsys.readouterr().err) == bool(expected)
