"""The spaces of MIT Indoor-67 on a user's photographs, with weights from a folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from cluster.cli import main as tune
from searchspaces.loading import load_space, load_trained
from searchspaces.overrides import build_config
from trainables import checkpoint
from trainables.models.backbones import build_backbone
from trainables.train import main

COLOURS = {"garden": (40, 160, 50), "salle à manger": (180, 60, 40), "workshop": (60, 60, 190)}
SMALL = ("backbone=shufflenet_v2_x0_5", "size=32", "shift=2", "learning_rate=0.003")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNERY_CACHE", str(tmp_path / "cache"))
    draw = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "mine" / name).mkdir(parents=True)
        for number in range(20):
            noise = draw.integers(-20, 20, (40, 50, 3))
            pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / name / f"{number}.jpg")
    return tmp_path


def _train(folder: Path, *more: str, space: str = "mit67_transfer") -> int:
    values = [
        word for value in (SMALL if space == "mit67_transfer" else ()) for word in ("--set", value)
    ]
    places = ["--data-dir", str(folder / "mine"), "--out", str(folder / "out")]
    return main(["--space", space, *places, "--reports", "2", *values, *more])


def test_frozen_layers_keep_pretrained_weights_and_classes_are_the_folders(folder: Path) -> None:
    torch.manual_seed(0)
    weights = build_backbone("shufflenet_v2_x0_5", 9).state_dict()
    for name, value in weights.items():
        if name.endswith("running_var"):
            value.fill_(0.1)  # or a random network's features fade away
    save_file(weights, folder / "shufflenet_v2_x0_5_imagenet.safetensors")
    assert _train(folder, "--weights-dir", str(folder)) == 0

    saved = checkpoint.read(folder / "out" / "best")
    assert saved is not None
    state = {k.removeprefix("1.0."): v for k, v in saved[1]["parts"]["model"].items()}
    assert state["0.mean"].tolist() == pytest.approx([0.485, 0.456, 0.406])
    for name, value in weights.items():
        if not name.startswith("fc."):
            assert torch.equal(state[name], value), name

    values = json.loads((folder / "out" / "config.json").read_text())
    space = load_space(values["space"])
    assert space.restore is not None
    predictor = space.restore(build_config(space, values["config"]), folder / "out" / "best")
    assert predictor.classes == tuple(COLOURS)
    assert predictor(predictor.example).shape == (1, 3)


def test_missing_weights_are_reported_with_the_options(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert _train(folder, "--weights-dir", str(folder)) == 2
    output = capfd.readouterr().err
    assert "no weights of shufflenet_v2_x0_5 (imagenet)" in output
    assert "--weights-dir FOLDER" in output and "--set origin=none" in output
    assert not (folder / "out").exists()
    assert _train(folder, "--set", "origin=none") == 0


def test_training_starts_from_the_encoder_of_another_space(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    small = [w for v in ("size=32", "filters=2", "blocks=3", "fc_width=8") for w in ("--set", v)]
    assert _train(folder, *small, space="mit67_pyramid") == 0
    (folder / "out").rename(folder / "teacher")
    more = (*small, "--teacher", str(folder / "teacher"))
    assert _train(folder, *more, "--set", "learning_rate=1e-9", space="mit67_autoencoder") == 0
    teacher, student = (checkpoint.read(folder / name / "best") for name in ("teacher", "out"))
    assert teacher is not None and student is not None
    name = "1.0.0.0.weight"  # of the first convolution
    one, other = (saved[1]["parts"]["model"][name] for saved in (teacher, student))
    assert torch.allclose(one, other, atol=1e-6)
    assert load_trained(folder / "out").classes == tuple(COLOURS)
    (folder / "teacher").rename(folder / "other")
    more = (*small, "--teacher", str(folder / "other"), "--set", "learning_rate=1e-9")
    assert _train(folder, *more, space="mit67_autoencoder") == 2
    assert "another configuration or teacher" in capfd.readouterr().err


def test_a_classifier_starts_from_the_weights_of_the_autoencoder(folder: Path) -> None:
    chosen = ("size=32", "filters=2", "blocks=3", "fc_width=8", "start=autoencoder")
    words = [w for value in (*chosen, "pretrain_epochs=2") for w in ("--set", value)]
    assert _train(folder, *words, "--set", "learning_rate=1e-9", space="mit67_autoencoder") == 0
    (cached,) = (folder / "cache").glob("autoencoder-*/best")
    autoencoder, trained = (checkpoint.read(path) for path in (cached, folder / "out" / "best"))
    assert autoencoder is not None and trained is not None
    before = autoencoder[1]["parts"]["model"]["1.0.weight"]
    after = trained[1]["parts"]["model"]["1.0.0.0.weight"]
    assert torch.allclose(before, after, atol=1e-6)


def test_a_dry_run_reports_missing_weights(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "empty").mkdir()
    values = [word for value in SMALL for word in ("--set", value)]
    places = ["--data-dir", str(folder / "mine"), "--weights-dir", str(folder / "empty")]
    words = ["--space", "mit67_transfer", "--dry-run", "--storage", str(folder / "runs")]
    assert tune([*words, *places, *values]) == 0
    output = capsys.readouterr().out
    assert "cost: " in output
    assert "a search that cannot download it is rejected: " in output
    assert str(folder / "empty") in output
