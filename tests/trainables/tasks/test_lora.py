"""Fine-tuning: what is trained, what is saved, and how it resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from searchspaces.rotten_lora import FULL
from trainables import checkpoint
from trainables.data.rotten_tomatoes import ROTTEN_TOMATOES
from trainables.data.text import load
from trainables.errors import UserError
from trainables.run import Run
from trainables.tasks.lora import Config, prepare, restore, train
from trainables.text import encoders
from trainables.text.encoders import Encoder
from trainables.text.tokenization import pad, tokenize

LORA = Config(encoder="tiny", epochs=2, batch_size=8, targets="qv", learning_rate=5e-3)


def _run(tmp_path: Path, reports: int = 4) -> Run:
    return Run(
        reports=reports,
        metric="validation_accuracy",
        cache=tmp_path / "cache",
        source="placeholder",
        folder=tmp_path / "trial",
    )


def _train(config: Config, run: Run, most: int = 99) -> list[dict[str, float]]:
    loop, history = train(config, run), []
    for _, metrics in zip(range(most), loop, strict=False):
        run.record(metrics)
        history.append(dict(metrics))
    loop.close()
    return history


@pytest.mark.parametrize("config", [LORA, replace(LORA, **FULL, learning_rate=1e-3)])
def test_training_resumes_within_an_epoch(tmp_path: Path, config: Config) -> None:
    whole = _train(config, _run(tmp_path / "whole"))
    cut = _train(config, _run(tmp_path / "cut"), most=1)  # half an epoch
    assert cut + _train(config, _run(tmp_path / "cut")) == whole


def test_only_adapters_and_head_are_trained_and_saved(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _train(LORA, run)
    saved = checkpoint.read(tmp_path / "trial" / "best")
    assert saved is not None
    model = saved[1]["parts"]["model"]
    assert all("lora_" in name or "classifier" in name for name in model)
    assert run.facts["trainable_parameters"] == sum(w.numel() for w in model.values())
    bare = encoders.load_classifier(Encoder("tiny", None), 2)[0]
    assert run.facts["parameters"] == sum(w.numel() for w in bare.parameters())


def test_the_adapter_folder_gives_the_stored_predictions(tmp_path: Path) -> None:
    import peft  # after trainables: it imports torchvision

    run = _run(tmp_path)
    _train(LORA, run)
    run.finish()
    best = tmp_path / "trial" / "best"
    assert "adapter/" in (best / "adapter.md").read_text()
    base, _ = encoders.load_classifier(Encoder("tiny", None), 2)
    model = peft.PeftModel.from_pretrained(base, best / "adapter").eval()
    data = load(ROTTEN_TOMATOES, folder=None, cache=tmp_path, kind="placeholder")
    tokenizer = encoders.load_tokenizer(Encoder("tiny", None))
    ids, mask = pad(tokenize(tokenizer, data.test.texts), tokenizer.pad_token_id)
    with torch.inference_mode():
        predicted = model(input_ids=ids, attention_mask=mask).logits.softmax(1).numpy()
    stored = pq.read_table(best / "test.parquet")["p1"].to_numpy()
    np.testing.assert_allclose(predicted[:, 1], stored, atol=1e-5)


def test_epochs_do_not_depend_on_the_number_of_reports(tmp_path: Path) -> None:
    ticks: dict[int, list[float]] = {}
    for reports in (2, 7):
        run = _run(tmp_path / str(reports), reports)
        run.folder, run.on_progress = None, ticks.setdefault(reports, []).append
        assert len(_train(LORA, run)) == reports
    assert {reports: len(calls) for reports, calls in ticks.items()} == {2: 14, 7: 14}


def test_adapters_without_targets_are_rejected() -> None:
    with pytest.raises(ValueError, match="targets"):
        Config(targets="none")
    Config(method="full")


def test_a_table_of_the_users_own_is_trained_and_restored(tmp_path: Path) -> None:
    names = ("<b>x", "cats|dogs", "日本 #1")
    rows = [f"a film of kind {i % 3} number {i},{names[i % 3]}" for i in range(60)]
    (tmp_path / "mine.csv").write_text("\n".join(["review,stars", *rows]))
    run = replace(_run(tmp_path, 1), source="real", data=tmp_path / "mine.csv")
    config = replace(LORA, epochs=1)
    truth = prepare(config, run)
    assert truth.classes == names
    _train(config, run)
    run.finish()
    predictor = restore(config, tmp_path / "trial" / "best")
    assert predictor.classes == names
    assert truth.inputs is not None
    stored = pq.read_table(tmp_path / "trial" / "best" / "test.parquet").drop_columns("id")
    np.testing.assert_allclose(
        predictor(truth.inputs("test")), np.array(list(stored.to_pydict().values())).T, atol=1e-5
    )
    named = replace(config, label_column="points")
    with pytest.raises(UserError, match="has no column 'points'"):
        prepare(named, run)
