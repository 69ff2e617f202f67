from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cluster import capacity, job, remote
from trainables.errors import UserError


def test_words_are_translated_for_the_head(tmp_path: Path) -> None:
    mine = tmp_path / "searchspaces" / "mine.py"
    config = {"file_mounts": {"~/tunery/searchspaces": str(mine.parent), "~/.ray": "~/.ray"}}
    file = Path("x.yaml")
    words = ["--space", str(mine), "--set", "a=1", "--cluster", "x.yaml"]
    there = remote.translated(words, config, file)
    assert there == ["--space", "searchspaces/mine.py", "--set", "a=1", "--address", "auto"]
    there = remote.translated([f"--space={mine}", "--cluster=x.yaml"], config, file)
    assert there == ["--space=searchspaces/mine.py", "--address", "auto"]
    with pytest.raises(UserError, match="not taken along"):
        remote.translated(["--space", str(tmp_path / "mine.py")], config, file)


def test_a_password_does_not_become_a_word_of_a_job() -> None:
    words = ["--tracking-uri", "http://me:planted@server:5000"]
    with pytest.raises(UserError, match="login") as refused:
        remote.translated(words, {}, Path("x.yaml"))
    assert "planted" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [(None, "cannot be read"), ("a: [", "cannot be read"), ("- 1", "no provider")],
)
def test_a_cluster_file_that_is_none_is_refused(
    tmp_path: Path, text: str | None, says: str
) -> None:
    pytest.importorskip("aiohttp_cors")
    file = tmp_path / "x.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=says):
        remote.read(file)


def test_a_job_with_the_same_words_is_attached_to() -> None:
    class Info:
        def __init__(self, entrypoint: str, over: bool, number: str) -> None:
            self.entrypoint, self.submission_id, self.status = entrypoint, number, self
            self.is_terminal = lambda: over

    class Client:
        def __init__(self) -> None:
            same = job.entrypoint(["a"])
            self.jobs = [Info(same, True, "1"), Info(same, False, "2")]

        def list_jobs(self) -> list[Info]:
            return self.jobs

        def submit_job(self, entrypoint: str) -> str:
            self.jobs.append(Info(entrypoint, False, "3"))
            return "3"

    client = Client()
    assert job.submit(["a"], client) == "2"
    assert job.submit(["b"], client) == "3"
    assert job.submit(["b"], client) == "3"


def test_what_can_be_rented_counts_as_there(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: dict[str, Any] = {
        "head": {"resources": {"CPU": 2}, "max_workers": 0},
        "spot": {"resources": {"CPU": 4, "GPU": 1}, "max_workers": 6},
        "big": {"resources": {"CPU": 8}, "max_workers": 2},
    }
    config = {"available_node_types": kinds, "head_node_type": "head", "max_workers": 7}
    assert capacity.rentable(config) == {"CPU": 2 * 8 + 5 * 4, "GPU": 6}
    monkeypatch.setattr(capacity, "planned", lambda: {"CPU": 4.0, "GPU": 2.0})
    monkeypatch.setattr(capacity.ray, "cluster_resources", lambda: {"CPU": 8.0})
    assert capacity.capacity() == {"CPU": 8.0, "GPU": 2.0}
    monkeypatch.setenv("TUNERY_CAPACITY", "CPU=32,GPU=8")
    assert capacity.capacity() == {"CPU": 32.0, "GPU": 8.0}
