"""A linear classifier on the embeddings of a frozen text encoder: one report, the fit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from trainables import checkpoint
from trainables.checks import check_between, check_positive
from trainables.class_names import ClassNames, read_class_names
from trainables.data.load import load_texts
from trainables.data.losses import ACCEPTED
from trainables.data.source import Source
from trainables.data.text import TextData, build_ground_truth
from trainables.data.text_columns import Columns
from trainables.errors import UserError
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics, mark_divergence
from trainables.run import Loop, Run
from trainables.task import Task
from trainables.terminal import print_text
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
"""Weights (rows, width) and intercepts (rows,): a row per class, or one row for two classes."""
Solver = Callable[[np.ndarray, np.ndarray, float], Solution]
"""From embeddings (n, width), labels (n,) and C, the inverse of the regularization strength."""


@dataclass(frozen=True)
class Config:
    """Settings of one fit; `encoder` is a name on the hub or a folder.

    `C` is the inverse of the regularization strength. `scaling` leaves the embeddings as they
    are, or scales each to unit length or each dimension to zero mean and unit variance.
    `text_column`, `label_column` and `group_column` name columns of a table of the user's own,
    where they are not found; `accept_losses` is the fraction of its rows that may be unusable.
    """

    encoder: str = "all-MiniLM-L6-v2"
    pooling: Literal["cls", "mean"] = "mean"
    C: float = 1.0
    scaling: Literal["none", "unit", "standard"] = "unit"
    text_column: str = ""
    label_column: str = ""
    group_column: str = ""
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_between(self, 0, 1, "accept_losses")
        check_positive(self, "C")


def fit_linear_svc(vectors: np.ndarray, labels: np.ndarray, C: float) -> Solution:  # noqa: N803
    """Fit a linear support-vector classifier with squared hinge loss, one versus the rest."""
    from sklearn.svm import LinearSVC

    # The default tolerance of 1e-4 takes twice the time and changes scores by a thousandth.
    fitted = LinearSVC(C=C, dual=False, tol=1e-3).fit(vectors, labels)
    return fitted.coef_, fitted.intercept_


def fit_one_vs_rest(vectors: np.ndarray, labels: np.ndarray, C: float) -> Solution:  # noqa: N803
    """Fit a logistic regression per class, one versus the rest."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    fitted = OneVsRestClassifier(LogisticRegression(C=C, max_iter=1000)).fit(vectors, labels)
    weights = np.concatenate([classifier.coef_ for classifier in fitted.estimators_])
    intercepts = np.concatenate([classifier.intercept_ for classifier in fitted.estimators_])
    return weights, intercepts


def train(source: Source, solve: Solver, config: Config, run: Run) -> Loop:
    """Fit a classifier on the embeddings of an encoder; reports loss and accuracy.

    On placeholder data every encoder is a tiny random one. The fit is deterministic, so there is
    no seed, and more reports repeat it. Embeddings and projections are computed once per machine.
    """
    data = load_data(source, config, run)
    encoder = find_encoder(config, run)
    embeddings = load_embeddings(run, data, encoder, config.pooling)
    vectors = {split: scale(values, config.scaling) for split, values in embeddings.items()}
    labels = {split: part.labels for split, part in data.splits.items()}
    if run.share < 1:  # random rows, since files may be sorted by label; enough for all classes
        for split, values in labels.items():
            count = max(round(run.share * len(values)), 10 * len(data.classes))
            rows = np.random.default_rng(0).permutation(len(values))[:count]
            vectors[split], labels[split] = vectors[split][rows], values[rows]
    head = nn.Linear(vectors["train"].shape[1], len(data.classes))
    remaining = run.resume(model=head, classes=ClassNames(data.classes))
    run.keep_predictions(
        validation=lambda: predict_probabilities(head, vectors["validation"]),
        test=lambda: predict_probabilities(head, vectors["test"]),
    )
    if run.source == "real":
        key = {**embeddings_key(run, data, encoder), "pooling": config.pooling}
        show_projections(run, data, key, embeddings)
    for _ in remaining:
        fit_head(head, vectors["train"], labels["train"], config, solve)
        metrics = {
            name: value
            for split in ("train", "validation")
            for name, value in evaluate(split, head, vectors[split], labels[split]).items()
        }
        yield mark_divergence(metrics, run.metric)


def load_data(source: Source, config: Config, run: Run) -> TextData:
    """Load the texts of a source, or of the user's own."""
    columns = Columns(config.text_column, config.label_column, config.group_column)
    return load_texts(source, run, columns, config.accept_losses)


def find_encoder(config: Config, run: Run) -> Encoder:
    """Find the encoder of a configuration; on placeholder data it is a tiny random one."""
    return encoders.find_encoder(
        config.encoder, placeholder=run.source == "placeholder", download=run.download
    )


def print_preparation(run: Run, data: TextData, encoder: Encoder, searched: Sequence[str]) -> None:
    """Print which encoders are not available, and whether texts are embedded first."""
    if not run.download or run.source != "real":
        return
    if missing := [name for name in searched if encoders.describe_missing(name)]:
        print_text(
            f"not available, so infeasible in a search: {', '.join(missing)}\n"
            "use a local copy with --set encoder=FOLDER",
            sys.stderr,
        )
    if not embeddings_path(run, data, encoder).is_dir():
        count = sum(len(part) for part in data.splits.values())
        print_text(f"embedding {count:,} texts with {encoder.name}, once per machine", sys.stderr)


def scale(vectors: np.ndarray, scaling: str) -> np.ndarray:
    """Scale vectors to unit length if the scaling is "unit"."""
    if scaling != "unit":
        return vectors
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def fit_head(
    head: nn.Linear, vectors: np.ndarray, labels: np.ndarray, config: Config, solve: Solver
) -> None:
    """Fit the weights of a classifier; "standard" scaling becomes a part of them."""
    mean, std = np.zeros(vectors.shape[1]), np.ones(vectors.shape[1])
    if config.scaling == "standard":
        mean, std = vectors.mean(0), vectors.std(0)
        std = np.where(std > 1e-6, std, 1)  # some encoders have constant dimensions
        vectors = (vectors - mean) / std
    weights, intercepts = solve(vectors, labels, config.C)
    if len(weights) == 1:  # for two classes there is a row for the second only
        weights, intercepts = np.stack([-weights[0], weights[0]]), np.outer([-1, 1], intercepts)
    weights = weights / std
    intercepts = intercepts.reshape(-1) - weights @ mean
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weights))
        head.bias.copy_(torch.from_numpy(intercepts))


def predict_probabilities(head: nn.Linear, vectors: np.ndarray) -> np.ndarray:
    """Return (n, classes) probabilities: each class against the rest, normalized to sum to 1.

    The decision values of a support-vector classifier are used as log odds: the ranking is
    exact, the calibration is not.
    """
    weights, intercepts = head.weight.detach().cpu().numpy(), head.bias.detach().cpu().numpy()
    odds = 1 / (1 + np.exp(-np.clip(vectors @ weights.T + intercepts, -30, 30)))
    return np.asarray(odds / odds.sum(1, keepdims=True), dtype=np.float32)


def evaluate(split: str, head: nn.Linear, vectors: np.ndarray, labels: np.ndarray) -> Metrics:
    """Return the negative log likelihood (nats) and the accuracy on a split."""
    probabilities = predict_probabilities(head, vectors)
    likelihood = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, 1)
    return {
        f"{split}_loss": float(-np.log(likelihood).mean()),
        f"{split}_accuracy": float((probabilities.argmax(1) == labels).mean()),
    }


def feasible(config: Config) -> str | None:
    """Return why a configuration is infeasible: its encoder is not available."""
    return encoders.describe_missing(config.encoder)


def prepare(source: Source, searched: Sequence[str], config: Config, run: Run) -> GroundTruth:
    """Load the data and find the encoder, downloading both the first time."""
    encoder = find_encoder(config, run)
    data = load_data(source, config, run)
    print_preparation(run, data, encoder, searched)
    return build_ground_truth(data)


def restore(config: Config, folder: Path) -> Predictor:
    """Load encoder and classifier: texts (n,) of type object -> (n, classes) probabilities."""
    encoder = encoders.find_encoder(config.encoder)
    body, tokenizer = encoders.load_body(encoder), encoders.load_tokenizer(encoder)
    width: int = body.config.hidden_size  # type: ignore[union-attr,assignment]
    classes = read_class_names(folder)
    head = nn.Linear(width, len(classes))
    try:
        checkpoint.load_module(head, folder)
    except RuntimeError as error:
        raise UserError(
            f"the checkpoint in {folder} does not fit encoder={config.encoder!r}, which has "
            f"{width} dimensions: {error}"
        ) from error

    def predict(texts: np.ndarray) -> np.ndarray:
        vectors = encode_texts(body, tokenizer, texts.tolist(), torch.device("cpu"))
        return predict_probabilities(head, scale(vectors[config.pooling], config.scaling))

    files = {"encoder": encoder.files} if encoder.files else {}
    example = np.array(["a text"], dtype=object)
    return Predictor(predict, example, classes, files=files)


def task(source: Source, solve: Solver, searched: Sequence[str]) -> Task[Config]:
    """Return the task of classifying a data set by a solver, with the encoders to be searched."""
    return Task(
        config=Config,
        train=partial(train, source, solve),
        metric="validation_accuracy",
        mode="max",
        feasible=feasible,
        prepare=partial(prepare, source, searched),
        restore=restore,
    )
