"""`--cluster FILE` on the user's machine: what is checked, sent to the head, and printed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.launch import launcher
from trainables.errors import UserError

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def ray_has_its_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files be read where `ray[default]` is not installed, and write no token."""
    monkeypatch.setattr(launcher, "find_spec", lambda _: True)
    monkeypatch.setattr(launcher, "ensure_private_token", lambda: None)


def test_a_machine_without_rays_launcher_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(launcher, "find_spec", lambda _: None)
    (tmp_path / "x.yaml").write_text("provider: {type: aws}")
    with pytest.raises(UserError, match=r"pip install '\.\[cluster\]'"):
        launcher.read_cluster_file(tmp_path / "x.yaml")


def test_arguments_are_translated_for_the_head(tmp_path: Path) -> None:
    mine = tmp_path / "searchspaces" / "mine.py"
    config = {"file_mounts": {"~/tunery/searchspaces": str(mine.parent), "~/.ray": "~/.ray"}}
    file = Path("x.yaml")
    words = ["--space", str(mine), "--set", "a=1", "--cluster", "x.yaml"]
    there = launcher.translate_arguments(words, config, file)
    assert there == ["--space", "searchspaces/mine.py", "--set", "a=1", "--address", "auto"]
    there = launcher.translate_arguments([f"--space={mine}", "--cluster=x.yaml"], config, file)
    assert there == ["--space=searchspaces/mine.py", "--address", "auto"]
    with pytest.raises(UserError, match="is not copied to the cluster"):
        launcher.translate_arguments(["--space", str(tmp_path / "mine.py")], config, file)


@pytest.mark.parametrize(
    "uri",
    [
        "http://me:planted@server:5000",
        "https://planted@server",
        "postgresql://h/d?user=me&password=planted",
    ],
)
def test_credentials_are_not_sent_as_arguments_of_a_job(uri: str) -> None:
    for words in (["--tracking-uri", uri], [f"--tracking-uri={uri}"]):
        with pytest.raises(UserError, match="contains credentials") as rejected:
            launcher.translate_arguments(words, {}, Path("x.yaml"))
        assert "planted" not in str(rejected.value)


@pytest.mark.parametrize(
    "uri", ["http://server:5000/a@b", "abfs://container@account.net/x", "postgresql://me@host/d"]
)
def test_a_user_name_is_not_a_credential(uri: str) -> None:
    there = launcher.translate_arguments(["--storage", uri], {}, Path("x.yaml"))
    assert there == ["--storage", uri, "--address", "auto"]


@pytest.mark.parametrize(
    ("text", "message"),
    [(None, "no such file"), ("a: [", "cannot read --cluster"), ("- 1", "has no provider")],
)
def test_a_file_that_is_not_a_cluster_file_is_rejected(
    tmp_path: Path, text: str | None, message: str
) -> None:
    file = tmp_path / "x.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=message):
        launcher.read_cluster_file(file)


def test_a_file_whose_mounts_do_not_exist_is_rejected(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"provider: {{type: aws}}\nfile_mounts: {{~/tunery/x: {tmp_path}/x}}\n")
    with pytest.raises(UserError, match=r"mounts .*/x, which does not exist here"):
        launcher.read_cluster_file(file)
    (tmp_path / "x").mkdir()
    assert launcher.read_cluster_file(file)["provider"] == {"type": "aws"}


def fake_ray(monkeypatch: pytest.MonkeyPatch, *lines: str) -> list[list[str]]:
    """Let Ray's command line print these lines; return the commands that it is called with."""
    calls: list[list[str]] = []

    def start(words: list[str], stdout: int | None) -> subprocess.Popen[str]:
        calls.append(list(words))
        return subprocess.Popen(["printf", r"%s\n", *lines], stdout=stdout, text=True)

    monkeypatch.setattr(launcher, "_start_ray", start)
    return calls


def event(name: str, **fields: Any) -> str:
    return json.dumps({"event": name, **fields})


def test_the_events_of_the_job_are_printed_as_text(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    calls = fake_ray(
        monkeypatch,
        "2026-01-01 Ray's own line",
        event("submitted", job="7"),
        event("note", text="fewer than 3 nodes have joined"),
        event("log", text="trial 000 complete\n"),
        event("ended", exit_code=3),
    )
    assert launcher.follow(Path("x.yaml"), ["--set", "a='b c'"]) == 3
    captured = capsys.readouterr()
    assert captured.out == (
        "submitted as job 7\nfewer than 3 nodes have joined\ntrial 000 complete\n"
    )
    assert captured.err == ""
    (words,) = calls
    assert words[:2] == ["exec", "x.yaml"]
    assert words[2].startswith("cd ~/tunery && python -m cluster.launch.head_job --set ")


@pytest.mark.parametrize(
    ("line", "code", "lost"),
    [
        (event("ended", exit_code=1), 1, False),
        ("the search has ended with exit code 1", 1, True),  # a sentence is not an event
        ("Shared connection closed", 1, True),
    ],
)
def test_a_search_that_failed_is_not_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, line: str, code: int, lost: bool
) -> None:
    fake_ray(monkeypatch, line)
    assert launcher.follow(Path("x.yaml"), []) == code
    error = capsys.readouterr().err
    assert ("lost the connection to the head" in error) == lost
    assert (line in error) == lost


@pytest.mark.parametrize(
    "line", ["", "7", "[]", '{"a": 1}', "{", "INFO: ended", '"event"', "null"]
)
def test_other_lines_are_not_events(line: str) -> None:
    assert launcher.read_event(line) is None


@pytest.mark.parametrize(
    ("answer", "stopped"), [("y", True), ("Yes ", True), ("", False), (None, False)]
)
def test_the_cluster_is_stopped_only_when_the_user_says_so(
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    tmp_path: Path,
    answer: str | None,
    stopped: bool,
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("provider: {type: aws}\n")
    calls = fake_ray(monkeypatch, event("ended", exit_code=0))
    ask: Callable[[str], str] | None = None if answer is None else lambda _: str(answer)
    assert launcher.run_on_cluster(file, ["--space", "digits", "--cluster", str(file)], ask) == 0
    verbs = [words[0] for words in calls]
    assert verbs == ["up", "exec", *(["down"] if stopped else [])]
    assert "--no-restart" in calls[0]
    assert ("the cluster is still running" in capsys.readouterr().out) == (not stopped)


def test_a_cluster_that_does_not_start_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("provider: {type: aws}\n")
    monkeypatch.setattr(launcher, "run_ray", lambda words: int(words[0] == "up"))
    with pytest.raises(UserError, match=r"did not start(.|\n)*ray up"):
        launcher.run_on_cluster(file, ["--space", "digits"], None)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"event": "ended", "exit_code": 0}\r\n', {"event": "ended", "exit_code": 0}),
        ('warning: no tty {"event": "ended", "exit_code": 2}', {"event": "ended", "exit_code": 2}),
        ("Shared connection closed", None),
        ('{"event": "log", "text": "half', None),
        ("7", None),
        ("[" * 100_000, None),
        ('{"event": "ended", "exit_code": null}', None),
        ('{"event": 1}', None),
    ],
)
def test_an_event_is_found_behind_other_text(line: str, expected: object) -> None:
    assert launcher.read_event(line) == expected
