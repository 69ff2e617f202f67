"""One configuration is trained in this process; every file of its folder is checked."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from searchspaces.train_one import TrainingError
from trainables.train import main

SPACE = """
from dataclasses import dataclass

import torch

from searchspaces import SearchSpace


@dataclass(frozen=True)
class Config:
    seed: int = 0
    rate: float = 0.5


def train(config, run):
    torch.manual_seed(config.seed)
    model = torch.nn.Linear(1, 1)
    for report in run.resume(model=model):
        {body}


def suggest(trial):
    return {{"rate": trial.suggest_float("rate", 0.0, 1.0)}}


SPACE = SearchSpace(Config, train, suggest, metric="loss", mode="min", reports=3)
"""
PLAIN = 'yield {"loss": config.rate + report, "drawn": float(torch.rand(()))}'

Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Train:
    """Return a function that trains a space, and returns the exit code and what was printed."""

    def run(*arguments: str, body: str = PLAIN) -> tuple[int, str]:
        (tmp_path / "mine.py").write_text(SPACE.format(body=body))
        code = main(["--space", str(tmp_path / "mine.py"), *arguments])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_the_searched_metric_alone_ends_a_training(train: Train) -> None:
    nan = 'float("nan")'
    code, text = train(body=f'yield {{"loss": 1.0, "f1": {nan}}} if report else {{"loss": 2.0}}')
    assert code == 0 and "f1 nan" in text and "best loss 1.0000 at report 2" in text
    code, text = train(body=f'yield {{"loss": {nan} if report else 1.0}}')
    assert code == 1 and "diverged: loss is nan at report 2" in text


@pytest.mark.parametrize(
    ("body", "line", "message"),
    [
        (
            'yield {"a": 1.0, "f1": 2.0}',
            19,
            "lacks the searched metric 'loss'; it has 'a', 'f1'",
        ),
        ('yield {"loss": 1.0, 5: 3.0}', 19, "a metric has the name 5 (int)"),
        ('yield {"loss": 1.0, "": 3.0}', 19, "a metric has the name '' (str)"),
        ('yield {"loss": "low"}', 19, "the metric 'loss' is 'low' (str), not a number"),
        ("yield 0.5", 19, "a report is 0.5 (float), not a mapping"),
        ("pass\n    yield from ()", 0, "ended without a single report"),
        ("pass\n    return None", 0, "train returned None (NoneType) and made no report"),
    ],
)
def test_what_is_no_report_is_an_error_with_its_line(
    train: Train, tmp_path: Path, body: str, line: int, message: str
) -> None:
    code, text = train(body=body)
    assert code == 2 and message in text and "Traceback" not in text
    assert not line or f"({tmp_path / 'mine.py'}, line {line})" in text


def test_a_part_that_cannot_be_saved_is_rejected_without_a_folder_too(train: Train) -> None:
    code, text = train(body="pass\n    run.parts = {}\n    run.resume(state=[0])\n    yield {}")
    assert code == 2 and "cannot save the part 'state', list" in text


def _reports(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("report ")]


@pytest.mark.parametrize("name", ["last/manifest.json", "last/state-3.safetensors"])
def test_a_damaged_checkpoint_is_named_and_trained_again(
    train: Train, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    _, first = train("--out", str(out))
    code, text = train("--out", str(out))
    assert (code, _reports(text)) == (0, [])  # no report was left
    path = out / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)
    code, text = train("--out", str(out))
    assert code == 0 and _reports(text) == _reports(first)
    assert f"the checkpoint {out / 'last'} is damaged: " in text
    assert "; the training starts again from its first report" in text
    assert "is damaged" not in train("--out", str(out))[1]


@pytest.mark.parametrize("kept", ["history-*", "state-*"])
def test_a_missing_manifest_is_named_and_trained_again(
    train: Train, tmp_path: Path, kept: str
) -> None:
    last = tmp_path / "out" / "last"
    _, first = train("--out", str(last.parent))
    for path in set(last.iterdir()) - set(last.glob(kept)):
        path.unlink()
    code, text = train("--out", str(last.parent))
    assert code == 0 and _reports(text) == _reports(first)
    assert f"the checkpoint {last} has no manifest.json; the training starts again" in text


def test_a_folder_of_another_or_of_no_known_configuration_is_rejected(
    train: Train, tmp_path: Path
) -> None:
    out, path = tmp_path / "out", tmp_path / "out" / "config.json"
    assert train("--out", str(out), "--reports", "1")[0] == 0
    code, text = train("--out", str(out), "--set", "rate=0.25")
    assert code == 2 and "a training with another configuration" in text
    whole = path.read_text()
    assert json.loads(whole)["config"]["rate"] == 0.5
    for damaged in (whole.replace("0.5", "0.7"), whole[:30], "[]", ""):
        path.write_text(damaged)
        code, text = train("--out", str(out))
        assert code == 2 and f"{path} is damaged: " in text and "delete it if" in text
    path.unlink()
    code, text = train("--out", str(out))
    assert code == 0 and f"{path} was missing; it is written again" in text
    assert path.read_text() == whole
    assert [line[:10] for line in _reports(text)] == ["report   2", "report   3"]


def test_a_folder_of_an_older_version_is_continued(train: Train, tmp_path: Path) -> None:
    out, path = tmp_path / "out", tmp_path / "out" / "config.json"
    assert train("--out", str(out), "--reports", "1")[0] == 0
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"space": content["space"], **content["config"]}, indent=2))
    code, text = train("--out", str(out))
    assert code == 0 and len(_reports(text)) == 2


def test_errors_of_a_task_are_one_line_with_their_place(train: Train, tmp_path: Path) -> None:
    for body, said in (
        ("yield {'loss': 1 / report}", "ZeroDivisionError: "),
        ("open('missing.txt'); yield {}", "FileNotFoundError: "),
        ("raise SystemExit(3); yield {}", "SystemExit: 3"),
        ("run.keep_predictions(test=lambda: 1 / 0); yield {'loss': 1.0}", "ZeroDivisionError: "),
    ):
        code, text = train("--out", str(tmp_path / said[:4] / str(len(body))), body=body)
        assert code == 1 and f"the training failed: {said}" in text
        assert f"({tmp_path / 'mine.py'}, line 19)\n--debug shows the traceback\n" in text
        assert "Traceback" not in text
    with pytest.raises(TrainingError):
        train("--debug", body="yield {'loss': 1 / report}")


def test_an_interrupted_training_is_one_line(train: Train, tmp_path: Path) -> None:
    body = "yield {'loss': 1.0 if not report else (_ for _ in ()).throw(KeyboardInterrupt)}"
    code, text = train(body=body)
    assert code == 130 and text.endswith("\ninterrupted\n")
    code, text = train("--out", str(tmp_path / "out"), body=body)
    assert code == 130 and text.endswith("\ninterrupted; continue with the same command\n")
    assert "Traceback" not in text


def test_what_cannot_be_read_or_written_is_an_error_of_the_user(
    train: Train,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--space", "/" + "x" * 5000 + ".py"]) == 2
    assert "File name too long" in capsys.readouterr().err

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("trainables.run.write_last", fail)
    code, text = train("--out", str(tmp_path / "out"))
    assert code == 2 and "No space left on device\nfree some space, then continue" in text
    assert "Traceback" not in text


def test_a_task_that_closes_standard_output_is_still_reported(train: Train) -> None:
    code, text = train(body=f"__import__('sys').stdout.close()\n        {PLAIN}")
    assert code == 0 and len(_reports(text)) == 3
