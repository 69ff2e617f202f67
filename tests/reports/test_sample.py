"""`reports sample`: text of the winner of a search, and of a pretrained model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from cluster.tracking.names import NAMING, to_own_name
from reports.__main__ import main
from reports.trained import models
from trainables.run import Run
from trainables.tasks import language_model
from trainables.text import causal_lm

SMALL = {"layers": 1, "heads": 2, "width": 16, "block": 16, "batch_size": 4, "steps": 4}


@pytest.fixture
def storage_of_search(client: MlflowClient, storage: Path, tmp_path: Path) -> Path:
    """Write a search of dante_gpt whose second trial is the best and the only one with weights."""
    run = Run(
        **{"reports": 1, "metric": "validation_loss", "mode": "min"},
        **{"source": "placeholder", "folder": tmp_path / "trial"},
    )
    for metrics in language_model.train(language_model.Config(**SMALL), run):
        run.record(metrics)
    artifacts = (storage / "artifacts").as_uri()
    experiment = client.create_experiment("dante_gpt", artifact_location=artifacts)
    about = {"kind": "search", "metric": "validation_loss", "mode": "min"}
    parent = client.create_run(experiment, run_name="dante_gpt", tags=about).info.run_id
    for number, score in enumerate((2.5, 2.0)):
        tags = {"kind": "trial", "trial": str(number), "outcome": "complete"}
        tags |= {**NAMING, "mlflow.parentRunId": parent, **({"weights": "yes"} if number else {})}
        trial = client.create_run(experiment, run_name=f"trial-{number}", tags=tags).info.run_id
        client.log_metric(trial, to_own_name("score"), score)
        for name, value in SMALL.items():
            client.log_param(trial, name, value)
        if number:
            client.log_artifacts(trial, str(tmp_path / "trial" / "best"), "checkpoint")
    return storage


def test_the_winner_generates_text(
    storage_of_search: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", "dante_gpt", "--prompt", "bade ", "--length", "30"]
    server = ["--storage", str(storage_of_search)]
    texts = []
    for more in ([], ["--trial", "1"], ["--seed", "1"], ["--top-k", "1"]):
        assert main([*words, *more, *server]) == 0
        texts.append(capsys.readouterr().out)
    assert all(text.startswith("bade ") and len(text) == 36 for text in texts)
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_unknown_characters_and_missing_weights_are_errors(
    storage_of_search: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = ["--storage", str(storage_of_search)]
    assert main(["sample", "dante_gpt", "--prompt", "Kyoto", *server]) == 2
    assert "does not know 'K'" in capsys.readouterr().err
    assert main(["sample", "dante_gpt", "--trial", "0", *server]) == 2
    assert "are not stored" in capsys.readouterr().err


def test_a_search_is_never_taken_for_a_model_of_the_hub(
    storage: Path,
    client: MlflowClient,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(models, "continue_pretrained", lambda name, *_, **__: f"hub {name}")
    experiment = client.create_experiment("mine")
    tags = {"kind": "search", "space": "mine", "metric": "loss", "mode": "min"}
    client.create_run(experiment, run_name="mine", tags=tags)
    assert main(["sample", "mine", "--storage", str(storage)]) == 2
    assert "has no winner" in capsys.readouterr().err
    assert main(["sample", "other", "--storage", str(storage)]) == 0
    assert capsys.readouterr().out == "hub other\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a tiny GPT-2 with a vocabulary of 28 with save_pretrained."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    place = tmp_path_factory.mktemp("model") / "gpt"
    letters = dict(zip(["<end>", *"abcdefghijklmnopqrstuvwxyz "], range(28), strict=True))
    pieces = Tokenizer(models.WordLevel(letters, unk_token="<end>"))
    pieces.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    pieces.decoder = decoders.Fuse()
    torch.manual_seed(0)
    size = {"vocab_size": 28, "n_positions": 64, "n_embd": 16, "n_layer": 1, "n_head": 2}
    # Without an end token, so that every text has the requested length.
    model = transformers.GPT2LMHeadModel(
        transformers.GPT2Config(**size, bos_token_id=None, eos_token_id=None)
    )
    model.save_pretrained(place)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces, bos_token="<end>", eos_token="<end>"
    ).save_pretrained(place)
    return place


def test_a_pretrained_model_generates_text(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for more in ([], ["--seed", "0"], ["--seed", "1"], ["--temperature", "0"], ["--top-k", "1"]):
        assert main(["sample", str(folder), "--prompt", "nel mezzo", "--length", "40", *more]) == 0
        texts.append(capsys.readouterr().out.rstrip("\n"))
    assert all(text.startswith("nel mezzo") for text in texts)
    assert texts[0] == texts[1] != texts[2]
    assert texts[3] == texts[4]


def test_a_text_beyond_the_context_is_an_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", str(folder), "--prompt", "nel", "--length", "62"]) == 2
    assert "has a context of 64 tokens" in capsys.readouterr().err


def test_a_model_without_a_tokenizer_is_an_error(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert main(["sample", str(tmp_path)]) == 2
    assert "the tokenizer has no vocabulary" in capsys.readouterr().err


def test_tiny_temperatures_count_as_zero_and_huge_seeds_are_rejected(folder: Path) -> None:
    words = ["sample", str(folder), "--prompt", "nel", "--length", "4"]
    assert main([*words, "--temperature", "1e-320"]) == 0
    with pytest.raises(SystemExit):
        main([*words, "--seed", str(2**64)])


def test_pickled_weights_are_not_loaded(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in folder.iterdir():
        if path.suffix == ".json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    assert main(["sample", str(tmp_path)]) == 2
    assert "model.safetensors" in capsys.readouterr().err


def test_a_model_that_is_not_available_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(causal_lm, "_find_hub_error", lambda name: "no route to the hub")
    assert main(["sample", "gpt2", "--prompt", "Once"]) == 2
    error = capsys.readouterr().err
    assert "'gpt2'" in error and "no route to the hub" in error and "options:" in error
