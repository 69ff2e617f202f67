"""Embeddings of texts: pooling, encoding once, and reading back."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.data.rotten_tomatoes import ROTTEN_TOMATOES
from trainables.data.text import load
from trainables.run import Run
from trainables.text import embeddings, encoders
from trainables.text.encoders import Encoder

TINY = Encoder("tiny", None)


def _vectors(cache: Path, pooling: str = "mean", **settings: float) -> dict[str, np.ndarray]:
    run = Run(reports=1, cache=cache, source="placeholder", share=settings.get("share", 1.0))
    data = load(ROTTEN_TOMATOES, folder=None, cache=cache, kind="placeholder")
    return embeddings.load_embeddings(run, data, TINY, pooling)


@pytest.mark.parametrize("pooling", embeddings.POOLINGS)
def test_batches_and_single_texts_have_equal_vectors(tmp_path: Path, pooling: str) -> None:
    data = load(ROTTEN_TOMATOES, folder=None, cache=tmp_path, kind="placeholder")
    body, tokenizer = encoders.load_body(TINY), encoders.load_tokenizer(TINY)
    made = _vectors(tmp_path, pooling)["validation"]
    for row, text in enumerate(data.validation.texts[:6]):
        with torch.inference_mode():
            hidden = body(**tokenizer(text, return_tensors="pt")).last_hidden_state[0]
        naive = hidden[0] if pooling == "cls" else sum(hidden) / len(hidden)
        np.testing.assert_allclose(made[row], naive.numpy(), atol=1e-5)


def test_padding_has_no_weight_in_the_mean() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [100.0]], [[1.0], [2.0], [6.0]]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1]])
    assert embeddings.pool(hidden, mask, "mean").tolist() == [[2.0], [3.0]]
    assert embeddings.pool(hidden, mask, "cls").tolist() == [[1.0], [1.0]]


def _ask(cache: Path, counts: Path, ready: object) -> None:
    real = embeddings.encode_texts

    def counted(*given: object) -> object:
        with counts.open("a") as file:
            file.write("x")
        return real(*given)  # type: ignore[arg-type]

    embeddings.encode_texts = counted  # type: ignore[assignment]
    ready.wait()  # type: ignore[attr-defined]
    _vectors(cache)


def test_two_processes_encode_the_texts_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ready = context.Barrier(2)
    asking = [
        context.Process(target=_ask, args=(tmp_path / "cache", tmp_path / "counts", ready))
        for _ in range(2)
    ]
    encoders.load_body(TINY)  # so that the imports are paid for once, here
    for process in asking:
        process.start()
    for process in asking:
        process.join(50)
        assert process.exitcode == 0
    assert (tmp_path / "counts").read_text() == "xxx"  # three splits


def test_another_encoder_has_its_own_vectors(tmp_path: Path) -> None:
    data = load(ROTTEN_TOMATOES, folder=None, cache=tmp_path, kind="placeholder")
    run = Run(reports=1, cache=tmp_path, source="placeholder")
    one, other = (
        embeddings.load_embeddings(run, data, Encoder(name, None), "mean")["test"]
        for name in ("tiny", "other")
    )
    assert not np.allclose(one, other)


def test_a_probe_encodes_few_texts_and_stores_nothing(tmp_path: Path) -> None:
    found = _vectors(tmp_path, share=0.1)
    assert len(found["train"]) == 60
    assert np.array_equal(found["train"][0], found["train"][embeddings.PROBE_TEXTS])
    assert not list(tmp_path.glob("*vectors*"))
