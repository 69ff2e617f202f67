"""The part of `--cluster` on the head: a job per search, reported in lines of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.launch import head_job

Capture = pytest.CaptureFixture[str]


class Jobs:
    """Ray's jobs: their entrypoints, and whether they have ended."""

    def __init__(self, *jobs: tuple[str, bool]) -> None:
        self.jobs = [self.make(*job, number) for number, job in enumerate(jobs, 1)]
        self.info = SimpleNamespace(driver_exit_code=0, message="")

    @staticmethod
    def make(entrypoint: str, ended: bool, number: int) -> Any:
        status = SimpleNamespace(is_terminal=lambda: ended)
        return SimpleNamespace(entrypoint=entrypoint, submission_id=str(number), status=status)

    def list_jobs(self) -> list[Any]:
        return self.jobs

    def submit_job(self, entrypoint: str) -> str:
        self.jobs.append(self.make(entrypoint, False, len(self.jobs) + 1))
        return str(len(self.jobs))

    def get_job_info(self, job_id: str) -> Any:
        self.info.status = SimpleNamespace(is_terminal=lambda: True)
        return self.info

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:
        yield f"line one of job {job_id}\n"
        yield "line two\nline three\n"


def read_events(capture: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capture.readouterr().out.splitlines()]


def test_a_job_with_the_same_arguments_is_attached_to(capsys: Capture) -> None:
    same = head_job.build_entrypoint(["a"])
    jobs = Jobs((same, True), (same, False))
    assert head_job.submit(["a"], jobs) == "2"
    assert head_job.submit(["b"], jobs) == "3"
    assert head_job.submit(["b"], jobs) == "3"
    assert read_events(capsys) == [
        {"event": "attached", "job": "2"},
        {"event": "submitted", "job": "3"},
        {"event": "attached", "job": "3"},
    ]


def test_the_entrypoint_quotes_its_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_job.sys, "executable", "/usr/bin/python")
    entrypoint = head_job.build_entrypoint(["--set", "a='b c'"])
    assert entrypoint.startswith(f"cd {Path.cwd()} && exec /usr/bin/python -m trainables.tune")
    assert entrypoint.endswith("""--set 'a='"'"'b c'"'"''""")


def test_the_output_of_a_job_is_sent_as_events(capsys: Capture) -> None:
    asyncio.run(head_job.stream_logs("7", Jobs()))
    assert read_events(capsys) == [
        {"event": "log", "text": "line one of job 7\n"},
        {"event": "log", "text": "line two\nline three\n"},
    ]


def test_the_exit_code_of_the_command_is_returned(capsys: Capture) -> None:
    jobs = Jobs()
    jobs.info.driver_exit_code = 3
    assert head_job.wait_for_exit_code("1", jobs) == 3
    assert read_events(capsys) == []
    jobs.info.driver_exit_code, jobs.info.message = None, "the job supervisor died"
    assert head_job.wait_for_exit_code("1", jobs) == 1
    assert read_events(capsys) == [{"event": "note", "text": "the job supervisor died"}]


def test_a_job_ends_with_its_exit_code(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    jobs = Jobs()
    jobs.info.driver_exit_code = 130
    monkeypatch.setattr(head_job, "connect_to_jobs", lambda: jobs)
    monkeypatch.setattr(head_job, "wait_for_nodes", lambda: None)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert head_job.main(["--space", "digits"]) == 130
    events = read_events(capsys)
    assert [event["event"] for event in events] == ["submitted", "log", "log", "ended"]
    assert events[-1] == {"event": "ended", "exit_code": 130}


def write_cluster_file(folder: Path, monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    kinds = {"head": {}, "worker": {"min_workers": workers}}
    file = folder / "bootstrap.yaml"
    file.write_text(json.dumps({"available_node_types": kinds}))
    monkeypatch.setattr(head_job, "BOOTSTRAP_CONFIG", file)
    monkeypatch.setattr(head_job, "PATIENCE", -1.0)


@pytest.mark.parametrize(("alive", "note"), [(151, ""), (150, "fewer than 151 nodes have joined")])
def test_the_job_waits_for_every_permanent_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Capture, alive: int, note: str
) -> None:
    from ray.util import state

    def list_nodes(limit: int = 100, **_: Any) -> list[int]:
        return list(range(alive))[:limit]

    write_cluster_file(tmp_path, monkeypatch, workers=150)
    monkeypatch.setattr(state, "list_nodes", list_nodes)
    head_job.wait_for_nodes()
    texts = [event["text"] for event in read_events(capsys)]
    assert texts == ([f"{note}; starting anyway"] if note else [])


def test_without_a_cluster_file_no_node_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(head_job, "BOOTSTRAP_CONFIG", tmp_path / "missing.yaml")
    head_job.wait_for_nodes()
