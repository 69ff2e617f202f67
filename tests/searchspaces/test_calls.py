from __future__ import annotations

import dataclasses
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from cluster.cli import main as tune
from reports.records import Search
from reports.trained.models import read_data, restore_model
from searchspaces.calls import prepare_data, restore_predictor
from searchspaces.loading import load_space, load_trained
from trainables.data.source import DataMissingError
from trainables.errors import TaskError, UserError
from trainables.predictor import GroundTruth
from trainables.run import Run
from trainables.train import main as train

FILE = '''"""Is what a user's functions do told in one line?"""
import sys
from dataclasses import dataclass
from searchspaces import SearchSpace
@dataclass(frozen=True)
class Config:
    seed: int = 0
    x: float = 0.5
def train(config, run):
    yield {"loss": config.x}
def suggest(trial):
    return {"x": trial.suggest_float("x", 0, 1)}
def prepare(config, run):
    BODY
def restore(config, folder):
    BODY
SPACE = SearchSpace(Config, train, suggest, "loss", "min", 1, prepare=prepare, restore=restore)
'''
BODIES = {
    "1 / 0": r"raised ZeroDivisionError: division by zero \(.*mine.py, line {inside}\)",
    "sys.exit(0)": r"raised SystemExit: 0 \(.*mine.py, line {inside}\)",
    "return None": r"returned None instead of a {kind} \(.*mine.py, line {line}\)",
    "return {}": r"returned a dict instead of a {kind} \(.*mine.py, line {line}\)",
}


def write_space(folder: Path, body: str) -> Path:
    file = folder / "mine.py"
    file.write_text(FILE.replace("BODY", body))
    return file


def expect(body: str, line: int, kind: str) -> str:
    return BODIES[body].format(line=line, inside=line + 1, kind=kind)


@pytest.mark.parametrize("command", [lambda *w: tune([*w, "--dry-run"]), lambda *w: train([*w])])
def test_a_folder_that_a_space_does_not_read_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., int]
) -> None:
    assert command("--space", "digits", "--data-dir", str(tmp_path)) == 2
    assert f"--data-dir {tmp_path}: digits reads no folder" in capsys.readouterr().err
    with pytest.raises(UserError, match="digits reads no folder"):
        read_data("digits", {}, cast("Search", None), tmp_path)


@pytest.mark.parametrize("body", BODIES)
def test_what_prepare_raises_or_returns_is_told_with_its_line(tmp_path: Path, body: str) -> None:
    space = load_space(str(write_space(tmp_path, body)))
    with pytest.raises(TaskError, match=f"^prepare of mine {expect(body, 13, 'GroundTruth')}"):
        prepare_data(space, space.config(), Run(reports=1))


@pytest.mark.parametrize("body", BODIES)
def test_what_restore_raises_or_returns_is_told_with_its_line(tmp_path: Path, body: str) -> None:
    file = str(write_space(tmp_path, body))
    space, expected = load_space(file), f"^restore of mine {expect(body, 15, 'Predictor')}"
    with pytest.raises(UserError, match=expected):
        restore_predictor(space, space.config(), tmp_path)
    with pytest.raises(UserError, match=expected):
        restore_model(file, {}, tmp_path)
    content = {"space": file, "teacher": None, "config": {"seed": 0, "x": 0.5}}
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=expected):
        load_trained(tmp_path, trust_code=True)


@pytest.mark.parametrize("example", ["torch.zeros(1, 2)", "[[0.0, 0.0]]"])
def test_a_restored_model_may_take_and_return_tensors(tmp_path: Path, example: str) -> None:
    body = (
        "import torch; from trainables.predictor import Predictor\n"
        "    net = torch.nn.Linear(2, 3)\n"
        f"    return Predictor(lambda x: net(torch.as_tensor(x).float()), {example})"
    )
    space = load_space(str(write_space(tmp_path, body)))
    model = restore_predictor(space, space.config(), tmp_path)
    assert isinstance(model.example, np.ndarray) and model.example.shape == (1, 2)
    assert isinstance(model(model.example), np.ndarray)
    wrong = load_space(str(write_space(tmp_path, body.replace(example, "None"))))
    with pytest.raises(TaskError, match=r"a Predictor whose example is None .*mine.py, line 17"):
        restore_predictor(wrong, wrong.config(), tmp_path)


@pytest.mark.parametrize("error", [DataMissingError("no data"), OSError(errno.ENOSPC, "full")])
def test_missing_data_and_a_full_disk_are_told_as_they_are(error: Exception) -> None:
    def fail(config: Any, run: Run) -> GroundTruth:
        raise error

    space = dataclasses.replace(load_space("digits"), prepare=fail)
    with pytest.raises(type(error)) as raised:
        prepare_data(space, space.config(), Run(reports=1))
    assert raised.value is error


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working directory of a command, which prints long lines whole."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        lambda *words: tune([*words, "--executor", "inline", "--trials", "1"]),
        lambda *words: tune([*words, "--dry-run"]),
        lambda *words: train(list(words)),
    ],
)
def test_every_command_stops_at_a_wrong_prepare(
    folder: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., int]
) -> None:
    assert command("--space", str(write_space(folder, "sys.exit(0)"))) == 2
    assert "prepare of mine raised SystemExit: 0 (" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        lambda *words: tune([*words, "--executor", "inline", "--trials", "1"]),
        lambda *words: train([*words, "--out", "trained"]),
    ],
)
def test_every_command_checks_targets_first_and_predictions_in_the_trial(
    folder: Path, capsys: pytest.CaptureFixture[str], command: Callable[..., int]
) -> None:
    body = (
        "from trainables.predictor import GroundTruth\n"
        "    return GroundTruth(targets={'test': [0, LABEL]}, classes=('a', 'b'))"
    )
    file = write_space(folder, body.replace("LABEL", "2"))
    assert command("--space", str(file)) == 2
    printed = capsys.readouterr().err
    assert "prepare of mine returned targets of 'test' that are no classes: row 1 is 2" in printed
    assert not (folder / "runs" / "mine").exists()
    text = FILE.replace("BODY", body.replace("LABEL", "1"))
    predict = "    run.keep_predictions(test=lambda: [[0.5, 0.5]])\n    yield"
    file.write_text(text.replace("    yield", predict))
    assert command("--space", str(file)) in (1, 2)
    printed = "".join(capsys.readouterr())
    assert "the predictions of 'test' are 1 rows, and the split has 2 targets" in printed
