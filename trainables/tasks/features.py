"""A linear classifier on the vectors of a frozen encoder: one report, the fit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from trainables import checkpoint
from trainables.data.text import TextData
from trainables.errors import UserError
from trainables.predictor import Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run
from trainables.text import encoders
from trainables.text.embeddings import (
    embeddings_key,
    embeddings_path,
    encode_texts,
    load_embeddings,
)
from trainables.text.encoders import Encoder
from trainables.text.projections import show_projections

Solution = tuple[np.ndarray, np.ndarray]
"""Weights (rows, width) and intercepts (rows,) of a row per class, or of one row for two."""
Solver = Callable[[np.ndarray, np.ndarray, float], Solution]
"""Of vectors (n, width), labels (n,) and C, the weight of the errors against the penalty."""


class Settings(Protocol):
    """What this task reads of a Config."""

    @property
    def encoder(self) -> str: ...
    @property
    def pooling(self) -> str: ...
    @property
    def C(self) -> float: ...  # noqa: N802 - what everybody calls it
    @property
    def scaling(self) -> str: ...


def support_vectors(vectors: np.ndarray, labels: np.ndarray, C: float) -> Solution:  # noqa: N803
    """Fit a linear support-vector classifier with squared hinge loss, one against the rest."""
    from sklearn.svm import LinearSVC

    # With scikit-learn's own tolerance of 1e-4 scores differ by a thousandth, time by half.
    fitted = LinearSVC(C=C, dual=False, tol=1e-3).fit(vectors, labels)
    return fitted.coef_, fitted.intercept_


def learn(config: Settings, run: Run, data: TextData, solve: Solver) -> Loop:
    """Fit a classifier on the vectors of an encoder; reports loss and accuracy.

    With made-up data every encoder is a tiny random one. Nothing is drawn, so there is no seed:
    asked for more reports, it fits the same again. Vectors and maps are made once per machine.
    """
    encoder = encoders.find_encoder(
        config.encoder, placeholder=run.source == "placeholder", download=run.download
    )
    found = load_embeddings(run, data, encoder, config.pooling)
    vectors = {split: scaled(of, config.scaling) for split, of in found.items()}
    labels = {split: part.labels for split, part in data.splits.items()}
    if run.share < 1:  # at random, since files may be sorted by label, and enough for all classes
        for split, of in labels.items():
            count = max(round(run.share * len(of)), 10 * len(data.classes))
            rows = np.random.default_rng(0).permutation(len(of))[:count]
            vectors[split], labels[split] = vectors[split][rows], of[rows]
    head = nn.Linear(vectors["train"].shape[1], len(data.classes))
    owed = run.resume(model=head)
    run.keep_predictions(
        validation=lambda: probabilities(head, vectors["validation"]),
        test=lambda: probabilities(head, vectors["test"]),
    )
    if run.source == "real":
        show_projections(
            run, data, {**embeddings_key(run, data, encoder), "pooling": config.pooling}, found
        )
    for _ in owed:
        fill(head, vectors["train"], labels["train"], config, solve)
        yield {
            name: value
            for split in ("train", "validation")
            for name, value in scores(split, head, vectors[split], labels[split]).items()
        }


def announce(run: Run, data: TextData, encoder: Encoder, searched: Sequence[str]) -> None:
    """Say which encoders are not at hand, and what is to be done once before anything is seen."""
    if not run.download or run.source != "real":
        return
    if absent := [name for name in searched if encoders.describe_missing(name)]:
        print(
            f"not at hand, and left out by a search: {', '.join(absent)}\n"
            "give one with --set encoder=FOLDER",
            file=sys.stderr,
        )
    if not embeddings_path(run, data, encoder).is_dir():
        count = sum(len(part) for part in data.splits.values())
        print(f"embedding {count:,} texts with {encoder.name}, once per machine", file=sys.stderr)


def scaled(vectors: np.ndarray, scaling: str) -> np.ndarray:
    """Bring vectors to unit length, where the scaling is "unit"."""
    if scaling != "unit":
        return vectors
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def fill(
    head: nn.Linear, vectors: np.ndarray, labels: np.ndarray, config: Settings, solve: Solver
) -> None:
    """Solve for the weights of a classifier; "standard" scaling becomes part of them."""
    middle, spread = np.zeros(vectors.shape[1]), np.ones(vectors.shape[1])
    if config.scaling == "standard":
        middle, spread = vectors.mean(0), vectors.std(0)
        spread = np.where(spread > 1e-6, spread, 1)  # some encoders have idle dimensions
        vectors = (vectors - middle) / spread
    weights, intercepts = solve(vectors, labels, config.C)
    if len(weights) == 1:  # of two classes only the second is told
        weights, intercepts = np.stack([-weights[0], weights[0]]), np.outer([-1, 1], intercepts)
    weights = weights / spread
    intercepts = intercepts.reshape(-1) - weights @ middle
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(intercepts))


def probabilities(head: nn.Linear, vectors: np.ndarray) -> np.ndarray:
    """Give (n, classes) probabilities: every class's against the rest, scaled to sum to 1.

    What a support-vector classifier decides by is taken for log odds: the order is its own,
    the calibration is not.
    """
    weights, intercepts = head.weight.detach().cpu().numpy(), head.bias.detach().cpu().numpy()
    odds = 1 / (1 + np.exp(-np.clip(vectors @ weights.T + intercepts, -30, 30)))
    return np.asarray(odds / odds.sum(1, keepdims=True), dtype=np.float32)


def scores(split: str, head: nn.Linear, vectors: np.ndarray, labels: np.ndarray) -> Metrics:
    """Measure the negative log likelihood (nats) and the accuracy on a split."""
    given = probabilities(head, vectors)
    likelihood = np.clip(given[np.arange(len(labels)), labels], 1e-12, 1)
    return {
        f"{split}_loss": float(-np.log(likelihood).mean()),
        f"{split}_accuracy": float((given.argmax(1) == labels).mean()),
    }


def restored(config: Settings, classes: tuple[str, ...], folder: Path) -> Predictor:
    """Give encoder and classifier as one: texts (objects of type str, n) to probabilities."""
    encoder = encoders.find_encoder(config.encoder)
    body, tokenizer = encoders.load_body(encoder), encoders.load_tokenizer(encoder)
    width: int = body.config.hidden_size  # type: ignore[union-attr,assignment]
    head = nn.Linear(width, len(classes))
    try:
        checkpoint.load_module(head, folder)
    except RuntimeError as error:
        raise UserError(
            f"the checkpoint in {folder} is not of encoder={config.encoder!r}, whose vectors have "
            f"{width} numbers: {error}"
        ) from error

    def predict(texts: np.ndarray) -> np.ndarray:
        vectors = encode_texts(body, tokenizer, texts.tolist(), torch.device("cpu"))
        return probabilities(head, scaled(vectors[config.pooling], config.scaling))

    files = {"encoder": encoder.files} if encoder.files else {}
    return Predictor(predict, np.array(["a text"], dtype=object), classes, files=files)
